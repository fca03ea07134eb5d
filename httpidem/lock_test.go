package httpidem_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func lockOf(tb testing.TB, store httpidem.Store, change func(*httpidem.LockConfig)) *httpidem.Lock {
	tb.Helper()
	cfg := httpidem.LockConfig{Operator: byTenant}
	if change != nil {
		change(&cfg)
	}
	lock, err := httpidem.NewLock(store, cfg)
	must(tb, err)
	return lock
}

func TestWhoFindsTheLockTakenFailsAtOnceAndOtherWorkDoesNotWait(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		lock := lockOf(t, store, nil)
		var inner http.Handler
		h := lock.Middleware("edit")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r)
		}))
		free := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		inner = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			inner = free
			busy := call{path: "/orders/1"}.to(h)
			wantProblem(t, busy, http.StatusConflict, "resource-locked")
			if busy.Header().Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", busy.Header().Get("Retry-After"))
			}
			for _, other := range []call{{path: "/orders/2"}, {path: "/orders/1", tenant: "b"}} {
				wantStatus(t, other.to(h), http.StatusNoContent)
			}
			wantStatus(t, call{path: "/orders/1"}.to(lock.Middleware("print")(free)), http.StatusNoContent)
			w.WriteHeader(http.StatusNoContent)
		})
		wantStatus(t, call{path: "/orders/1"}.to(h), http.StatusNoContent)
		wantStatus(t, call{path: "/orders/1"}.to(h), http.StatusNoContent) // it was released
		wantProblem(t, call{header: map[string]string{"X-Tenant": ""}}.to(h), http.StatusForbidden, "client-unknown")
	})
}

func TestPartsOfALockAreKeptApart(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		lock, ctx := lockOf(t, store, nil), t.Context()
		all := [][3]string{{"op", "a:b", "c"}, {"op", "a", "b:c"}, {"op:a", "b", "c"}, {"op", "a", "bc"}, {"op", "ab", "c"}, {"opa", "b", "c"}, {"", "", "opabc"}}
		var nest func(n int) error
		nest = func(n int) error {
			if n == len(all) {
				return nil
			}
			return lock.Do(ctx, all[n][0], all[n][1], all[n][2], func(context.Context) error { return nest(n + 1) })
		}
		must(t, nest(0))
	})
}

func TestTheNumberOfALockGrowsWithEachHolder(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		lock := lockOf(t, store, nil)
		for want := int64(1); want <= 3; want++ {
			must(t, lock.Do(t.Context(), "op", "a", "1", func(ctx context.Context) error {
				if n, ok := httpidem.LockFence(ctx); !ok || n != want {
					t.Errorf("number %d, want %d", n, want)
				}
				return nil
			}))
		}
		failed := errors.New("no")
		if err := lock.Do(t.Context(), "op", "a", "1", func(context.Context) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("error %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = lock.Do(t.Context(), "op", "a", "1", func(context.Context) error { panic("on the way") })
		}()
		must(t, lock.Do(t.Context(), "op", "a", "1", func(context.Context) error { return nil }))
		if _, ok := httpidem.LockFence(t.Context()); ok {
			t.Error("a number outside of a lock")
		}
	})
}

func TestALockIsHeldForAsLongAsTheWorkAndNotReleasedByAFormerHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newWobbly()
		lock := lockOf(t, store, func(c *httpidem.LockConfig) { c.Lease = time.Second })
		ctx := t.Context()
		taken := func() bool {
			return errors.Is(lock.Do(ctx, "op", "a", "1", func(context.Context) error { return nil }), httpidem.ErrLocked)
		}
		must(t, lock.Do(ctx, "op", "a", "1", func(context.Context) error {
			time.Sleep(time.Hour) //nolint:forbidigo // virtual time
			if !taken() {
				t.Error("the lock was lost though it was renewed")
			}
			return nil
		}))
		// Frozen: its renewals do not get through, and another takes over.
		err := lock.Do(ctx, "op", "a", "1", func(frozen context.Context) error {
			store.fail("extend", errAway)
			time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
			return lock.Do(ctx, "op", "a", "1", func(context.Context) error {
				store.fail("extend", nil)
				<-frozen.Done()
				if !errors.Is(context.Cause(frozen), httpidem.ErrLeaseLost) {
					t.Errorf("cause %v", context.Cause(frozen))
				}
				if !taken() {
					t.Error("the lock of the second holder is gone")
				}
				return nil
			})
		})
		if !errors.Is(err, httpidem.ErrLeaseLost) {
			t.Errorf("the former holder's error is %v, want ErrLeaseLost", err)
		}
	})
}

func TestALockIsRefusedWhileTheStoreIsAway(t *testing.T) {
	store := newWobbly()
	store.fail("claim", errAway)
	orders := created()
	wantProblem(t, call{}.to(lockOf(t, store, nil).Middleware("op")(orders)), http.StatusServiceUnavailable, "store-unavailable")
	orders.want(t, 0)
	err := lockOf(t, store, nil).Do(t.Context(), "op", "a", "1", func(context.Context) error { return nil })
	if !errors.Is(err, errAway) {
		t.Errorf("error %v", err)
	}
}

func TestALockAndAKeyHaveNumbersOfTheirOwn(t *testing.T) {
	store := memorystore.New()
	lock := lockOf(t, store, nil)
	h := lock.Middleware("op")(guard(t, store, nil).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		held, ok1 := httpidem.LockFence(r.Context())
		run, ok2 := httpidem.Fence(r.Context())
		if !ok1 || !ok2 || held != 1 || run != 1 {
			t.Errorf("%d %v, %d %v", held, ok1, run, ok2)
		}
	})))
	wantStatus(t, call{key: "k"}.to(h), http.StatusOK)
	wantReplay(t, call{key: "k"}.to(h), true)
}
