package httpidem_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

func tokensOf(tb testing.TB, store httpidem.Store, change func(*httpidem.TokenConfig)) *httpidem.Tokens {
	tb.Helper()
	cfg := httpidem.TokenConfig{Operator: byTenant}
	if change != nil {
		change(&cfg)
	}
	tokens, err := httpidem.NewTokens(store, cfg)
	must(tb, err)
	return tokens
}

// issue asks the handler for a token.
func issue(tb testing.TB, tokens *httpidem.Tokens, operator, operation string) string {
	tb.Helper()
	w := call{tenant: operator}.to(tokens.Handler(operation))
	wantStatus(tb, w, http.StatusCreated)
	var body struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	must(tb, json.Unmarshal(w.Body.Bytes(), &body))
	if len(body.Token) < 22 || body.ExpiresIn <= 0 || w.Header().Get("Cache-Control") != "no-store" {
		tb.Fatalf("%+v, %v", body, w.Header())
	}
	return body.Token
}

func with(token string) map[string]string { return map[string]string{"Submit-Token": token} }

func TestADoubleClickWithOneTokenIsOneOrder(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		tokens, orders := tokensOf(t, store, nil), created()
		h := tokens.Middleware("orders.place")(orders)
		token := issue(t, tokens, "a", "orders.place")
		var wg sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, 20)
		for i := range answers {
			wg.Go(func() { answers[i] = call{header: with(token)}.to(h) })
		}
		wg.Wait()
		orders.want(t, 1)
		for _, w := range answers {
			if w.Code != http.StatusCreated {
				wantProblem(t, w, http.StatusConflict, "request-in-progress")
			}
		}
		again := call{header: with(token)}.to(h)
		wantStatus(t, again, http.StatusCreated)
		wantReplay(t, again, true)
		wantProblem(t, call{header: with(token), body: "other"}.to(h), http.StatusUnprocessableEntity, "token-reused")
		orders.want(t, 1)
		// The next form has another token, and is another order.
		wantReplay(t, call{header: with(issue(t, tokens, "a", "orders.place"))}.to(h), false)
		orders.want(t, 2)
	})
}

func TestATokenIsForItsOperatorAndItsOperationAndIsNotBurntByOthers(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		tokens, orders := tokensOf(t, store, nil), created()
		place, cancel := tokens.Middleware("orders.place")(orders), tokens.Middleware("orders.cancel")(orders)
		token := issue(t, tokens, "a", "orders.place")
		for range 2 {
			wantProblem(t, call{tenant: "b", header: with(token)}.to(place), http.StatusConflict, "token-unknown")
			wantProblem(t, call{header: with(token)}.to(cancel), http.StatusConflict, "token-unknown")
			wantProblem(t, call{header: with("never-issued")}.to(place), http.StatusConflict, "token-unknown")
			wantProblem(t, call{}.to(place), http.StatusConflict, "token-missing")
		}
		orders.want(t, 0)
		wantStatus(t, call{header: with(token)}.to(place), http.StatusCreated)
		orders.want(t, 1)
	})
}

// Scenario 5's plain way, an atomic GETDEL before the order: whoever crashes in
// between, or asks with another's token, has burnt it.
func TestTheTrapOfDeletingTheTokenFirst(t *testing.T) {
	burnt := map[string]string{"t": "a"}
	getdel := func(token string) string { v := burnt[token]; delete(burnt, token); return v }
	if getdel("t") == "b" {
		t.Fatal("b is not its operator")
	}
	if getdel("t") == "a" {
		t.Error("the token of a was expected to be gone")
	}
	now := time.Now()
	store := memoryAt(func() time.Time { return now })
	tokens := tokensOf(t, store, nil)
	token := issue(t, tokens, "a", "orders.place")
	// Consumed, then crashed: no completion, no release.
	dying := tokensOf(t, dead{store}, nil)
	call{header: with(token)}.to(dying.Middleware("orders.place")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	orders := created()
	h := tokens.Middleware("orders.place")(orders)
	wantProblem(t, call{header: with(token)}.to(h), http.StatusConflict, "request-in-progress")
	now = now.Add(httpidem.DefaultLease + time.Second)
	wantStatus(t, call{header: with(token)}.to(h), http.StatusCreated)
	orders.want(t, 1)
}

func TestATokenHasItsTime(t *testing.T) {
	now := time.Now()
	tokens := tokensOf(t, memoryAt(func() time.Time { return now }), func(c *httpidem.TokenConfig) { c.TTL = time.Minute })
	orders := created()
	h := tokens.Middleware("op")(orders)
	early, late := issue(t, tokens, "a", "op"), issue(t, tokens, "a", "op")
	now = now.Add(59 * time.Second)
	wantStatus(t, call{header: with(early)}.to(h), http.StatusCreated)
	now = now.Add(2 * time.Second)
	wantProblem(t, call{header: with(late)}.to(h), http.StatusConflict, "token-unknown")
	wantReplay(t, call{header: with(early)}.to(h), true) // what was used is kept for its retention
	orders.want(t, 1)
}

func TestAnUnknownTokenLeavesNothingBehind(t *testing.T) {
	server := miniredis.RunT(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer client.Close()
	store, err := redisstore.New(client, redisstore.Config{})
	must(t, err)
	h := tokensOf(t, store, nil).Middleware("op")(created())
	for i := range 100 {
		wantProblem(t, call{header: with("guess-" + strings.Repeat("x", i))}.to(h), http.StatusConflict, "token-unknown")
	}
	server.FastForward(2 * time.Millisecond)
	if keys := server.Keys(); len(keys) > 0 {
		t.Errorf("%d records are left", len(keys))
	}
}

func TestWhatFailedCanBeSubmittedAgainWithTheTokenAndAnotherBody(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		tokens := tokensOf(t, store, nil)
		token := issue(t, tokens, "a", "op")
		orders := &counter{then: func(w http.ResponseWriter, r *http.Request, run int) {
			switch run {
			case 1:
				w.WriteHeader(http.StatusBadGateway)
			case 2:
				httpidem.NotExecuted(r.Context())
				w.WriteHeader(http.StatusBadRequest)
			default:
				w.WriteHeader(http.StatusCreated)
			}
		}}
		h := tokens.Middleware("op")(orders)
		for i, status := range []int{http.StatusBadGateway, http.StatusBadRequest, http.StatusCreated} {
			w := call{header: with(token), body: itoa(i)}.to(h)
			wantStatus(t, w, status)
			wantReplay(t, w, false)
		}
		orders.want(t, 3)
	})
}

func TestATokenMayBeAFieldOfAForm(t *testing.T) {
	tokens := tokensOf(t, memorystore.New(), func(c *httpidem.TokenConfig) {
		c.Token = func(r *http.Request) string { return r.PostFormValue("token") }
	})
	form := url.Values{"token": {issue(t, tokens, "a", "op")}, "sku": {"lamp"}}.Encode()
	orders := &counter{then: func(w http.ResponseWriter, r *http.Request, _ int) { _, _ = w.Write([]byte(r.PostFormValue("sku"))) }}
	c := call{body: form, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
	for _, replayed := range []bool{false, true} {
		w := c.to(tokens.Middleware("op")(orders))
		wantReplay(t, w, replayed)
		if w.Body.String() != "lamp" {
			t.Errorf("body %q", w.Body)
		}
	}
}

func TestTokensOutsideOfHandlers(t *testing.T) {
	eachStore(t, func(t *testing.T, store httpidem.Store) {
		t.Helper()
		tokens, ctx := tokensOf(t, store, nil), t.Context()
		token, err := tokens.Issue(ctx, "a", "op")
		must(t, err)
		runs := 0
		do := func(operator string, end error) (string, bool, error) {
			b, replayed, err := tokens.Do(ctx, operator, "op", token, func(ctx context.Context) ([]byte, error) {
				runs++
				if n, ok := httpidem.Fence(ctx); !ok || n != int64(runs) {
					t.Errorf("fence %d in run %d", n, runs)
				}
				if _, _, err := tokens.Do(ctx, operator, "op", token, nil); !errors.Is(err, httpidem.ErrInProgress) {
					t.Errorf("the same token meanwhile: %v", err)
				}
				return []byte("order-1"), end
			})
			return string(b), replayed, err
		}
		if _, _, err := do("b", nil); !errors.Is(err, httpidem.ErrTokenUnknown) {
			t.Errorf("another operator: %v", err)
		}
		failed := errors.New("no stock")
		if _, _, err := do("a", failed); !errors.Is(err, failed) {
			t.Errorf("a failure: %v", err)
		}
		if got, replayed, err := do("a", nil); got != "order-1" || replayed || err != nil {
			t.Errorf("%q, %v, %v", got, replayed, err)
		}
		if got, replayed, err := do("a", nil); got != "order-1" || !replayed || err != nil {
			t.Errorf("again: %q, %v, %v", got, replayed, err)
		}
		if runs != 2 {
			t.Errorf("%d runs, want 2", runs)
		}
		for _, bad := range [][3]string{{"", "op", "t"}, {"a", "", "t"}, {"a", "op", ""}} {
			if _, _, err := tokens.Do(ctx, bad[0], bad[1], bad[2], nil); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
	})
}

func TestAFunctionThatPanicsFreesItsToken(t *testing.T) {
	tokens := tokensOf(t, memorystore.New(), nil)
	token, err := tokens.Issue(t.Context(), "a", "op")
	must(t, err)
	func() {
		defer func() { _ = recover() }()
		_, _, _ = tokens.Do(t.Context(), "a", "op", token, func(context.Context) ([]byte, error) { panic("on the way") })
	}()
	if _, replayed, err := tokens.Do(t.Context(), "a", "op", token, func(context.Context) ([]byte, error) { return nil, nil }); replayed || err != nil {
		t.Errorf("%v, %v", replayed, err)
	}
}

func TestATokenIsKeptByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := tokensOf(t, memorystore.New(), func(c *httpidem.TokenConfig) { c.Lease, c.TTL = time.Second, 2*time.Second })
		token, err := tokens.Issue(t.Context(), "a", "op")
		must(t, err)
		_, _, err = tokens.Do(t.Context(), "a", "op", token, func(ctx context.Context) ([]byte, error) {
			time.Sleep(time.Hour) //nolint:forbidigo // virtual time
			_, _, err := tokens.Do(ctx, "a", "op", token, nil)
			if !errors.Is(err, httpidem.ErrInProgress) {
				t.Errorf("after an hour: %v", err)
			}
			return nil, nil
		})
		must(t, err)
	})
}

func TestTokensAreRefusedWhileTheStoreIsAway(t *testing.T) {
	store := newWobbly()
	tokens := tokensOf(t, store, nil)
	store.fail("claim", errAway)
	store.fail("transition", errAway)
	wantProblem(t, call{}.to(tokens.Handler("op")), http.StatusServiceUnavailable, "store-unavailable")
	wantProblem(t, call{header: with("t")}.to(tokens.Middleware("op")(created())), http.StatusServiceUnavailable, "store-unavailable")
	wantProblem(t, call{method: http.MethodPut}.to(tokens.Handler("op")), http.StatusMethodNotAllowed, "method-not-allowed")
}
