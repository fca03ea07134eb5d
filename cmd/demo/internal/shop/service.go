package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Service is one that handles messages.
type Service struct {
	Name   string
	Topic  string // that it listens to
	Output string // that it puts out to; empty for none
	// Handle handles one message or many, all in tx: an error is one of all.
	Handle func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error)
}

const (
	payment  = "payment"
	shipping = "shipping"
)

// Parcels is the service that writes down what the courier has said. It is none of
// those that act on orders.
const Parcels = "parcels"

// Services returns the services by name.
func (s *Shop) Services() map[string]Service {
	out := map[string]Service{
		payment: {Name: payment, Topic: s.topics.Placed, Output: s.topics.Paid, Handle: s.pay},
	}
	for _, name := range []string{"stock", "points", shipping} {
		out[name] = Service{Name: name, Topic: s.topics.Paid, Handle: func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error) {
			_, err := s.act(ctx, tx, name, msgs, func(orders []Order) error {
				if name != shipping {
					return nil
				}
				return s.cfg.Partners.Shipped(ctx, tx, orders)
			})
			return nil, err
		}}
	}
	out[Parcels] = Service{Name: Parcels, Topic: s.topics.Parcels, Handle: s.noteParcels}
	return out
}

// pay sets the orders paid, and tells the services and the merchant so.
func (s *Shop) pay(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error) {
	orders, err := s.act(ctx, tx, payment, msgs, func(orders []Order) error {
		if err := s.setPaid(ctx, tx, orders); err != nil {
			return err
		}
		return s.cfg.Partners.Paid(ctx, tx, orders)
	})
	if err != nil {
		return nil, err
	}
	outputs := make([]*message.Message, len(orders))
	for i, o := range orders {
		o.Status = Paid
		if outputs[i], err = newMessage(o); err != nil {
			return nil, err
		}
		outputs[i].SetContext(msgs[i].Context()) // whose trace goes on
	}
	return outputs, nil
}

// setPaid also finds that a message of another shop has come by: its order is
// not here, and no attempt will find it.
func (s *Shop) setPaid(ctx context.Context, tx *sql.Tx, orders []Order) error {
	in, ids := s.in(orders)
	result, err := tx.ExecContext(ctx, s.cfg.Dialect.Bind("UPDATE orders SET status = ? WHERE id "+in), append([]any{Paid}, ids...)...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil || n == int64(len(orders)) {
		return err
	}
	// MySQL does not count a row that was paid already.
	if err := tx.QueryRowContext(ctx, s.cfg.Dialect.Bind("SELECT COUNT(*) FROM orders WHERE id "+in), ids...).Scan(&n); err != nil {
		return err
	}
	if n != int64(len(orders)) {
		return failure.Permanent(ErrNotFound)
	}
	return nil
}

// in is the condition that an id is one of orders': on PostgreSQL one whose text
// is the same for any number of them, so that it is prepared once.
func (s *Shop) in(orders []Order) (condition string, args []any) {
	ids := make([]string, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	if s.cfg.Dialect == sqldialect.PostgreSQL {
		return "= ANY(?)", []any{ids}
	}
	for _, id := range ids {
		args = append(args, id)
	}
	return "IN (" + sqldialect.List(len(ids)) + ")", args
}

// act reads the orders of msgs, has effect happen, and appends to the ledger,
// all in tx.
func (s *Shop) act(ctx context.Context, tx *sql.Tx, service string, msgs []*message.Message, effect func([]Order) error) ([]Order, error) {
	orders := make([]Order, len(msgs))
	for i, msg := range msgs {
		if err := decode(service, msg.Payload, &orders[i]); err != nil || orders[i].ID == "" {
			// The error itself would quote the payload.
			return nil, failure.Permanent(fmt.Errorf("%s: message is no order", service))
		}
		if err := s.cfg.Faults.Before(service, orders[i]); err != nil {
			return nil, err
		}
	}
	if err := effect(orders); err != nil {
		return nil, fmt.Errorf("%s: apply: %w", service, err)
	}
	if err := s.append(ctx, tx, service, orders, msgs); err != nil {
		return nil, fmt.Errorf("%s: append to ledger: %w", service, err)
	}
	for _, o := range orders {
		if err := s.cfg.Faults.After(service, o); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

// decode reads of an order what service needs to know: for all but payment, which
// tells of the order again, that is little.
func decode(service string, payload []byte, o *Order) error {
	if service == payment {
		return json.Unmarshal(payload, o)
	}
	var little struct {
		ID  string `json:"id"`
		SKU string `json:"sku"`
	}
	err := json.Unmarshal(payload, &little)
	o.ID, o.SKU = little.ID, little.SKU
	return err
}

// append appends to the ledger, in one statement where the database likes it.
func (s *Shop) append(ctx context.Context, tx *sql.Tx, service string, orders []Order, msgs []*message.Message) error {
	const insert = "INSERT INTO ledger (service, order_id, message_id, attempt, pid, applied_at) "
	d, pid := s.cfg.Dialect, os.Getpid()
	if d == sqldialect.PostgreSQL {
		ids, uuids, attempts := make([]string, len(msgs)), make([]string, len(msgs)), make([]int32, len(msgs))
		for i, msg := range msgs {
			ids[i], uuids[i], attempts[i] = orders[i].ID, msg.UUID, attempt(msg)
		}
		_, err := tx.ExecContext(ctx, insert+"SELECT $1, o, m, a, $5, "+d.Now()+" FROM unnest($2::text[], $3::text[], $4::int[]) AS r(o, m, a)",
			service, ids, uuids, attempts, pid)
		return err
	}
	for len(msgs) > 0 {
		n := min(len(msgs), d.InsertRows())
		values, args := "VALUES ", make([]any, 0, 5*n)
		for i, msg := range msgs[:n] {
			if i > 0 {
				values += ", "
			}
			values += "(?, ?, ?, ?, ?, " + d.Now() + ")"
			args = append(args, service, orders[i].ID, msg.UUID, attempt(msg), pid)
		}
		if _, err := tx.ExecContext(ctx, insert+values, args...); err != nil {
			return err
		}
		orders, msgs = orders[n:], msgs[n:]
	}
	return nil
}

// attempt is the number of the attempt at msg, which a batch does not count.
func attempt(msg *message.Message) int32 {
	return int32(max(1, delivery.Attempt(msg.Context()))) //nolint:gosec // of a few
}
