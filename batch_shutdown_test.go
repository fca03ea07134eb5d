package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
)

// atShutdown has a batch of three at work, and one more message waiting, when
// the stack is stopped.
func atShutdown(t *testing.T, drain time.Duration, fn sluicegate.BatchHandler) (s *batchShop, err error) {
	db := openDB(t)
	s = &batchShop{db: db}
	stack, err := sluicegate.New(db, sluicegate.Config{Retry: quick(), Observe: s.seen.observe, DrainTimeout: drain})
	if err != nil {
		t.Fatal(err)
	}
	s.b = openMemory(t)
	r := newRouter(t)
	if err := stack.HandleBatch(r, "stock", "orders", s.b.Group("stock"), fn, sluicegate.BatchConfig{Lanes: 1}); err != nil {
		t.Fatal(err)
	}
	stop := running(t, stack, r)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for _, id := range []string{"1", "2", "3", "4"} {
		wg.Go(func() {
			_ = s.b.PublishBatch(ctx, []broker.Outgoing{{Topic: "orders", Message: message.NewMessage(id, nil)}})
		})
		synctest.Wait()
	}
	err = stop()
	cancel()
	wg.Wait()
	return s, err
}

func TestAShutdownLetsBatchesFinishAndPoisonsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := atShutdown(t, time.Minute, func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
			<-time.After(5 * time.Second)
			return errors.Join(ctx.Err(), insertAll(ctx, tx, msgs))
		})
		if err != nil {
			t.Errorf("stop: %v", err)
		}
		s.effects(t, 4)
		if n := s.seen.count(sluicegate.DeadLettered) + s.seen.count(sluicegate.Retried) + s.seen.count(sluicegate.Split); n != 0 {
			t.Errorf("the shutdown counted as %d failures", n)
		}
	})
}

func TestABatchCutOffAtTheDrainDeadlineLeavesNothingAndIsNeitherRetriedNorSetAside(t *testing.T) {
	db := openDB(t)
	var seen events
	stack, err := sluicegate.New(db, sluicegate.Config{Retry: quick(), Observe: seen.observe, DrainTimeout: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	working := make(chan struct{})
	var once sync.Once
	err = stack.HandleBatch(r, "stock", "orders", b.Group("stock"), func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
		err := insertAll(ctx, tx, msgs)
		once.Do(func() { close(working) })
		<-ctx.Done()
		return errors.Join(err, errors.New("an error of its own making"))
	}, sluicegate.BatchConfig{})
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, stack, r)
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan struct{})
	go func() {
		defer close(published)
		_ = b.PublishBatch(ctx, []broker.Outgoing{{Topic: "orders", Message: message.NewMessage("1", nil)}})
	}()
	<-working
	if err := stop(); !errors.Is(err, sluicegate.ErrDrain) {
		t.Errorf("stop: %v", err)
	}
	cancel()
	<-published
	if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 0 {
		t.Errorf("%d effects, want none", n)
	}
	if n := seen.count(sluicegate.DeadLettered) + seen.count(sluicegate.Retried); n != 0 {
		t.Errorf("the shutdown counted as %d failures", n)
	}
}
