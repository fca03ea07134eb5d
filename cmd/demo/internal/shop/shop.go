package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Config of a Shop.
type Config struct {
	DB      *sql.DB
	Dialect sqldialect.Dialect
	Outbox  *forwarder.Outbox
	// TopicSuffix ends the names of the topics, so that shops can share a
	// broker. Default none.
	TopicSuffix string
	// NewID names an order. Default: a UUIDv7.
	NewID func() string
	// Faults are asked on the way. Default: none.
	Faults Faults
	// Pages are the products' pages. Default: there are none.
	Pages Pages
	// Partners are told on the way. Default: nobody.
	Partners Partners
}

// Faults break things on purpose: each may return an error, or panic.
type Faults interface {
	// BeforeCommit is called when an order and its message are written.
	BeforeCommit(o Order) error
	// Before and After are called around the effect of a service.
	Before(service string, o Order) error
	After(service string, o Order) error
}

// Shop places orders and handles them. It is safe for concurrent use.
type Shop struct {
	cfg    Config
	topics TopicNames
	insert string // the statement of an order
}

// New returns a shop.
func New(cfg Config) *Shop {
	if cfg.NewID == nil {
		cfg.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if cfg.Faults == nil {
		cfg.Faults = noFaults{}
	}
	if cfg.Pages == nil {
		cfg.Pages = noPages{}
	}
	if cfg.Partners == nil {
		cfg.Partners = nobody{}
	}
	return &Shop{
		cfg: cfg, topics: Topics(cfg.TopicSuffix),
		insert: cfg.Dialect.Bind("INSERT INTO orders (id, customer, sku, quantity, amount, status, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"),
	}
}

// TopicNames are the topics of a shop.
type TopicNames struct{ Placed, Paid, Parcels string }

// All are their names.
func (t TopicNames) All() []string { return []string{t.Placed, t.Paid, t.Parcels} }

// Topics returns the topics of the shop with this suffix.
func Topics(suffix string) TopicNames {
	return TopicNames{Placed: "orders.placed" + suffix, Paid: "orders.paid" + suffix, Parcels: "parcels.booked" + suffix}
}

type noFaults struct{}

func (noFaults) BeforeCommit(Order) error   { return nil }
func (noFaults) Before(string, Order) error { return nil }
func (noFaults) After(string, Order) error  { return nil }

// injected is an error that was wanted, and nothing to trouble a person with.
type injected struct{ error }

// ErrNotFound says that there is no such order.
var ErrNotFound = errors.New("no such order")

// newMessage tells of o. A customer's messages keep their order; the order's id
// is the key under which a service acts once, whatever carried the message.
func newMessage(o Order) (*message.Message, error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode order: %w", err)
	}
	msg := message.NewMessage(uuid.Must(uuid.NewV7()).String(), payload)
	forwarder.SetKey(msg, o.Customer)
	msg.Metadata.Set(header.IdempotencyKey, o.ID)
	return msg, nil
}

// Get returns an order, or ErrNotFound.
func (s *Shop) Get(ctx context.Context, id string) (Order, error) {
	var o Order
	var at int64
	err := s.cfg.DB.QueryRowContext(ctx,
		s.cfg.Dialect.Bind("SELECT id, customer, sku, quantity, amount, status, created_at FROM orders WHERE id = ?"), id).
		Scan(&o.ID, &o.Customer, &o.SKU, &o.Quantity, &o.Amount, &o.Status, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Order{}, ErrNotFound
	case err != nil:
		return Order{}, fmt.Errorf("get order: %w", err)
	}
	o.CreatedAt = time.UnixMicro(at).UTC()
	return o, nil
}
