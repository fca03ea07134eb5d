package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

func (s *shop) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// pay publishes "orders.paid" of each order twice, as an impatient service might.
func (s *shop) pay(ctx context.Context, orders int) error {
	stack, err := sluicegate.New(s.db, sluicegate.Config{})
	if err != nil {
		return fmt.Errorf("make stack: %w", err)
	}
	for range 2 {
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			var msgs []*message.Message
			for n := range orders {
				msgs = append(msgs, message.NewMessage(orderID(n), []byte([]string{"DE", "FR", "CN"}[n%3])))
			}
			return stack.Outbox().Publish(ctx, tx, "orders.paid", msgs...) //nolint:wrapcheck // it says what it did
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes the orders back that the carrier would never label.
func (s *shop) withdraw(ctx context.Context, orders int) (n int, err error) {
	labels, err := s.labels()
	if err != nil {
		return 0, err
	}
	return n, s.inTx(ctx, func(tx *sql.Tx) error {
		n = 0
		for i := range orders {
			if i%kinds != withdrawn {
				continue
			}
			n++
			if err := labels.Withdraw(ctx, tx, orderID(i)); err != nil {
				return err //nolint:wrapcheck // it says what it did
			}
		}
		return nil
	})
}

// again tries what failed once more, now that the addresses are right.
func (s *shop) again(ctx context.Context) (n int, err error) {
	labels, err := s.labels()
	if err != nil {
		return 0, err
	}
	s.carrier.putRight()
	return n, s.inTx(ctx, func(tx *sql.Tx) error {
		failed, err := texts(ctx, tx, "SELECT order_id FROM label WHERE status = 'failed'")
		if err != nil {
			return err
		}
		n = len(failed)
		for _, order := range failed {
			if err := labels.Again(ctx, tx, order); err != nil {
				return err //nolint:wrapcheck // it says what it did
			}
		}
		return nil
	})
}

func texts(ctx context.Context, tx *sql.Tx, query string) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return out, nil
}

// until waits until the query answers true.
func (s *shop) until(ctx context.Context, what, query string, arg int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := s.db.QueryRowContext(ctx, query, arg).Scan(&yes); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
}

// count compares what the kit says with what the carrier made.
func (s *shop) count(ctx context.Context, t *tally) error {
	made := map[string]bool{}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		list, err := texts(ctx, tx, "SELECT order_id FROM label WHERE status = 'made' AND tracking = 'track-' || order_id")
		for _, order := range list {
			made[order] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	s.carrier.mu.Lock()
	defer s.carrier.mu.Unlock()
	t.Made, t.Alerts = len(made), s.alerts.count()
	for n := range t.Orders {
		order := orderID(n)
		want := 1
		if kindOf(order) == withdrawn {
			want = 0
		}
		t.Calls += s.carrier.calls[order]
		switch has := s.carrier.labels[order]; {
		case has < want || made[order] != (want == 1):
			t.Lost++
		case has > want:
			t.Duplicated++
		}
	}
	return nil
}
