package park_test

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
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/middleware/park"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openTable(t *testing.T) (*park.Table, *sql.DB) {
	t.Helper()
	db := sqlitetest.Migrate(t, sqlitetest.Durable(t))
	table, err := park.SQL(db, park.TableConfig{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return table, db
}

var errBoom = errors.New("boom")

// alone has a Parker on a plain router in virtual time, without any other layer.
func alone(t *testing.T, cfg park.Config, h message.HandlerFunc, test func(r *routertest.Router, db *sql.DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		table, db := openTable(t)
		p, err := park.New(table, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		test(routertest.Start(t, h, p.Entry("", ""), p.Middleware), db)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
}

func TestItWorksAloneOnAPlainRouter(t *testing.T) {
	var calls []time.Time
	parked := 0
	cfg := park.Config{Observe: func(e park.Event) {
		if e.Kind == event.Parked {
			parked++
		}
		if e.Handler != routertest.Handler || e.Topic != routertest.Topic || e.Key != "1" || e.MessageID != "1" {
			t.Errorf("told %+v", e)
		}
	}}
	alone(t, cfg, func(msg *message.Message) ([]*message.Message, error) {
		if string(msg.Payload) != "bytes" || msg.Metadata.Get("k") != "v\xff" || message.HandlerNameFromCtx(msg.Context()) != routertest.Handler {
			t.Errorf("got %q, %q", msg.Payload, msg.Metadata)
		}
		msg.Metadata.Set("k", "overwritten")
		if calls = append(calls, time.Now()); len(calls) < 4 {
			return nil, errBoom
		}
		return nil, nil
	}, func(r *routertest.Router, db *sql.DB) {
		msg := message.NewMessage("1", []byte("bytes"))
		msg.Metadata.Set("k", "v\xff") // not UTF-8
		if got := r.Deliver(msg); got != routertest.Acked {
			t.Errorf("the failed message was %s", got)
		}
		<-time.After(time.Hour)
		if len(calls) != 4 || parked != 3 {
			t.Fatalf("%d calls, told of %d parked; want 4, 3", len(calls), parked)
		}
		for i, want := range []time.Duration{4 * time.Minute, time.Minute, time.Minute} {
			if d := calls[i+1].Sub(calls[i]); d < want-time.Millisecond || d > want+time.Second {
				t.Errorf("wait %d was %v, want %v", i+1, d, want)
			}
		}
	})
}

func TestWhatIsNotToBeParkedIsReturned(t *testing.T) {
	for name, c := range map[string]struct {
		cfg park.Config
		err error
	}{
		"permanent":               {park.Config{}, failure.Permanent(errBoom)},
		"not retryable":           {park.Config{Retryable: func(err error) bool { return !errors.Is(err, errBoom) }}, errBoom},
		"another is at work":      {park.Config{}, failure.Unavailable(failure.ErrBusy)},
		"an outage not excusable": {park.Config{Excusable: func(context.Context, error) bool { return false }}, failure.Unavailable(errBoom)},
		"the last attempt":        {park.Config{Policy: park.Policy{Schedule: park.Schedule{MaxAttempts: 1}}}, errBoom},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Put = func(context.Context, park.Spec) (bool, error) { t.Error("it was parked"); return true, nil }
			table, _ := openTable(t)
			p, err := park.New(table, c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
				return nil, c.err
			}, func(next message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					out, err := next(msg)
					if err != c.err { //nolint:errorlint // as it is
						t.Errorf("returned %v, want it as it was", err)
					}
					return out, err
				}
			}, p.Middleware)
			_ = r.Deliver(message.NewMessage("1", nil))
		})
	}
}

func TestAStoreThatFailsHasTheMessageGoBackUnlessItRefusesItForGood(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		unavailable bool
	}{
		"away":    {errors.New("database is away"), true},
		"refused": {failure.Permanent(errors.New("too large")), false},
	} {
		t.Run(name, func(t *testing.T) {
			table, _ := openTable(t)
			p, err := park.New(table, park.Config{Put: func(context.Context, park.Spec) (bool, error) { return false, c.err }})
			if err != nil {
				t.Fatal(err)
			}
			r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) { return nil, errBoom },
				func(next message.HandlerFunc) message.HandlerFunc {
					return func(msg *message.Message) ([]*message.Message, error) {
						out, err := next(msg)
						var store *park.StoreError
						if !errors.As(err, &store) || !errors.Is(err, errBoom) || failure.IsUnavailable(err) != c.unavailable || failure.IsPermanent(err) == c.unavailable {
							t.Errorf("returned %v", err)
						}
						return out, err
					}
				}, p.Middleware)
			if got := r.Deliver(message.NewMessage("1", nil)); got != routertest.Nacked {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestAParkedMessageThatCannotBeReadStaysAndHarmsNoOther(t *testing.T) {
	n := 0
	alone(t, park.Config{}, func(*message.Message) ([]*message.Message, error) {
		if n++; n < 3 {
			return nil, errBoom
		}
		return nil, nil
	}, func(r *routertest.Router, db *sql.DB) {
		r.Deliver(message.NewMessage("bad", nil))
		if _, err := db.Exec("UPDATE sluicegate_task SET payload = x'00'"); err != nil {
			t.Fatal(err)
		}
		r.Deliver(message.NewMessage("good", nil))
		<-time.After(2 * time.Hour)
		var status, text string
		if err := db.QueryRow("SELECT status, error FROM sluicegate_task WHERE task_key = 'bad'").Scan(&status, &text); err != nil || status != "waiting" || !strings.Contains(text, "not a parked message") {
			t.Errorf("%s, %q, %v", status, text, err)
		}
		if err := db.QueryRow("SELECT status FROM sluicegate_task WHERE task_key = 'good'").Scan(&status); err != nil || status != "done" {
			t.Errorf("%s, %v", status, err)
		}
	})
}

func TestAHandlerThatReturnsMessagesWhileParkedIsRefusedForGood(t *testing.T) {
	n := 0
	alone(t, park.Config{}, func(*message.Message) ([]*message.Message, error) {
		if n++; n == 1 {
			return nil, errBoom
		}
		return []*message.Message{message.NewMessage("2", nil)}, nil
	}, func(r *routertest.Router, db *sql.DB) {
		r.Deliver(message.NewMessage("1", nil))
		<-time.After(5 * time.Minute)
		var text string
		if err := db.QueryRow("SELECT error FROM sluicegate_task").Scan(&text); err != nil || !strings.Contains(text, "nobody would publish") {
			t.Errorf("%q, %v", text, err)
		}
		if n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestThatAMessageWasParkedAgainIsToldOnceItIsTrue(t *testing.T) {
	var db *sql.DB
	var calls, parked atomic.Int64
	rename := func(from, to string) {
		if _, err := db.Exec("ALTER TABLE " + from + " RENAME TO " + to); err != nil {
			t.Error(err)
		}
	}
	cfg := park.Config{Observe: func(e park.Event) {
		if e.Kind == event.Parked {
			parked.Add(1)
		}
	}}
	alone(t, cfg, func(*message.Message) ([]*message.Message, error) {
		if calls.Add(1) == 2 {
			rename("sluicegate_task", "away")
		}
		return nil, errBoom
	}, func(r *routertest.Router, opened *sql.DB) {
		db = opened
		_ = r.Deliver(message.NewMessage("1", nil))
		<-time.After(4*time.Minute + 30*time.Second)
		if calls.Load() != 2 || parked.Load() != 1 {
			t.Errorf("%d calls, told of %d parked, want 2, 1: the second could not be stored", calls.Load(), parked.Load())
		}
		rename("away", "sluicegate_task")
		<-time.After(2*time.Minute + 30*time.Second)
		if calls.Load() < 3 || parked.Load() != calls.Load()-1 {
			t.Errorf("%d calls, told of %d parked", calls.Load(), parked.Load())
		}
	})
}
