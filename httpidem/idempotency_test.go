package httpidem_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestADuplicateGetsTheEarlierResponseAndNothingRuns(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		orders := created()
		h := guard(t, store, nil).Middleware(orders)
		first := call{key: `"k-1"`}.to(h)
		wantStatus(t, first, http.StatusCreated)
		wantReplay(t, first, false)
		if first.Header().Get("Set-Cookie") == "" || first.Header().Get("X-Other") == "" {
			t.Fatal("the first response lost a header")
		}
		again := call{key: "k-1"}.to(h) // the same key without quotes
		wantStatus(t, again, http.StatusCreated)
		wantReplay(t, again, true)
		if !bytes.Equal(again.Body.Bytes(), first.Body.Bytes()) {
			t.Errorf("body %s, want %s", again.Body, first.Body)
		}
		for _, name := range []string{"Content-Type", "Location"} {
			if got, want := again.Header().Get(name), first.Header().Get(name); got != want || want == "" {
				t.Errorf("%s %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"Set-Cookie", "X-Other", "Authorization"} {
			if got := again.Header().Get(name); got != "" {
				t.Errorf("%s %q was sent again", name, got)
			}
		}
		orders.want(t, 1)
	})
}

func TestOfFiftyParallelEqualRequestsOneRuns(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		orders := created()
		h := guard(t, store, nil).Middleware(orders)
		var wg sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, 50)
		start := make(chan struct{})
		for i := range answers {
			wg.Go(func() {
				<-start
				answers[i] = call{key: `"same"`}.to(h)
			})
		}
		close(start)
		wg.Wait()
		orders.want(t, 1)
		var fresh int
		for _, w := range answers {
			switch {
			case w.Code == http.StatusCreated && w.Header().Get("Idempotency-Replayed") == "":
				fresh++
			case w.Code == http.StatusCreated:
				if w.Body.String() != `{"id":1}` {
					t.Errorf("replayed body %s", w.Body)
				}
			default:
				wantProblem(t, w, http.StatusConflict, "request-in-progress")
				if w.Header().Get("Retry-After") != "1" {
					t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
				}
			}
		}
		if fresh != 1 {
			t.Errorf("%d requests got a fresh response, want 1", fresh)
		}
	})
}

// What the middleware is for: without it each request has its effect.
func TestWithoutTheGuardEachOfTheRequestsRuns(t *testing.T) {
	orders := created()
	for range 3 {
		call{key: `"same"`}.to(orders)
	}
	orders.want(t, 3)
}

func TestAnotherRequestUnderTheKeyIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		orders := created()
		h := guard(t, store, func(c *httpidem.Config) { c.Route = func(*http.Request) string { return "orders" } }).Middleware(orders)
		wantStatus(t, call{key: "k"}.to(h), http.StatusCreated)
		for name, other := range map[string]call{
			"body":         {key: "k", body: `{"sku":"chair"}`},
			"path":         {key: "k", path: "/orders/7"},
			"query":        {key: "k", path: "/orders?dry=1"},
			"content type": {key: "k", header: map[string]string{"Content-Type": "text/plain"}},
		} {
			w := other.to(h)
			if w.Code != http.StatusUnprocessableEntity {
				t.Errorf("another %s: status %d", name, w.Code)
				continue
			}
			wantProblem(t, w, http.StatusUnprocessableEntity, "idempotency-key-reused")
		}
		wantReplay(t, call{key: "k"}.to(h), true)
		orders.want(t, 1)
	})
}

func TestWhatARepetitionMustHaveInCommonCanBeSaid(t *testing.T) {
	orders := created()
	h := guard(t, memorystore.New(), func(c *httpidem.Config) {
		c.Fingerprint = func(_ *http.Request, body []byte) string { return strings.ToLower(string(body)) }
	}).Middleware(orders)
	wantReplay(t, call{key: "k", body: "LAMP"}.to(h), false)
	wantReplay(t, call{key: "k", body: "lamp"}.to(h), true)
	wantStatus(t, call{key: "k", body: "chair"}.to(h), http.StatusUnprocessableEntity)
	orders.want(t, 1)
	loose := guard(t, memorystore.New(), func(c *httpidem.Config) { c.Fingerprint = func(*http.Request, []byte) string { return "" } }).Middleware(orders)
	wantReplay(t, call{key: "k", body: "LAMP"}.to(loose), false)
	wantReplay(t, call{key: "k", body: "chair"}.to(loose), true)
}

func TestAnotherTenantsMethodsOrRoutesKeyIsAnotherKey(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		orders := &counter{then: func(w http.ResponseWriter, r *http.Request, _ int) {
			_, _ = w.Write([]byte("secret of " + byTenant(r) + r.Method + r.URL.Path))
		}}
		h := guard(t, store, nil).Middleware(orders)
		runs := 0
		for _, c := range []call{
			{tenant: "a"}, {tenant: "b"}, {tenant: "a", method: http.MethodPut}, {tenant: "a", path: "/refunds"},
			// Lengths keep apart what would be alike when joined.
			{tenant: "aPOST"}, {tenant: "a", path: "/orders/k"}, {tenant: "ab"}, {tenant: "A"},
		} {
			c.key = "k"
			runs++
			w := c.to(h)
			wantReplay(t, w, false)
			want := w.Body.String()
			if !strings.HasPrefix(want, "secret of "+c.tenant) {
				t.Fatalf("tenant %s got %q", c.tenant, want)
			}
			again := c.to(h)
			wantReplay(t, again, true)
			if again.Body.String() != want {
				t.Errorf("tenant %s got %q again, want %q", c.tenant, again.Body, want)
			}
			orders.want(t, runs)
		}
		c := call{key: "k", header: map[string]string{"X-Tenant": ""}}
		wantProblem(t, c.to(h), http.StatusForbidden, "client-unknown")
		orders.want(t, runs)
	})
}

func TestWhichResponsesAreStored(t *testing.T) {
	for status, stored := range map[int]bool{
		200: true, 201: true, 204: true, 303: true, 304: true, 400: true, 402: true, 404: true, 409: true, 422: true,
		429: false, 500: false, 502: false, 503: false,
	} {
		orders := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(status) }}
		h := guard(t, memorystore.New(), nil).Middleware(orders)
		wantStatus(t, call{key: "k"}.to(h), status)
		again := call{key: "k"}.to(h)
		wantStatus(t, again, status)
		wantReplay(t, again, stored)
		if runs := orders.count(); (runs == 1) != stored {
			t.Errorf("status %d: %d runs", status, runs)
		}
	}
}

func TestAPanicReleasesTheKeyAndGoesOn(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		orders := &counter{then: func(w http.ResponseWriter, _ *http.Request, run int) {
			w.WriteHeader(http.StatusCreated)
			if run == 1 {
				panic(http.ErrAbortHandler)
			}
		}}
		h := guard(t, store, nil).Middleware(orders)
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
					t.Error("the panic was swallowed")
				}
			}()
			call{key: "k"}.to(h)
		}()
		again := call{key: "k"}.to(h)
		wantStatus(t, again, http.StatusCreated)
		wantReplay(t, again, false)
		orders.want(t, 2)
	})
}

func TestARequestThatWasNotExecutedFreesItsKeyForAnotherBody(t *testing.T) {
	orders := &counter{then: func(w http.ResponseWriter, r *http.Request, run int) {
		if run == 1 {
			httpidem.NotExecuted(r.Context())
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}}
	now := time.Now()
	store := memoryAt(func() time.Time { return now })
	h := guard(t, store, nil).Middleware(orders)
	wantStatus(t, call{key: "k", body: "broken"}.to(h), http.StatusUnprocessableEntity)
	now = now.Add(2 * time.Millisecond)
	w := call{key: "k", body: "mended"}.to(h)
	wantStatus(t, w, http.StatusCreated)
	wantReplay(t, w, false)
	orders.want(t, 2)
	// It does nothing where nothing is guarded.
	httpidem.NotExecuted(t.Context())
}

func TestAfterTheRetentionARepetitionRuns(t *testing.T) {
	now := time.Now()
	orders := created()
	h := guard(t, memoryAt(func() time.Time { return now }), func(c *httpidem.Config) { c.Retention = time.Hour }).Middleware(orders)
	call{key: "k"}.to(h)
	now = now.Add(time.Hour - time.Second)
	wantReplay(t, call{key: "k"}.to(h), true)
	now = now.Add(2 * time.Second)
	wantReplay(t, call{key: "k"}.to(h), false)
	orders.want(t, 2)
}

func TestTheStoreSeesNeitherKeyNorClientNorBody(t *testing.T) {
	seen := &spy{Store: memorystore.New()}
	h := guard(t, seen, nil).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	wantStatus(t, call{key: "secret-key", tenant: "secret-tenant", body: "secret-body"}.to(h), http.StatusNoContent)
	if len(seen.text) == 0 || strings.Contains(seen.text, "secret") {
		t.Errorf("the store was told %q", seen.text)
	}
}
