package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// Service is one that handles messages.
type Service struct {
	Name   string
	Topic  string // that it listens to
	Output string // that it puts out to; empty for none
	Handle func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error)
}

// Services returns the four services by name.
func (s *Shop) Services() map[string]Service {
	out := map[string]Service{
		"payment": {Name: "payment", Topic: s.placed, Output: s.paid, Handle: s.pay},
	}
	for _, name := range []string{"stock", "points", "shipping"} {
		out[name] = Service{Name: name, Topic: s.paid, Handle: func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
			_, err := s.act(ctx, tx, name, msg, nil)
			return nil, err
		}}
	}
	return out
}

// pay sets the order paid and tells so.
func (s *Shop) pay(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
	o, err := s.act(ctx, tx, "payment", msg, func(o Order) error {
		return s.setPaid(ctx, tx, o.ID)
	})
	if err != nil {
		return nil, err
	}
	o.Status = Paid
	out, err := newMessage(o)
	if err != nil {
		return nil, err
	}
	return []*message.Message{out}, nil
}

// setPaid also finds that a message of another shop has come by: its order is
// not here, and no attempt will find it.
func (s *Shop) setPaid(ctx context.Context, tx *sql.Tx, id string) error {
	var status string
	err := tx.QueryRowContext(ctx, s.cfg.Dialect.Bind("SELECT status FROM orders WHERE id = ?"), id).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return failure.Permanent(ErrNotFound)
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.cfg.Dialect.Bind("UPDATE orders SET status = ? WHERE id = ?"), Paid, id)
	return err
}

// act reads the order of msg, has effect happen, and appends to the ledger,
// all in tx.
func (s *Shop) act(ctx context.Context, tx *sql.Tx, service string, msg *message.Message, effect func(Order) error) (Order, error) {
	var o Order
	if err := json.Unmarshal(msg.Payload, &o); err != nil || o.ID == "" {
		// The error itself would quote the payload.
		return o, failure.Permanent(fmt.Errorf("%s: message is no order", service))
	}
	if err := s.cfg.Faults.Before(service, o); err != nil {
		return o, err
	}
	if effect != nil {
		if err := effect(o); err != nil {
			return o, fmt.Errorf("%s: apply: %w", service, err)
		}
	}
	insert := "INSERT INTO ledger (service, order_id, message_id, attempt, pid, applied_at) VALUES (?, ?, ?, ?, ?, " + s.cfg.Dialect.Now() + ")"
	_, err := tx.ExecContext(ctx, s.cfg.Dialect.Bind(insert), service, o.ID, msg.UUID, delivery.Attempt(ctx), os.Getpid())
	if err != nil {
		return o, fmt.Errorf("%s: append to ledger: %w", service, err)
	}
	return o, s.cfg.Faults.After(service, o)
}
