package objectsync_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// frozen runs a Sync of product 1 on a Syncer whose write stops before it reaches the store. What
// it returns lets the write go on, however late, and waits for its end.
func (b *bench) frozen(s *objectsync.Syncer) (thaw func() objectsync.Result) {
	arrived, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan objectsync.Result, 1)
	b.store.breakWith(func(_ context.Context, op, _ string) error {
		if op == "put" {
			close(arrived)
			<-proceed
		}
		return nil
	})
	go func() {
		res, err := s.Sync(context.Background(), "1")
		if err != nil {
			b.t.Error(err)
		}
		ended <- res[0]
	}()
	<-arrived
	b.store.breakWith(nil)
	return func() objectsync.Result {
		close(proceed)
		return <-ended
	}
}

func TestAWorkerThatWritesAfterItsLeaseDoesNotHaveTheLastWord(t *testing.T) {
	for _, conditional := range []bool{true, false} {
		t.Run(fmt.Sprintf("conditional %v", conditional), func(t *testing.T) {
			cfg := objectsync.Config{Tries: 1, Timeout: time.Second}
			inBubble(t, cfg, func(t *testing.T, b *bench) {
				var s objectsync.Store = b.store
				if !conditional {
					s = plain{b.store}
				}
				abandoned := b.syncer(s, cfg)
				b.write("lamp", "1")
				thaw := b.frozen(abandoned)
				b.write("better lamp", "1")
				pass(3 * time.Minute) // the lease of two is over
				res, err := b.syncer(s, cfg).Sync(t.Context(), "1")
				must(t, err)
				if res[0].Err != nil {
					t.Fatalf("%+v", res[0])
				}
				b.equal()
				if got := thaw(); !errors.Is(got.Err, objectsync.ErrBusy) || got.Status != objectsync.Pending {
					t.Errorf("%+v", got)
				}
				diff := difference(t.Context(), b.db, b.store.Store)
				if conditional != (diff == "") {
					t.Errorf("after the late write: %q", diff)
				}
				b.run()
				pass(10 * time.Second)
				b.equal()
				synctest.Wait()
			})
		})
	}
}

// A process is killed with a write on its way, which arrives when another process has removed the
// object: nobody expects one to be there, so the store takes it.
func TestAWriteThatArrivesAfterItsProcessHasDiedIsFound(t *testing.T) {
	for _, conditional := range []bool{true, false} {
		t.Run(fmt.Sprintf("conditional %v", conditional), func(t *testing.T) {
			cfg := objectsync.Config{Tries: 1, Timeout: time.Second}
			inBubble(t, cfg, func(t *testing.T, b *bench) {
				if !conditional {
					b.Syncer = b.syncer(plain{b.store}, cfg)
				}
				b.write("lamp", "1")
				// The claim of a process that never comes back.
				_, err := b.db.Exec("UPDATE sluicegate_task SET fence = fence + 1")
				must(t, err)
				b.remove("1")
				if conditional {
					b.run()
				} else {
					b.write("better lamp", "1")
					b.run()
				}
				pass(10 * time.Second)
				b.equal()
				late := objectsync.Blob{Body: []byte(`{"id":"1"}`), Version: 1}
				if conditional {
					_, err = b.store.Store.PutIf(t.Context(), "products/1.json", late, "")
				} else {
					_, err = b.store.Store.Put(t.Context(), "products/1.json", late)
				}
				must(t, err)
				pass(2 * time.Minute)
				b.equal()
				if n := b.tasks("waiting"); n != 0 {
					t.Errorf("%d tasks are left", n)
				}
			})
		})
	}
}

func TestAnUploadAfterOneWithoutAnAnswerIsLookedAtOnceMore(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.run()
		b.write("lamp", "1")
		b.Wake()
		pass(10 * time.Second)
		if n := b.tasks("waiting"); n != 0 {
			t.Errorf("%d tasks are left of an upload that went well", n)
		}
		failed := false
		b.store.breakWith(func(_ context.Context, op, _ string) error {
			if op == "put" && !failed {
				failed = true
				return errBroken
			}
			return nil
		})
		b.write("better lamp", "1")
		b.Wake()
		pass(10 * time.Second)
		b.equal()
		if n := b.tasks("waiting"); n != 1 {
			t.Errorf("%d tasks, want the one that looks again", n)
		}
		pass(2 * time.Minute)
		if n, r := b.tasks("waiting"), b.record("1"); n != 0 || r.Marks != 3 || r.Status != objectsync.Synced {
			t.Errorf("%d tasks, %+v", n, r)
		}
	})
}

func (b *bench) tasks(status string) (n int) {
	b.t.Helper()
	must(b.t, b.db.QueryRow("SELECT COUNT(*) FROM sluicegate_task WHERE status = ?", status).Scan(&n))
	return n
}
