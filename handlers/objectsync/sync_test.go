package objectsync_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// gate has the first write wait until it is let through.
func (b *bench) gate() (arrived <-chan struct{}, proceed func()) {
	at, on := make(chan struct{}), make(chan struct{})
	b.store.breakWith(func(_ context.Context, op, _ string) error {
		if op == "put" {
			close(at)
			<-on
		}
		return nil
	})
	return at, func() {
		b.store.breakWith(nil)
		close(on)
	}
}

func TestASyncWaitsForWhoHasTheEntity(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		arrived, proceed := b.gate()
		b.run()
		b.write("lamp", "1")
		b.Wake()
		<-arrived
		got := make(chan objectsync.Result)
		go func() {
			res, err := b.Sync(context.Background(), "1")
			if err != nil {
				t.Error(err)
			}
			got <- res[0]
		}()
		pass(3 * time.Second)
		proceed()
		if r := <-got; r.Status != objectsync.Synced || r.Err != nil || r.Version != 1 {
			t.Errorf("%+v", r)
		}
		b.equal()
	})
}

func TestASyncTellsThatTheEntityWasMarkedMeanwhile(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.write("lamp", "1")
		arrived, proceed := b.gate()
		got := make(chan objectsync.Result)
		go func() {
			res, err := b.Sync(context.Background(), "1")
			if err != nil {
				t.Error(err)
			}
			got <- res[0]
		}()
		<-arrived
		b.write("better lamp", "1")
		proceed()
		if r := <-got; r.Status != objectsync.Pending || !errors.Is(r.Err, objectsync.ErrMarked) || r.Version != 1 {
			t.Errorf("%+v", r)
		}
		b.run()
		pass(time.Second)
		b.equal()
	})
}

func TestASyncOfNothingOrOfOneTwiceIsFine(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		if res, err := b.Sync(t.Context()); err != nil || len(res) != 0 {
			t.Errorf("%v %v", res, err)
		}
		b.write("lamp", "1")
		res, err := b.Sync(t.Context(), "1", "1")
		must(t, err)
		for _, r := range res {
			if r.Status != objectsync.Synced || r.Err != nil {
				t.Errorf("%+v", r)
			}
		}
		b.equal()
	})
}
