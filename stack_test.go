package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// strengths runs a test under both chains.
func strengths(t *testing.T, test func(t *testing.T, db *sql.DB, cfg sluicegate.Config)) {
	t.Run("sql", func(t *testing.T) {
		test(t, openDB(t), sluicegate.Config{Retry: quick()})
	})
	t.Run("claimed", func(t *testing.T) {
		test(t, openDB(t), sluicegate.Config{Retry: quick(), Store: memorystore.New()})
	})
}

func TestAnEffectHappensOnceHoweverOftenTheMessageComes(t *testing.T) {
	strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
		var seen events
		cfg.Observe = seen.observe
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, r := openMemory(t), newRouter(t)
		if err := s.Handle(r, "stock", "orders", b.Group("stock"), insertEffect); err != nil {
			t.Fatal(err)
		}
		running(t, s, r)
		for range 3 {
			if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 {
			t.Errorf("%d effects, want 1", n)
		}
		if n := seen.count(sluicegate.Duplicate); n != 2 {
			t.Errorf("%d duplicates seen, want 2", n)
		}
	})
}

func TestAnAttemptThatWroteAndFailedLeavesNothing(t *testing.T) {
	failures := map[string]func(ctx context.Context, tx *sql.Tx) error{
		"an error outside SQL": func(context.Context, *sql.Tx) error { return errors.New("the warehouse says no") },
		"an error of SQL": func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
			return err
		},
		"a panic":    func(context.Context, *sql.Tx) error { panic("boom") },
		"a time-out": func(ctx context.Context, _ *sql.Tx) error { <-ctx.Done(); return ctx.Err() },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
				cfg.Timeout = 50 * time.Millisecond
				s, err := sluicegate.New(db, cfg)
				if err != nil {
					t.Fatal(err)
				}
				b, r := openMemory(t), newRouter(t)
				var calls atomic.Int32
				err = s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
					if err := insertEffect(ctx, tx, msg); err != nil {
						return err
					}
					if calls.Add(1) == 1 {
						return fail(ctx, tx)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				running(t, s, r)
				if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
					t.Fatal(err)
				}
				if n := calls.Load(); n != 2 {
					t.Errorf("the handler ran %d times, want 2", n)
				}
				if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 {
					t.Errorf("%d effects, want that of the second attempt alone", n)
				}
			})
		})
	}
}

func TestAHopelessMessageIsSetAsideOnceAndItsDuplicateDoesNotRun(t *testing.T) {
	strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
		alerts := &recorder{}
		cfg.Alerts, cfg.Consumer, cfg.Park.Off = alerts, "shop", true
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, r := openMemory(t), newRouter(t)
		var calls atomic.Int32
		err = s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			calls.Add(1)
			return errors.Join(insertEffect(ctx, tx, msg), errors.New("no such product"))
		})
		if err != nil {
			t.Fatal(err)
		}
		running(t, s, r)
		for range 2 {
			if err := b.Publish("orders", message.NewMessage("order-1", []byte("bytes"))); err != nil {
				t.Fatal(err)
			}
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("the handler ran %d times, want the 3 attempts of the first delivery", n)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 0 {
			t.Errorf("%d effects of a message that failed", n)
		}
		letters, err := deadletter.SQL(db, deadletter.SQLConfig{})
		if err != nil {
			t.Fatal(err)
		}
		list, err := letters.List(t.Context(), deadletter.Filter{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d letters, %v; want 1", len(list), err)
		}
		l := list[0]
		if l.Scope() != "shop/stock" || l.Topic != "orders" || string(l.Message.Payload) != "bytes" || len(l.Attempts) != 3 {
			t.Errorf("the letter is %+v", l)
		}
		if n := alerts.count(); n != 1 {
			t.Errorf("%d alerts, want 1", n)
		}
	})
}

type recorder struct{ n atomic.Int32 }

func (r *recorder) Emit(alert.Alert) { r.n.Add(1) }
func (r *recorder) count() int       { return int(r.n.Load()) }

func TestAConfigurationThatCannotKeepItsPromiseIsRefused(t *testing.T) {
	db := openDB(t)
	_, err := sluicegate.New(db, sluicegate.Config{
		Retention: time.Hour, RedeliveryHorizon: 2 * time.Hour, Timeout: -1, DrainTimeout: -1, Prefix: "a b",
	})
	for _, want := range []string{"Retention: 1h0m0s is shorter than Config.RedeliveryHorizon 2h0m0s", "Timeout", "DrainTimeout", "Prefix"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
	if _, err := sluicegate.New(nil, sluicegate.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Store") || !strings.Contains(err.Error(), "Config.DeadLetters") {
		t.Errorf("no database: %v", err)
	}
	cfg := sluicegate.Config{}
	cfg.Retry.MaxAttempts = -1
	if _, err := sluicegate.New(db, cfg); err == nil || !strings.Contains(err.Error(), "MaxAttempts") {
		t.Errorf("a bad retry configuration was accepted: %v", err)
	}
}

func TestAHandlerThatCannotWorkIsRefused(t *testing.T) {
	db, b := openDB(t), openMemory(t)
	s, err := sluicegate.New(db, sluicegate.Config{Store: memorystore.New()})
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t)
	fn := func(context.Context, *sql.Tx, *message.Message) ([]*message.Message, error) { return nil, nil }
	if err := s.HandleProducing(r, "a", "in", b.Group("g"), "", fn); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"the router has a handler of that name": s.HandleProducing(r, "a", "in", b.Group("g"), "", fn),
		"the name is empty":                     s.HandleProducing(r, "", "in", b.Group("g"), "", fn),
		"the topic is empty":                    s.HandleProducing(r, "b", "", b.Group("g"), "", fn),
		"the subscriber is nil":                 s.HandleProducing(r, "c", "in", nil, "", fn),
		"the function is nil":                   s.Handle(r, "d", "in", b.Group("g"), nil),
		"round for ever":                        s.HandleProducing(r, "e", "in", b.Group("g"), "in", fn),
		"Config.Publisher is not set":           s.HandleProducing(r, "f", "in", b.Group("g"), "out", fn),
	} {
		if !errors.Is(err, sluicegate.ErrHandler) || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

// longMemory is a broker that may deliver again after longer than records are kept.
type longMemory struct{ broker.Driver }

func (longMemory) Capabilities() broker.Capabilities {
	return broker.Capabilities{Driver: "longmemory", RedeliveryHorizon: 8 * 24 * time.Hour}
}

func (longMemory) Close(context.Context) error { return nil }

func TestABrokerThatRemembersLongerThanTheInboxIsRefused(t *testing.T) {
	broker.Register("longmemory", func(context.Context, *url.URL, broker.Options) (broker.Driver, error) { return longMemory{}, nil })
	b, err := broker.Open(t.Context(), "longmemory://x", broker.Config{ConsumerGroup: "stock"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	db := openDB(t)
	for name, sub := range map[string]message.Subscriber{"the broker": b, "a group of it": b.Group("stock")} {
		for retention, refused := range map[time.Duration]bool{0: true, 8 * 24 * time.Hour: false} {
			s, err := sluicegate.New(db, sluicegate.Config{Retention: retention})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Handle(newRouter(t), "stock", "orders", sub, insertEffect)
			if got := err != nil && strings.Contains(err.Error(), "192h0m0s"); got != refused {
				t.Errorf("%s with a retention of %v: %v", name, retention, err)
			}
		}
	}
}
