package httpidem_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestALongHandlerKeepsItsRecordByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) {
			time.Sleep(time.Minute) //nolint:forbidigo // virtual time
			w.WriteHeader(http.StatusCreated)
		}}
		h := guard(t, memorystore.New(), func(c *httpidem.Config) { c.Lease = time.Second }).Middleware(orders)
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- call{key: "k"}.to(h) }()
		time.Sleep(30 * time.Second) //nolint:forbidigo // virtual time
		wantProblem(t, call{key: "k"}.to(h), http.StatusConflict, "request-in-progress")
		wantStatus(t, <-done, http.StatusCreated)
		wantReplay(t, call{key: "k"}.to(h), true)
		orders.want(t, 1)
	})
}

func TestWhoWaitsGetsTheResponseOfTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) {
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			w.WriteHeader(http.StatusCreated)
		}}
		h := guard(t, memorystore.New(), func(c *httpidem.Config) { c.BusyWait = 5 * time.Second }).Middleware(orders)
		done := make(chan *httptest.ResponseRecorder, 2)
		for range 2 {
			go func() { done <- call{key: "k"}.to(h) }()
		}
		replays := 0
		for range 2 {
			w := <-done
			wantStatus(t, w, http.StatusCreated)
			replays += len(w.Header()["Idempotency-Replayed"])
		}
		if replays != 1 {
			t.Errorf("%d replays, want 1", replays)
		}
		orders.want(t, 1)
	})
}

// claim stands for a process that has claimed the record of a request, and died.
func crash(t *testing.T, store httpidem.Store, c call, cfg func(*httpidem.Config)) {
	t.Helper()
	dying := &dead{Store: store}
	h := guard(t, dying, cfg).Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	c.to(h)
}

// dead is the store of a process that is killed after the effect: its record is
// neither completed nor released.
type dead struct{ httpidem.Store }

func (dead) Complete(context.Context, idemstore.Key, string, []byte, time.Duration) error {
	return idemstore.ErrInvalid
}

func (dead) Release(context.Context, idemstore.Key, string) error { return nil }

func TestAfterACrashTheNextRequestRunsOnceTheLeaseHasEnded(t *testing.T) {
	now := time.Now()
	store := memoryAt(func() time.Time { return now })
	var fences []int64
	orders := &counter{then: func(_ http.ResponseWriter, r *http.Request, _ int) {
		n, ok := httpidem.Fence(r.Context())
		if !ok {
			t.Error("no fencing number")
		}
		fences = append(fences, n)
	}}
	crash(t, store, call{key: "k"}, nil)
	h := guard(t, store, nil).Middleware(orders)
	wantProblem(t, call{key: "k"}.to(h), http.StatusConflict, "request-in-progress")
	now = now.Add(httpidem.DefaultLease + time.Second)
	w := call{key: "k"}.to(h)
	wantStatus(t, w, http.StatusOK)
	wantReplay(t, w, false)
	if len(fences) != 1 || fences[0] != 2 {
		t.Errorf("fencing numbers %v, want [2]", fences)
	}
	wantReplay(t, call{key: "k"}.to(h), true)
}

func TestWhatIsInDoubtCanBeRefusedForGood(t *testing.T) {
	now := time.Now()
	store := memoryAt(func() time.Time { return now })
	refuse := func(c *httpidem.Config) { c.Takeover = httpidem.TakeoverRefuse }
	crash(t, store, call{key: "k"}, refuse)
	orders := created()
	h := guard(t, store, refuse).Middleware(orders)
	wantProblem(t, call{key: "k"}.to(h), http.StatusConflict, "request-in-progress")
	for range 3 {
		now = now.Add(httpidem.DefaultLease + time.Second)
		wantProblem(t, call{key: "k"}.to(h), http.StatusConflict, "request-in-doubt")
	}
	orders.want(t, 0)
}

func TestAFrozenHandlerIsToldAndItsClientSentForTheOthersResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := memorystore.New()
		frozen := &wobbly{Store: inner, fails: map[string]error{}, calls: map[string]int{}}
		outcomes := []httpidem.Outcome{}
		slow := &counter{then: func(w http.ResponseWriter, r *http.Request, _ int) {
			frozen.fail("extend", errAway) // the heartbeats do not get through
			time.Sleep(20 * time.Second)   //nolint:forbidigo // virtual time
			// Meanwhile another process takes over.
			wantStatus(t, call{key: "k"}.to(guard(t, inner, nil).Middleware(created())), http.StatusCreated)
			frozen.fail("extend", nil)
			<-r.Context().Done()
			if !errors.Is(context.Cause(r.Context()), httpidem.ErrLeaseLost) {
				t.Errorf("cause %v", context.Cause(r.Context()))
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("mine"))
		}}
		h := guard(t, frozen, func(c *httpidem.Config) {
			c.Observe = func(_ *http.Request, o httpidem.Outcome) { outcomes = append(outcomes, o) }
		}).Middleware(slow)
		wantProblem(t, call{key: "k"}.to(h), http.StatusConflict, "request-in-progress")
		w := call{key: "k"}.to(h)
		wantReplay(t, w, true)
		if w.Body.String() != `{"id":1}` {
			t.Errorf("body %s, want that of the process that took over", w.Body)
		}
		if len(outcomes) != 2 || outcomes[0] != httpidem.Unmarked || outcomes[1] != httpidem.Replayed {
			t.Errorf("outcomes %v", outcomes)
		}
	})
}

func TestAStoreThatIsAwayRefusesWhatItCannotGuard(t *testing.T) {
	store := newWobbly()
	orders := created()
	h := guard(t, store, nil).Middleware(orders)
	store.fail("claim", errAway)
	w := call{key: "k"}.to(h)
	wantProblem(t, w, http.StatusServiceUnavailable, "store-unavailable")
	if w.Header().Get("Retry-After") != "1" || strings.Contains(w.Body.String(), "secret-host") {
		t.Errorf("Retry-After %q, body %s", w.Header().Get("Retry-After"), w.Body)
	}
	orders.want(t, 0)
	if store.count("release") != 1 {
		t.Error("the claim that may have been made was not released")
	}
	store.fail("claim", nil)
	wantStatus(t, call{key: "k"}.to(h), http.StatusCreated)
}

func TestAStoreThatIsAwayCanLetRequestsThrough(t *testing.T) {
	store := newWobbly()
	store.fail("claim", errAway)
	var outcomes []httpidem.Outcome
	orders := created()
	h := guard(t, store, func(c *httpidem.Config) {
		c.Outage = httpidem.FailOpen
		c.Observe = func(_ *http.Request, o httpidem.Outcome) { outcomes = append(outcomes, o) }
	}).Middleware(orders)
	wantStatus(t, call{key: "k"}.to(h), http.StatusCreated)
	wantStatus(t, call{key: "k"}.to(h), http.StatusCreated)
	orders.want(t, 2)
	if len(outcomes) != 2 || outcomes[0] != httpidem.Unguarded {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestAResponseGoesOutThoughItsRecordCannotBeCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newWobbly()
		var outcomes []httpidem.Outcome
		h := guard(t, store, func(c *httpidem.Config) {
			c.Observe = func(_ *http.Request, o httpidem.Outcome) { outcomes = append(outcomes, o) }
		}).Middleware(created())
		store.fail("complete", errAway)
		began := time.Now()
		wantStatus(t, call{key: "k"}.to(h), http.StatusCreated)
		if took := time.Since(began); took != httpidem.DefaultStoreWait {
			t.Errorf("it was tried for %v, want %v", took, httpidem.DefaultStoreWait)
		}
		if store.count("complete") < 3 || len(outcomes) != 1 || outcomes[0] != httpidem.Unmarked {
			t.Errorf("%d attempts, outcomes %v", store.count("complete"), outcomes)
		}
		if store.count("release") != 0 {
			t.Error("the record of an effect was released")
		}
	})
}

func TestAClientThatGoesAwayDoesNotCutTheEffectOff(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		ctx, leave := context.WithCancel(context.Background())
		orders := &counter{then: func(w http.ResponseWriter, r *http.Request, _ int) {
			leave()
			if r.Context().Err() != nil {
				t.Error("the handler's context ended with the client")
			}
			w.WriteHeader(http.StatusCreated)
		}}
		h := guard(t, store, nil).Middleware(orders)
		call{key: "k", ctx: ctx}.to(h)
		w := call{key: "k"}.to(h)
		wantStatus(t, w, http.StatusCreated)
		wantReplay(t, w, true)
		orders.want(t, 1)
	})
}

func TestTheDeadlineOfARequestHoldsForTheHandler(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	want, _ := ctx.Deadline()
	h := guard(t, memorystore.New(), nil).Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got, ok := r.Context().Deadline(); !ok || !got.Equal(want) {
			t.Errorf("deadline %v, want %v", got, want)
		}
	}))
	call{key: "k", ctx: ctx}.to(h)
}
