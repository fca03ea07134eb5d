package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

var errBroken = errors.New("broken")

func only(op string, err error) func(context.Context, string, string) error {
	return func(_ context.Context, o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

func TestRowsBecomeObjectsWhichAreOverwrittenAndNeverDeletedFirst(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.run()
		b.write("lamp", "1", "2", "a/3")
		b.Wake()
		pass(time.Second)
		b.equal()
		b.write("better lamp", "1", "2")
		b.Wake()
		pass(time.Second)
		b.equal()
		if n := len(b.store.of("delete")); n != 0 {
			t.Errorf("%d deletions", n)
		}
		if n := len(b.store.of("put")); n != 5 {
			t.Errorf("%d writes, want 5", n)
		}
		if r := b.record("1"); r.Status != objectsync.Synced || r.Version != 2 || r.Marks != 2 || r.Error != "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestRepeatingChangesNothing(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.write("lamp", "1")
		for range 3 {
			res, err := b.Sync(t.Context(), "1")
			must(t, err)
			if res[0].Status != objectsync.Synced || res[0].Err != nil || res[0].Version != 1 || res[0].Tries != 1 {
				t.Fatalf("%+v", res[0])
			}
		}
		b.equal()
		if n := len(b.store.of("put")); n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
	})
}

func TestTriesAreOneAndTwoSecondsApartAndThenGrowUpToACap(t *testing.T) {
	cfg := objectsync.Config{Schedule: objectsync.Schedule{Initial: 10 * time.Second, Multiplier: 3, Max: time.Minute, MaxAttempts: 5}}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		b.store.breakWith(only("put", errBroken))
		b.run()
		b.write("lamp", "1")
		b.Wake()
		pass(10 * time.Minute)
		at := b.store.of("put")
		if len(at) != 15 {
			t.Fatalf("%d tries, want 5 runs of 3", len(at))
		}
		for run, wait := range []time.Duration{0, 10, 30, 60, 60} {
			first := at[3*run]
			if one, two := at[3*run+1]-first, at[3*run+2]-at[3*run+1]; one != time.Second || two != 2*time.Second {
				t.Errorf("run %d: tries %v and %v apart", run, one, two)
			}
			if run == 0 {
				continue
			}
			// Up to a twentieth is random, and the worker may look 100 ms late.
			wait *= time.Second
			if got := first - at[3*run-1]; got < wait || got > wait+wait/20+200*time.Millisecond {
				t.Errorf("run %d came after %v, want %v", run, got, wait)
			}
		}
		if r := b.record("1"); r.Status != objectsync.Failed || !strings.Contains(r.Error, "broken") {
			t.Errorf("%+v", r)
		}
		if n := b.alerts.of(objectsync.AlertFailed); n != 1 {
			t.Errorf("%d alerts, want 1", n)
		}
		// What was given up begins anew with the next mark.
		b.store.breakWith(nil)
		b.write("lamp 2", "1")
		b.Wake()
		pass(time.Second)
		b.equal()
	})
}

func TestAFailureConcernsItsEntity(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.store.breakWith(func(_ context.Context, op, key string) error {
			if op == "put" && key == "products/2.json" {
				return errBroken
			}
			return nil
		})
		b.write("lamp", "1", "2", "3")
		res, err := b.Sync(t.Context(), "3", "2", "1")
		must(t, err)
		for i, want := range []string{"3", "2", "1"} {
			broken := want == "2"
			r := res[i]
			if r.Entity != want || errors.Is(r.Err, errBroken) != broken || (r.Status == objectsync.Pending) != broken {
				t.Errorf("%+v", r)
			}
		}
		if res[1].Tries != 3 {
			t.Errorf("%d tries, want 3", res[1].Tries)
		}
		b.store.breakWith(nil)
		b.run()
		pass(time.Minute)
		b.equal()
	})
}

func TestWhatCannotBeSerialisedIsNotTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		object objectsync.Object
		err    error
		want   error
	}{
		"a channel":          {object: objectsync.Object{Body: make(chan int)}, want: objectsync.ErrBody},
		"no body":            {want: objectsync.ErrBody},
		"too large":          {object: objectsync.Object{Body: make([]byte, 101)}, want: objectsync.ErrTooLarge},
		"a negative version": {object: objectsync.Object{Body: 1, Version: -1}, want: objectsync.ErrVersion},
		"Load says so":       {err: objectsync.Permanent(errBroken), want: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			loads := 0
			cfg := objectsync.Config{MaxSize: 100, Load: func(context.Context, *sql.DB, string) (objectsync.Object, error) {
				loads++
				return c.object, c.err
			}}
			inBubble(t, cfg, func(t *testing.T, b *bench) {
				res, err := b.Sync(t.Context(), "1")
				must(t, err)
				if r := res[0]; r.Status != objectsync.Failed || r.Tries != 1 || !errors.Is(r.Err, c.want) {
					t.Errorf("%+v", r)
				}
				if loads != 1 || b.alerts.of(objectsync.AlertFailed) != 1 {
					t.Errorf("%d loads, %d alerts", loads, b.alerts.of(objectsync.AlertFailed))
				}
				b.run()
				pass(10 * time.Minute)
				if len(b.store.of("put")) != 0 || loads != 1 {
					t.Error("it was tried again")
				}
			})
		})
	}
}

func TestAMarkDuringAnUploadMakesItRunAgain(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		arrived, proceed := make(chan struct{}), make(chan struct{})
		b.store.breakWith(func(_ context.Context, op, _ string) error {
			if op == "put" {
				arrived <- struct{}{}
				<-proceed
			}
			return nil
		})
		b.run()
		b.write("lamp", "1")
		b.Wake()
		<-arrived
		b.write("better lamp", "1")
		b.store.breakWith(nil)
		close(proceed)
		pass(time.Second)
		b.equal()
		if n := len(b.store.of("put")); n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
		if r := b.record("1"); r.Status != objectsync.Synced || r.Version != 2 {
			t.Errorf("%+v", r)
		}
	})
}

func TestAPanicInLoadIsAFailureOfItsEntity(t *testing.T) {
	cfg := objectsync.Config{Load: func(ctx context.Context, db *sql.DB, entity string) (objectsync.Object, error) {
		if entity == "1" {
			panic("secret")
		}
		return load(ctx, db, entity)
	}}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		b.write("lamp", "1", "2")
		res, err := b.Sync(t.Context(), "1", "2")
		must(t, err)
		if res[0].Status != objectsync.Pending || strings.Contains(fmt.Sprint(res[0].Err), "secret") || res[1].Status != objectsync.Synced {
			t.Errorf("%+v", res)
		}
	})
}
