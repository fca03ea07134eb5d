// Package node is one process of the shop: the database, the broker, and the
// roles that run on them. Nothing is connected before Wait or Prepare, so that
// a process can start, and tell that it is not ready, while they are away.
package node

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/rule"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/fault"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// Config of a Node. The zero value of a field that says so is its default.
type Config struct {
	Settings settings.Settings
	Database database.Source
	// Consumer names the shop: in the inbox, in the broker's groups.
	Consumer string
	// TopicSuffix ends the names of the topics. Default none.
	TopicSuffix string
	// IDPrefix begins the ids of the orders that the ledger counts. Default: all.
	IDPrefix string
	// NewID names orders. Default: a UUIDv7.
	NewID func() string
	// Records keeps the idempotency records. Default: what Settings say.
	Records idempotency.Store
	// Keys keeps the Idempotency-Keys of POST /orders. Default: in the orders'
	// database.
	Keys httpidem.TxStore
	// Faults, BreakPublisher and BreakSubscriber inject faults. Default: none.
	Faults          shop.Faults
	BreakPublisher  func(fault.Broker) fault.Broker
	BreakSubscriber func(service string, sub message.Subscriber, caps broker.Capabilities) message.Subscriber
	// Partners are those that the shop works with. Default: nobody.
	Partners *Partners
	// Pages is where the pages of the products are kept, by the role api. Default:
	// there are none.
	Pages objectsync.Store
	// Observe is told what the stacks do. Default: nobody.
	Observe func(sluicegate.Event)
	// Throughput carries messages in few large batches, up to 50 ms later, and
	// deletes what was delivered: for a load, where a history of it is of no use.
	Throughput bool
	// Park says when a message is tried again that the attempts at once could not
	// do. Default: that of the Stack, minutes later.
	Park sluicegate.ParkConfig
	// AlertWait is how long alerts wait for others to be told with: those of one
	// name, whatever the handler. Default 30 s.
	AlertWait time.Duration
	Logger    *slog.Logger
	// ShareAlerts keeps the state of alerts in the database: several processes tell
	// people once, and a restart does not tell them again. Default: each by itself.
	ShareAlerts bool
	// Alerts is where people read alerts. Default: Logger.
	Alerts *slog.Logger
}

func (c Config) hurry() bool { return c.Partners != nil && c.Partners.Hurry }

// Node is one process.
type Node struct {
	cfg     Config
	db      *sql.DB
	orders  *sql.DB // takes orders; db itself with SQLite, which has one connection
	brokers *topology.Topology
	pub     fault.Broker
	store   store
	box     *forwarder.Outbox
	shop    *shop.Shop
	guard   *httpidem.Idempotency // of POST /orders
	reader  ledger.Reader
	relay   *forwarder.Relay
	alerts  *alert.Notifier
	rules   *rule.Engine // or nil

	partners *partners          // or nil
	pages    *objectsync.Syncer // or nil

	prepared atomic.Bool
	roles    sync.Map // names of the roles that have ended by themselves
}

// Open builds a node and connects to nothing.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	n := &Node{cfg: cfg}
	defer func() { //nolint:contextcheck // closing must not end with the context
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.db, err = cfg.Database.Open(); err != nil {
		return nil, err
	}
	if n.orders, err = n.openOrders(); err != nil {
		return nil, err
	}
	n.brokers, err = topology.Open(ctx, n.topology(), broker.Config{Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	n.pub = n.brokers.Publisher()
	if cfg.BreakPublisher != nil {
		n.pub = cfg.BreakPublisher(n.pub)
	}
	if n.store, err = openStore(cfg.Settings.Idempotency); err != nil {
		return nil, err
	}
	if cfg.Records != nil {
		n.store.records = cfg.Records
	}
	dialect := cfg.Database.Dialect()
	n.box, err = forwarder.New(n.db, forwarder.Config{Dialect: dialect, Logger: cfg.Logger, Relay: n.relayConfig()})
	if err != nil {
		return nil, err
	}
	letters, err := deadletter.SQL(n.db, deadletter.SQLConfig{Dialect: dialect})
	if err != nil {
		return nil, err
	}
	n.reader = ledger.Reader{DB: n.db, Dialect: dialect, Letters: letters, Consumer: cfg.Consumer, IDPrefix: cfg.IDPrefix}
	if n.relay, err = n.box.NewRelay(n.pub, n.relayConfig()); err != nil {
		return nil, err
	}
	if err := errors.Join(n.openAlerts(), n.openRules()); err != nil {
		return nil, err
	}
	if err := n.openPartners(ctx); err != nil {
		return nil, err
	}
	if err := n.openPages(); err != nil {
		return nil, err
	}
	selling := shop.Config{
		DB: n.orders, Dialect: dialect, Outbox: n.box, TopicSuffix: cfg.TopicSuffix, NewID: cfg.NewID, Faults: cfg.Faults,
		Partners: n.partners.forShop(),
	}
	if n.pages != nil {
		selling.Pages = n.pages
	}
	n.shop = shop.New(selling)
	if n.guard, err = n.newGuard(); err != nil {
		return nil, err
	}
	return n, nil
}

// orderConns is how many connections take orders. They are apart from those of
// the services, so that however many customers come at once, those who handle
// the orders do not wait behind them and fall ever further behind.
const orderConns = 16

func (n *Node) openOrders() (*sql.DB, error) {
	if n.cfg.Database.Dialect() == sqldialect.SQLite {
		return n.db, nil
	}
	db, err := n.cfg.Database.Open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(orderConns)
	db.SetMaxIdleConns(orderConns)
	return db, nil
}

const relayLease = 6 * time.Second

// relayConfig keeps a batch within what its publish deadline allows: the memory
// broker answers after the services have handled it. A short lease has the next
// relay go on soon after a crash.
func (n *Node) relayConfig() forwarder.RelayConfig {
	if n.consumedAck() {
		return forwarder.RelayConfig{BatchSize: 50, Lease: relayLease}
	}
	c := forwarder.RelayConfig{Lease: relayLease, Lanes: 1}
	if n.cfg.Throughput {
		c.Linger, c.NoHistory = 50*time.Millisecond, true
	}
	return c
}

// Check returns an error where the settings ask for what the broker cannot do.
func (n *Node) Check(roles role.Set) error {
	if c, lone := n.oneProcess(); lone && !roles.Complete() {
		return fmt.Errorf("the roles %s are one process of several, but a %s broker serves one: %s", roles, c.Driver, c.Guarantee)
	}
	return nil
}

// API returns the HTTP API; without the role api it only tells how the process is.
func (n *Node) API(roles role.Set) http.Handler {
	cfg := shop.APIConfig{Ready: n.reasons, Down: n.cfg.Database.Dialect().IsUnavailable, Logger: n.cfg.Logger, Ledger: func(ctx context.Context) (any, error) {
		facts, err := n.reader.Read(ctx)
		if err != nil {
			return nil, err
		}
		return ledger.Check(facts), nil
	}}
	if roles.Has(role.API) {
		cfg.Shop, cfg.Guard = n.shop, n.guard.Middleware
	}
	return shop.NewAPI(cfg)
}

// reasons is Ready for the API.
func (n *Node) reasons(ctx context.Context) (any, error) {
	err := n.Ready(ctx)
	var problems *NotReadyError
	if errors.As(err, &problems) {
		return problems.Reasons, err
	}
	return nil, err
}

// Facts reads what has become of the orders.
func (n *Node) Facts(ctx context.Context) (ledger.Facts, error) { return n.reader.Read(ctx) }

// Alerts returns how many alerts were sent, and how many were folded into others.
func (n *Node) Alerts() alert.Stats { return n.alerts.Stats() }

// Close lets go of everything, in the order in which nothing is missed.
func (n *Node) Close() error {
	errs := []error{n.partners.close()}
	if n.brokers != nil {
		errs = append(errs, n.brokers.Close())
	}
	if n.store.close != nil {
		errs = append(errs, n.store.close())
	}
	if n.orders != nil && n.orders != n.db {
		errs = append(errs, n.orders.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	return errors.Join(errs...)
}
