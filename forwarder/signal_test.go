package forwarder_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// wire is a Signal between the outboxes of a test.
type wire struct {
	sent atomic.Int64
	fail atomic.Bool

	mu     sync.Mutex
	listen func() error // what Listen does first
	wakes  []func()
	heard  chan struct{} // a listener is there
}

func (w *wire) Send(context.Context) error {
	w.sent.Add(1)
	if w.fail.Load() {
		return errors.New("nobody is there")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wake := range w.wakes {
		wake()
	}
	return nil
}

func (w *wire) Listen(ctx context.Context, wake func()) error {
	if w.listen != nil {
		if err := w.listen(); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.wakes = append(w.wakes, wake)
	w.mu.Unlock()
	wake()
	close(w.heard)
	<-ctx.Done()
	return ctx.Err()
}

type received chan string

func (r received) Publish(_ string, msgs ...*message.Message) error {
	for _, msg := range msgs {
		r <- msg.UUID
	}
	return nil
}
func (received) Close() error { return nil }

func put(t *testing.T, db *sql.DB, box *forwarder.Outbox, id string) {
	t.Helper()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(box.Publish(t.Context(), tx, "orders", message.NewMessage(id, nil)), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	box.Wake()
}

func TestASignalWakesARelayThatWouldLookMuchLater(t *testing.T) {
	db := sqlitetest.Durable(t)
	w := &wire{heard: make(chan struct{})}
	cfg := forwarder.Config{Signal: w, Relay: forwarder.RelayConfig{PollMin: time.Hour, PollMax: time.Hour}}
	writer, err := forwarder.New(db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	relaying, err := forwarder.New(db, cfg) // as in another process: no Wake reaches it
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := make(received, 10), make(chan error, 1)
	go func() { ended <- relaying.Relay(ctx, out) }()
	<-w.heard
	for _, id := range []string{"a", "b", "c"} {
		put(t, db, writer, id)
		select {
		case got := <-out:
			if got != id {
				t.Errorf("got %s, want %s", got, id)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the relay was not woken")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestManyCommitsShareASignal(t *testing.T) {
	db := sqlitetest.Durable(t)
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		box, err := forwarder.New(db, forwarder.Config{Signal: w, SignalEvery: 2 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		box.Wake()
		synctest.Wait()
		if n := w.sent.Load(); n != 1 {
			t.Fatalf("%d signals for the first commit, want 1 at once", n)
		}
		start := time.Now()
		for time.Since(start) < 100*time.Millisecond {
			box.Wake()
			<-time.After(10 * time.Microsecond)
		}
		<-time.After(10 * time.Millisecond)
		if n := w.sent.Load(); n < 45 || n > 52 {
			t.Errorf("%d signals in 100 ms, want about 50", n)
		}
	})
}

func TestASignalThatCannotBeSentIsSaidOnceAndNothingElseHappens(t *testing.T) {
	db := sqlitetest.Durable(t)
	synctest.Test(t, func(t *testing.T) {
		var log records
		w := &wire{}
		w.fail.Store(true)
		box, err := forwarder.New(db, forwarder.Config{Signal: w, Logger: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			box.Wake()
			<-time.After(time.Second)
		}
		if n := strings.Count(log.String(), "could not wake"); n != 1 || w.sent.Load() != 5 {
			t.Errorf("%d lines for %d failures: %s", n, w.sent.Load(), log.String())
		}
	})
}

func TestARelayThatHearsNothingLooksByItself(t *testing.T) {
	for name, permanent := range map[string]bool{"for now": false, "ever": true} {
		t.Run(name, func(t *testing.T) {
			db := sqlitetest.Durable(t)
			var log records
			var tries atomic.Int64
			w := &wire{heard: make(chan struct{})}
			w.listen = func() error {
				switch {
				case permanent:
					tries.Add(1)
					return forwarder.ErrNoSignal
				case tries.Add(1) < 3:
					return errors.New("not yet")
				}
				return nil
			}
			box, err := forwarder.New(db, forwarder.Config{Signal: w, Logger: log.logger(), Relay: forwarder.RelayConfig{RetryMin: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			if err := box.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			out, ended := make(received, 10), make(chan error, 1)
			go func() { ended <- box.Relay(ctx, out) }()
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(box.Publish(ctx, tx, "orders", message.NewMessage("a", nil)), tx.Commit()); err != nil {
				t.Fatal(err)
			}
			<-out
			if !permanent {
				<-w.heard
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "hears no signals"); n != 1 || permanent && tries.Load() != 1 {
				t.Errorf("%d lines after %d tries: %s", n, tries.Load(), log.String())
			}
		})
	}
}
