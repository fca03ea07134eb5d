package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

func TestAShutdownLetsHandlersFinishAndPoisonsNothing(t *testing.T) {
	strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
		var seen events
		cfg.Observe = seen.observe
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, r := openMemory(t), newRouter(t)
		working, release := make(chan struct{}), make(chan struct{})
		err = s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			close(working)
			<-release
			if err := ctx.Err(); err != nil {
				return err
			}
			return insertEffect(ctx, tx, msg)
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, s, r)
		published := make(chan error, 1)
		go func() { published <- b.Publish("orders", message.NewMessage("order-1", nil)) }()
		<-working
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		select {
		case err := <-stopped:
			t.Fatalf("stopped with a handler at work: %v", err)
		case <-time.After(20 * time.Millisecond): // what must not happen needs a while to not happen
		}
		close(release)
		if err := <-stopped; err != nil {
			t.Fatalf("stop: %v", err)
		}
		if err := <-published; err != nil {
			t.Errorf("the message was not acked: %v", err)
		}
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 {
			t.Errorf("%d effects, want 1", n)
		}
		if n := seen.count(sluicegate.DeadLettered) + seen.count(sluicegate.Retried) + seen.count(sluicegate.Parked); n != 0 {
			t.Errorf("the shutdown counted as %d failures", n)
		}
	})
}

func TestAHandlerCutOffAtTheDrainDeadlineIsNeitherRetriedNorSetAside(t *testing.T) {
	strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
		var seen events
		cfg.Observe, cfg.DrainTimeout = seen.observe, 30*time.Millisecond
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, r := openMemory(t), newRouter(t)
		working := make(chan struct{})
		err = s.Handle(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			if err := insertEffect(ctx, tx, msg); err != nil {
				return err
			}
			close(working)
			<-ctx.Done()
			return errors.New("an error of its own making") // judged by the context, not by the error
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, s, r)
		ctx, cancel := context.WithCancel(t.Context())
		published := make(chan []error, 1)
		go func() {
			published <- b.PublishBatch(ctx, outgoing("orders", message.NewMessage("order-1", nil)))
		}()
		<-working
		if err := stop(); !errors.Is(err, sluicegate.ErrDrain) {
			t.Errorf("got %v, want ErrDrain", err)
		}
		cancel()
		if errs := <-published; errs == nil {
			t.Error("the message was acked")
		}
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 0 {
			t.Errorf("%d effects of a handler that was cut off", n)
		}
		if n := seen.count(sluicegate.DeadLettered) + seen.count(sluicegate.Retried) + seen.count(sluicegate.Parked); n != 0 {
			t.Errorf("the shutdown counted as %d failures", n)
		}
	})
}

func TestRunTellsOfARouterThatEndsByItself(t *testing.T) {
	s, err := sluicegate.New(openDB(t), sluicegate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, b := newRouter(t), openMemory(t)
	sub := b.Group("") // an empty group is refused when the router subscribes
	if err := s.Handle(r, "stock", "orders", sub, insertEffect); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), r); err == nil {
		t.Fatal("Run returned nil though the router could not start")
	}
}

func TestASecondRunOfARouterIsRefusedAndHarmsNothing(t *testing.T) {
	db := openDB(t)
	s, err := sluicegate.New(db, sluicegate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, b := newRouter(t), openMemory(t)
	if err := s.Handle(r, "stock", "orders", b.Group("stock"), insertEffect); err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	if err := s.Run(t.Context(), r); err == nil {
		t.Fatal("a router that runs was run again")
	}
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 {
		t.Errorf("%d effects, want 1: the first run must go on", n)
	}
}

// ending is a subscriber whose subscription ends when told.
type ending struct{ out chan *message.Message }

func (e ending) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return e.out, nil
}
func (e ending) Close() error { return nil }

func TestAHandlerThatStopsAloneEndsRunWhereThePlainRouterGoesOn(t *testing.T) {
	b, plain := openMemory(t), newRouter(t)
	dead := ending{out: make(chan *message.Message)}
	nothing := func(*message.Message) error { return nil }
	stopping := plain.AddConsumerHandler("dead", "orders", dead, nothing)
	plain.AddConsumerHandler("alive", "orders", b.Group("plain"), nothing)
	ended := make(chan error, 1)
	go func() { ended <- plain.Run(t.Context()) }()
	<-plain.Running()
	close(dead.out)
	<-stopping.Stopped()
	if plain.IsClosed() {
		t.Error("the plain router closes by itself: the stack need not watch any more")
	}
	if err := errors.Join(plain.Close(), <-ended); err != nil {
		t.Fatal(err)
	}

	s, err := sluicegate.New(openDB(t), sluicegate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t)
	dead = ending{out: make(chan *message.Message)}
	err = errors.Join(s.Handle(r, "dead", "orders", dead, insertEffect), s.Handle(r, "alive", "orders", b.Group("ours"), insertEffect))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-r.Running()
		close(dead.out)
	}()
	if err := s.Run(t.Context(), r); !errors.Is(err, sluicegate.ErrHandlerStopped) || !strings.Contains(err.Error(), `"dead"`) {
		t.Fatalf("Run returned %v, want ErrHandlerStopped naming the handler", err)
	}
}

func TestARouterClosedByAnotherHandIsNoCleanStop(t *testing.T) {
	s, err := sluicegate.New(openDB(t), sluicegate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, b := newRouter(t), openMemory(t)
	if err := s.Handle(r, "stock", "orders", b.Group("stock"), insertEffect); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-r.Running()
		_ = r.Close()
	}()
	if err := s.Run(t.Context(), r); !errors.Is(err, sluicegate.ErrHandlerStopped) {
		t.Fatalf("got %v, want ErrHandlerStopped", err)
	}
}

// waiting is a subscriber whose broker never comes.
type waiting struct{ asked chan struct{} }

func (w waiting) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	close(w.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}
func (waiting) Close() error { return nil }

func TestRunGivesUpARouterThatNeverStarts(t *testing.T) {
	s, err := sluicegate.New(openDB(t), sluicegate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, sub := newRouter(t), waiting{asked: make(chan struct{})}
	if err := s.Handle(r, "stock", "orders", sub, insertEffect); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-sub.asked
		cancel()
	}()
	if err := s.Run(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
}
