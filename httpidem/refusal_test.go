package httpidem_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/httpidem"
)

func TestBadRequestsAreRefusedAndNothingIsStored(t *testing.T) {
	store := newWobbly()
	orders := created()
	h := guard(t, store, func(c *httpidem.Config) { c.MaxBody = 64 }).Middleware(orders)
	for name, c := range map[string]struct {
		call
		status int
		typ    string
	}{
		"no key":             {call{}, 400, "idempotency-key-missing"},
		"empty string":       {call{key: `""`}, 400, "idempotency-key-malformed"},
		"no closing quote":   {call{key: `"a`}, 400, "idempotency-key-malformed"},
		"too long":           {call{key: strings.Repeat("k", 256)}, 400, "idempotency-key-malformed"},
		"a list":             {call{key: "a, b"}, 400, "idempotency-key-malformed"},
		"a large body":       {call{key: "k", body: strings.Repeat("x", 65)}, 413, "body-too-large"},
		"no key but a PATCH": {call{method: http.MethodPatch}, 400, "idempotency-key-missing"},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, c.to(h), c.status, c.typ) })
	}
	t.Run("several headers", func(t *testing.T) {
		r := call{key: "a"}.request()
		r.Header.Add("Idempotency-Key", "a")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		wantProblem(t, w, http.StatusBadRequest, "idempotency-key-malformed")
	})
	t.Run("a large body of unknown length", func(t *testing.T) {
		r := call{key: "a", body: strings.Repeat("x", 65)}.request()
		r.ContentLength = -1
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		wantProblem(t, w, http.StatusRequestEntityTooLarge, "body-too-large")
	})
	orders.want(t, 0)
	if n := store.count("claim"); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	wantStatus(t, call{key: "k", body: strings.Repeat("x", 64)}.to(h), http.StatusCreated)
}

func TestWhatNeedsNoKeyPasses(t *testing.T) {
	store := newWobbly()
	orders := created()
	h := guard(t, store, nil).Middleware(orders)
	for i, c := range []call{
		{method: http.MethodGet, key: "k"}, {method: http.MethodHead, key: `"broken`}, {method: http.MethodOptions},
		{method: http.MethodPut}, {method: http.MethodDelete},
	} {
		wantStatus(t, c.to(h), http.StatusCreated)
		orders.want(t, i+1)
	}
	if n := store.count("claim"); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	wantReplay(t, call{method: http.MethodDelete, key: "k"}.to(h), false)
	wantReplay(t, call{method: http.MethodDelete, key: "k"}.to(h), true)
}
