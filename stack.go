package sluicegate

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/middleware/alerting"
	"github.com/sluicegate/sluicegate/middleware/circuit"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// Stack builds the chain around handlers and installs it. It is safe for
// concurrent use. It owns no goroutine but within Run.
type Stack struct {
	cfg      Config
	db       *sql.DB            // nil where there is none
	box      *forwarder.Outbox  // nil without a database
	runner   idempotency.Runner // nil without a database
	inbox    *sqlstore.Store    // strength SQL
	letters  deadletter.Store
	stored   *deadletter.SQLStore // nil where Config.DeadLetters is another
	table    *park.Table          // nil where nothing is parked
	parker   *park.Parker         // nil where nothing is parked
	observe  event.Observer
	lost     atomic.Int64      // leases
	circuits *circuit.Circuits // nil where there are none
	janitor  *janitor.Janitor  // nil where nothing is removed
	gate     *gate

	mu       sync.Mutex
	handlers []installed
}

// New returns a Stack on db, which stays the caller's to close, and which may
// be nil where cfg names a Store and DeadLetters. It does not connect. All
// problems of cfg are reported together, each with its field.
func New(db *sql.DB, cfg Config) (*Stack, error) {
	cfg, err := cfg.withDefaults(db)
	if err != nil {
		return nil, err
	}
	s := &Stack{cfg: cfg, db: db, gate: newGate(cfg.DrainTimeout), observe: event.Observer(cfg.Observe)}
	s.countLost()
	if err := errors.Join(s.openTables(db), s.openLetters(db), s.addAlerts(), s.openPark(db), s.openCircuits(), s.openRetention(db)); err != nil {
		return nil, err
	}
	// A trial chain: what the middlewares refuse is refused at start, not at
	// the first handler.
	if _, err := s.chain("check", "check", nil); err != nil {
		return nil, err
	}
	return s, nil
}

// openTables prepares what lives in the database: outbox, transactions, inbox.
func (s *Stack) openTables(db *sql.DB) (err error) {
	s.runner = s.cfg.Transactions
	if db == nil {
		return nil
	}
	c := s.cfg
	if s.runner == nil {
		s.runner = idempotency.DB(db, c.Dialect.TxOptions())
	}
	s.box, err = forwarder.New(db, forwarder.Config{Dialect: c.Dialect, Schema: c.Schema, Prefix: c.Prefix, Logger: c.Logger})
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if c.strength() == SQL {
		s.inbox, err = sqlstore.New(db, sqlstore.Config{Dialect: c.Dialect, Schema: c.Schema, Prefix: c.Prefix})
		if err != nil {
			return fmt.Errorf("inbox: %w", err)
		}
	}
	return nil
}

// openLetters prepares the dead letters: each that is stored also moves the
// inbox record to dead, so that a duplicate of it does not run.
func (s *Stack) openLetters(db *sql.DB) error {
	s.letters = s.cfg.DeadLetters
	if s.letters == nil {
		table, err := deadletter.SQL(db, deadletter.SQLConfig{Dialect: s.cfg.Dialect, Schema: s.cfg.Schema, Prefix: s.cfg.Prefix})
		if err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		s.letters = table
	}
	s.stored, _ = s.letters.(*deadletter.SQLStore)
	s.letters = s.buryBy(s.letters)
	return nil
}

// addAlerts has dead letters told to Config.Alerts as well as to the observer.
func (s *Stack) addAlerts() error {
	if s.cfg.Alerts == nil {
		return nil
	}
	alerts, err := alerting.Observe(s.cfg.Alerts, alerting.Config{})
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	own := s.observe
	s.observe = func(e Event) {
		own.Emit(e)
		alerts.Emit(e)
	}
	return nil
}

// openCircuits prepares the gates in front of the handlers.
func (s *Stack) openCircuits() (err error) {
	c := s.cfg.Circuit
	if c.Off {
		return nil
	}
	c.Observe = both(c.Observe, s.observe)
	if c.Alerts == nil {
		c.Alerts = s.cfg.Alerts
	}
	if s.circuits, err = circuit.New(c.Config); err != nil {
		return fmt.Errorf("Config.Circuit: %w", err)
	}
	return nil
}

// Circuits returns the state of the circuit of each handler, and of its
// dependencies, that has seen a message in this process.
func (s *Stack) Circuits() []circuit.Status {
	if s.circuits == nil {
		return nil
	}
	return s.circuits.Snapshot()
}

// Outbox returns the outbox in the Stack's database, or nil without one: its
// handlers' outputs are written there, and somebody must relay them.
func (s *Stack) Outbox() *forwarder.Outbox { return s.box }
