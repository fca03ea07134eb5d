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
	cfg          Config
	placed, paid string // topics
}

// New returns a shop.
func New(cfg Config) *Shop {
	if cfg.NewID == nil {
		cfg.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if cfg.Faults == nil {
		cfg.Faults = noFaults{}
	}
	t := Topics(cfg.TopicSuffix)
	return &Shop{cfg: cfg, placed: t.Placed, paid: t.Paid}
}

// TopicNames are the topics of a shop.
type TopicNames struct{ Placed, Paid string }

// Topics returns the topics of the shop with this suffix.
func Topics(suffix string) TopicNames {
	return TopicNames{Placed: "orders.placed" + suffix, Paid: "orders.paid" + suffix}
}

type noFaults struct{}

func (noFaults) BeforeCommit(Order) error   { return nil }
func (noFaults) Before(string, Order) error { return nil }
func (noFaults) After(string, Order) error  { return nil }

// injected is an error that was wanted, and nothing to trouble a person with.
type injected struct{ error }

// ErrNotFound says that there is no such order.
var ErrNotFound = errors.New("no such order")

// Place commits o and its message in one transaction, and returns the order's
// id. After an error of the commit itself it is unknown whether it took effect.
func (s *Shop) Place(ctx context.Context, o Order) (id string, err error) {
	o.ID, o.Status, o.CreatedAt = s.cfg.NewID(), Placed, time.Now()
	tx, err := s.cfg.DB.BeginTx(ctx, s.cfg.Dialect.TxOptions())
	if err != nil {
		return "", fmt.Errorf("begin order: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	_, err = tx.ExecContext(ctx, s.cfg.Dialect.Bind("INSERT INTO orders (id, customer, sku, quantity, amount, status, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"),
		o.ID, o.Customer, o.SKU, o.Quantity, o.Amount.String(), o.Status, o.CreatedAt.UnixMicro())
	if err != nil {
		return "", fmt.Errorf("insert order: %w", err)
	}
	msg, err := newMessage(o)
	if err != nil {
		return "", err
	}
	if err := s.cfg.Outbox.Publish(ctx, tx, s.placed, msg); err != nil {
		return "", fmt.Errorf("publish order: %w", err)
	}
	if err := s.cfg.Faults.BeforeCommit(o); err != nil {
		return "", &injected{err}
	}
	if err := tx.Commit(); err != nil {
		return "", fmt.Errorf("commit order: %w", err)
	}
	s.cfg.Outbox.Wake()
	return o.ID, nil
}

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
