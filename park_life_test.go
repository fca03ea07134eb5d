package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/park"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// soon gives up after five attempts, the last two of them a minute apart.
func soon() sluicegate.Config {
	return sluicegate.Config{Park: sluicegate.ParkConfig{Policy: park.Policy{Schedule: park.Schedule{MaxAttempts: 5, Delays: []time.Duration{time.Minute}}}}}
}

func TestADeadLetterThatIsRedrivenGoesToItsHandlerAndTakesEffectOnce(t *testing.T) {
	parking(t, soon(), func(s *shop) {
		s.publish("order-1")
		s.after(5 * time.Minute)
		if len(s.letters()) != 1 {
			t.Fatal("no dead letter")
		}
		desk, err := s.stack.Desk()
		if err != nil {
			t.Fatal(err)
		}
		redrive := func() {
			t.Helper()
			letters := s.letters()
			req := deadletter.RedriveRequest{Selection: deadletter.Selection{IDs: []int64{letters[len(letters)-1].ID}}, By: "ada"}
			if _, err := desk.Redrive(s.t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		// In vain, which makes another letter of it, and once more.
		redrive()
		s.after(15 * time.Minute)
		if n := len(s.called("order-1")); n != 10 || len(s.letters()) != 1 {
			t.Fatalf("%d attempts, %d letters after the redrive; want 5 more, and one that is dead", n, len(s.letters()))
		}
		if s.cfg.Store == nil && count(s.t, s.db, "SELECT COUNT(*) FROM sluicegate_inbox WHERE status = 'dead' AND epoch = 1") != 1 {
			t.Error("the inbox record of the redriven message is not dead in its epoch")
		}
		s.fail = func(context.Context, *message.Message) error { return nil }
		redrive()
		s.after(30 * time.Minute)
		s.effects(1)
		s.publish("order-1")
		s.effects(1)
		if n := len(s.letters()); n != 0 {
			t.Errorf("%d letters are dead still", n)
		}
	})
}

func TestADrainLetsAParkedMessageAtWorkFinish(t *testing.T) {
	parking(t, soon(), func(s *shop) {
		working := make(chan struct{}, 1)
		no := s.fail
		s.fail = func(ctx context.Context, msg *message.Message) error {
			if len(s.called(msg.UUID)) < 4 {
				return no(ctx, msg)
			}
			working <- struct{}{}
			select {
			case <-time.After(10 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.publish("order-1")
		<-working
		before := time.Now()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took < 10*time.Second {
			t.Errorf("the stop took %v", took)
		}
		s.effects(1)
		s.tasks("done", 1)
	})
}

func TestAFailureDuringADrainIsCountedAndACutOffIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		spent int
	}{"fails in time": {10 * time.Second, 4}, "is cut off": {time.Hour, 3}} {
		t.Run(name, func(t *testing.T) {
			cfg := soon()
			cfg.Timeout = 2 * time.Hour
			parking(t, cfg, func(s *shop) {
				working := make(chan struct{}, 1)
				no := s.fail
				s.fail = func(ctx context.Context, msg *message.Message) error {
					if len(s.called(msg.UUID)) == 4 {
						working <- struct{}{}
						select {
						case <-time.After(c.takes):
						case <-ctx.Done():
						}
					}
					return no(ctx, msg)
				}
				s.publish("order-1")
				<-working
				err := s.stop()
				if cut := c.spent == 3; errors.Is(err, sluicegate.ErrDrain) != cut {
					t.Errorf("stop: %v", err)
				}
				if n := count(s.t, s.db, "SELECT attempts FROM sluicegate_task WHERE status = 'waiting'"); n != c.spent {
					t.Errorf("%d attempts are spent, want %d", n, c.spent)
				}
				s.start()
				s.after(2 * time.Hour)
				letters := s.letters()
				if len(letters) != 1 || len(letters[0].Attempts) != 5 {
					t.Errorf("%d letters, the first with %d attempts; want 1 with 5", len(letters), len(letters[0].Attempts))
				}
			})
		})
	}
}

func TestADeadLetterThatCannotBeStoredDoesNotHaveTheHandlerCalledAgain(t *testing.T) {
	letters := &moody{}
	cfg := soon()
	cfg.DeadLetters = letters
	parking(t, cfg, func(s *shop) {
		letters.away.Store(true)
		s.publish("order-1")
		s.after(10 * time.Minute)
		s.restart()
		s.after(20 * time.Minute)
		if n := len(s.called("order-1")); n != 5 {
			t.Errorf("%d attempts, want 5", n)
		}
		letters.away.Store(false)
		s.after(30 * time.Minute)
		if n := len(s.called("order-1")); n != 5 || letters.last == nil || len(letters.last.Attempts) != 5 || !strings.Contains(letters.last.Reason, "warehouse") {
			t.Errorf("%d attempts, letter %+v", n, letters.last)
		}
		s.tasks("dead", 1)
	})
}

// moody is a store of dead letters that is away for a while.
type moody struct {
	away atomic.Bool
	last *deadletter.Letter
}

func (m *moody) Put(_ context.Context, l deadletter.Letter) error {
	if m.away.Load() {
		return errors.New("the store of dead letters is away")
	}
	m.last = &l
	return nil
}

func TestAMessageThatCannotBeParkedGoesBackToTheBroker(t *testing.T) {
	parking(t, soon(), func(s *shop) {
		if _, err := s.db.Exec("ALTER TABLE sluicegate_task RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		no := s.fail
		s.fail = func(ctx context.Context, msg *message.Message) error {
			if len(s.called(msg.UUID)) <= 3 {
				return no(ctx, msg)
			}
			return nil
		}
		s.publish("order-1") // waits for the ack
		s.effects(1)
		if n := s.seen.count(sluicegate.Returned); n == 0 || len(s.letters()) != 0 {
			t.Errorf("%d returned, %d letters", n, len(s.letters()))
		}
		if _, err := s.db.Exec("ALTER TABLE elsewhere RENAME TO sluicegate_task"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAParkedMessageOfABatchHandlerRunsSingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, b := openDB(t), openMemory(t)
		cfg := soon()
		cfg.Park.Now = time.Now
		stack, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, begun := newRouter(t), time.Now()
		var late, others atomic.Int32
		err = stack.HandleBatch(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
			if time.Since(begun) >= time.Minute {
				late.Add(1)
				others.Add(int32(len(msgs) - 1))
				return insertAll(ctx, tx, msgs)
			}
			return errors.New("the warehouse says no")
		}, sluicegate.BatchConfig{})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, stack, r)
		for _, id := range []string{"a", "b", "c"} {
			if err := b.Publish("orders", message.NewMessage(id, nil)); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(3 * time.Minute)
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 3 || late.Load() != 3 || others.Load() != 0 {
			t.Errorf("%d effects by %d calls; want 3 calls with one message each", n, late.Load())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		_ = b.Close()
		_ = db.Close()
	})
}

func TestTheChainOfAWholeRouterParksAndResumesWithTheNamesOfWatermill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, b := openDB(t), openMemory(t)
		cfg := soon()
		cfg.Park.Now = time.Now
		begun := time.Now()
		var resumed atomic.Int32
		process := func() func() error {
			stack, err := sluicegate.New(db, cfg)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := stack.Middleware()
			if err != nil {
				t.Fatal(err)
			}
			r := newRouter(t)
			r.AddMiddleware(chain)
			r.AddConsumerHandler("stock", "orders", b.Group("stock"), func(msg *message.Message) error {
				ctx := msg.Context()
				if name, topic := message.HandlerNameFromCtx(ctx), message.SubscribeTopicFromCtx(ctx); name != "stock" || topic != "orders" {
					t.Errorf("handler %q, topic %q", name, topic)
				}
				if msg.UUID == "other" {
					return nil
				}
				if time.Since(begun) < 5*time.Minute {
					return retry.RetryAfter(errors.New("the warehouse says no"), 10*time.Minute)
				}
				resumed.Add(1)
				return nil
			})
			return running(t, stack, r)
		}
		publish := func(id string) {
			if err := b.Publish("orders", message.NewMessage(id, nil)); err != nil {
				t.Fatal(err)
			}
		}
		stop := process()
		publish("order-1")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stop = process()
		publish("other") // from which the handler's name is learned
		<-time.After(15 * time.Minute)
		if n := resumed.Load(); n != 1 {
			t.Errorf("it was resumed %d times, want once", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		_ = b.Close()
		_ = db.Close()
	})
}

func TestAParkConfigurationThatCannotBeKeptIsRefused(t *testing.T) {
	db := openDB(t)
	for want, p := range map[string]sluicegate.ParkConfig{
		"Config.Park: configure park: Config.Policy.MaxAttempts: -1": {Policy: park.Policy{Schedule: park.Schedule{MaxAttempts: -1}}},
		"MaxAttempts: 3 is not more than the 3 immediate attempts":   {Policy: park.Policy{Schedule: park.Schedule{MaxAttempts: 3}}},
		`Config.Handlers["stock"].Order: 7`:                          {Handlers: map[string]park.Policy{"stock": {Order: 7}}},
		"Concurrency: -1":                                            {Concurrency: -1},
	} {
		if _, err := sluicegate.New(db, sluicegate.Config{Park: p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
}
