package httpidem_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

func byTenant(r *http.Request) string { return r.Header.Get("X-Tenant") }

// send posts body for a tenant with a key and a token.
func send(h http.Handler, tenant, key, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(body))
	r.Header.Set("X-Tenant", tenant)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	if token != "" {
		r.Header.Set(httpidem.DefaultTokenHeader, token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// together calls fn 50 times at the same time.
func together(fn func() *httptest.ResponseRecorder) []*httptest.ResponseRecorder {
	answers := make([]*httptest.ResponseRecorder, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = fn() })
	}
	wg.Wait()
	return answers
}

// wantOne checks that of all answers one is fresh, and the others are its replays
// or conflicts.
func wantOne(t *testing.T, answers []*httptest.ResponseRecorder) {
	t.Helper()
	fresh, body := 0, ""
	for _, w := range answers {
		switch {
		case w.Code == http.StatusCreated:
			if w.Header().Get("Idempotency-Replayed") == "" {
				fresh++
			}
			if body == "" {
				body = w.Body.String()
			}
			if w.Body.String() != body {
				t.Errorf("bodies %q and %q", body, w.Body)
			}
		case w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "request-in-progress"):
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
	}
	if fresh != 1 {
		t.Errorf("%d fresh responses, want 1", fresh)
	}
}

// instances are guards of processes behind one balancer, in turns.
func instances(t *testing.T, store httpidem.Store, effects *atomic.Int64) http.Handler {
	t.Helper()
	var all []http.Handler
	for range 3 {
		guard, err := httpidem.New(store, httpidem.Config{Scope: byTenant})
		must(t, err)
		all = append(all, guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n := effects.Add(1)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte("order " + strconv.FormatInt(n, 10)))
		})))
	}
	var turn atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { all[turn.Add(1)%3].ServeHTTP(w, r) })
}

func TestFiftyEqualRequestsToThreeInstancesHaveOneEffect(t *testing.T) {
	eachServer(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		var effects atomic.Int64
		h := instances(t, store, &effects)
		wantOne(t, together(func() *httptest.ResponseRecorder { return send(h, "a", "k", "", "lamp") }))
		if n := effects.Load(); n != 1 {
			t.Fatalf("%d effects, want 1", n)
		}
		if w := send(h, "a", "k", "", "chair"); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("another body: status %d", w.Code)
		}
		if w := send(h, "b", "k", "", "lamp"); w.Body.String() != "order 2" {
			t.Errorf("another tenant got %q", w.Body)
		}
		if w := send(h, "a", "k", "", "lamp"); w.Body.String() != "order 1" || w.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("a repetition got %q", w.Body)
		}
	})
}

func TestADoubleClickWithOneTokenIsOneOrder(t *testing.T) {
	eachServer(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		tokens, err := httpidem.NewTokens(store, httpidem.TokenConfig{Operator: byTenant})
		must(t, err)
		var effects atomic.Int64
		h := tokens.Middleware("orders.place")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			effects.Add(1)
			w.WriteHeader(http.StatusCreated)
		}))
		token, err := tokens.Issue(t.Context(), "a", "orders.place")
		must(t, err)
		for name, w := range map[string]*httptest.ResponseRecorder{
			"another operator": send(h, "b", "", token, "lamp"), "a made up token": send(h, "a", "", "made-up", "lamp"), "no token": send(h, "a", "", "", "lamp"),
		} {
			if w.Code != http.StatusConflict {
				t.Errorf("%s: status %d", name, w.Code)
			}
		}
		wantOne(t, together(func() *httptest.ResponseRecorder { return send(h, "a", "", token, "lamp") }))
		if n := effects.Load(); n != 1 {
			t.Errorf("%d orders, want 1", n)
		}
	})
}

func TestALockIsHeldByOneOfFifty(t *testing.T) {
	eachServer(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		lock, err := httpidem.NewLock(store, httpidem.LockConfig{Operator: byTenant})
		must(t, err)
		var inside, most, ran atomic.Int64
		h := lock.Middleware("edit")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			most.Store(max(most.Load(), inside.Add(1)))
			ran.Add(1)
			inside.Add(-1)
			w.WriteHeader(http.StatusNoContent)
		}))
		for _, w := range together(func() *httptest.ResponseRecorder { return send(h, "a", "", "", "") }) {
			if w.Code != http.StatusNoContent && w.Code != http.StatusConflict {
				t.Errorf("status %d, body %s", w.Code, w.Body)
			}
		}
		if most.Load() != 1 || ran.Load() == 0 {
			t.Errorf("%d at a time, %d ran", most.Load(), ran.Load())
		}
	})
}

// dead is the store of a process that is killed between the effect and the
// completion of its record.
type dead struct{ httpidem.Store }

func (dead) Complete(context.Context, idemstore.Key, string, []byte, time.Duration) error {
	return idemstore.ErrInvalid
}
func (dead) Release(context.Context, idemstore.Key, string) error { return nil }

func TestAKillBetweenEffectAndCompletionIsDecidedAfterTheLease(t *testing.T) {
	eachServer(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		for policy, want := range map[httpidem.TakeoverPolicy]int64{httpidem.TakeoverRerun: 2, httpidem.TakeoverRefuse: 1} {
			var effects atomic.Int64
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				effects.Add(1)
				w.WriteHeader(http.StatusCreated)
			})
			cfg := httpidem.Config{Name: "kill" + strconv.Itoa(int(policy)), Scope: byTenant, Lease: 2 * time.Second, Takeover: policy}
			killed, err := httpidem.New(dead{store}, cfg)
			must(t, err)
			next, err := httpidem.New(store, cfg)
			must(t, err)
			send(killed.Middleware(handler), "a", "k", "", "lamp")
			h := next.Middleware(handler)
			if w := send(h, "a", "k", "", "lamp"); w.Code != http.StatusConflict {
				t.Errorf("within the lease: status %d", w.Code)
			}
			var w *httptest.ResponseRecorder
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				<-time.NewTimer(50 * time.Millisecond).C // the server has a clock of its own
				if w = send(h, "a", "k", "", "lamp"); problemName(w.Body.Bytes()) != "request-in-progress" {
					break
				}
			}
			if refused := strings.Contains(w.Body.String(), "request-in-doubt"); refused != (policy == httpidem.TakeoverRefuse) {
				t.Errorf("policy %d: status %d, body %s", policy, w.Code, w.Body)
			}
			if effects.Load() != want {
				t.Errorf("policy %d: %d effects, want %d", policy, effects.Load(), want)
			}
		}
	})
}

// problemName is the last part of a problem's type, or nothing.
func problemName(body []byte) string {
	var p struct{ Type string }
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	return strings.TrimPrefix(p.Type, httpidem.ProblemPrefix)
}
