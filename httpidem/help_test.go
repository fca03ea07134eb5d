package httpidem_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func sqlite(tb testing.TB) *sql.DB {
	tb.Helper()
	return sqlitetest.Migrate(tb, sqlitetest.Open(tb))
}

// stores are all three kinds, each made anew.
var stores = map[string]func(tb testing.TB) httpidem.Store{
	"memory": func(testing.TB) httpidem.Store { return memorystore.New() },
	"redis": func(tb testing.TB) httpidem.Store {
		tb.Helper()
		server := miniredis.RunT(tb)
		client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
		tb.Cleanup(func() { _ = client.Close() })
		s, err := redisstore.New(client, redisstore.Config{})
		must(tb, err)
		return s
	},
	"sqlite": func(tb testing.TB) httpidem.Store {
		tb.Helper()
		s, err := sqlstore.New(sqlite(tb), sqlstore.Config{})
		must(tb, err)
		return s
	},
}

func eachStore(t *testing.T, fn func(t *testing.T, store httpidem.Store)) {
	t.Helper()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { fn(t, open(t)) })
	}
}

// byTenant is the scope of the tests: who has authenticated is in a header.
func byTenant(r *http.Request) string { return r.Header.Get("X-Tenant") }

func guard(tb testing.TB, store httpidem.Store, change func(*httpidem.Config)) *httpidem.Idempotency {
	tb.Helper()
	cfg := httpidem.Config{Scope: byTenant}
	if change != nil {
		change(&cfg)
	}
	g, err := httpidem.New(store, cfg)
	must(tb, err)
	return g
}

// call is a request; the zero value is a POST of tenant "a".
type call struct {
	method, path, tenant, key, body string
	header                          map[string]string
	ctx                             context.Context
}

func (c call) request() *http.Request {
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	ctx := c.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	r := httptest.NewRequestWithContext(ctx, or(c.method, http.MethodPost), or(c.path, "/orders"), strings.NewReader(or(c.body, `{"sku":"lamp"}`)))
	r.Header.Set("X-Tenant", or(c.tenant, "a"))
	r.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	return r
}

func (c call) to(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	return w
}

func wantStatus(tb testing.TB, w *httptest.ResponseRecorder, status int) {
	tb.Helper()
	if w.Code != status {
		tb.Fatalf("status %d, want %d; body %s", w.Code, status, w.Body)
	}
}

// wantProblem checks status and type of a problem document.
func wantProblem(tb testing.TB, w *httptest.ResponseRecorder, status int, name string) {
	tb.Helper()
	var p struct {
		Type, Title string
		Status      int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		tb.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Type != httpidem.ProblemPrefix+name || p.Title == "" {
		tb.Fatalf("status %d with %+v, want %d %s", w.Code, p, status, name)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		tb.Errorf("Content-Type %q", got)
	}
}

func wantReplay(tb testing.TB, w *httptest.ResponseRecorder, replayed bool) {
	tb.Helper()
	want := ""
	if replayed {
		want = "true"
	}
	if got := w.Header().Get("Idempotency-Replayed"); got != want {
		tb.Fatalf("Idempotency-Replayed %q, want %q; status %d, body %s", got, want, w.Code, w.Body)
	}
}

// counter is a handler that counts its runs and says which one it was.
type counter struct {
	mu   sync.Mutex
	runs int
	then func(w http.ResponseWriter, r *http.Request, run int)
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.runs++
	run := c.runs
	c.mu.Unlock()
	c.then(w, r, run)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs
}

func (c *counter) want(tb testing.TB, runs int) {
	tb.Helper()
	if got := c.count(); got != runs {
		tb.Fatalf("the handler ran %d times, want %d", got, runs)
	}
}

// created answers each run with an order of its own.
func created() *counter {
	return &counter{then: func(w http.ResponseWriter, _ *http.Request, run int) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/orders/"+itoa(run))
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("X-Other", "not stored")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":` + itoa(run) + `}`))
	}}
}

func itoa(n int) string { return string(rune('0' + n%10)) }

var errAway = failure.Unavailable(errors.New("connection refused to secret-host"))

// wobbly is a store whose methods can be made to fail.
type wobbly struct {
	httpidem.Store
	mu    sync.Mutex
	fails map[string]error
	calls map[string]int
}

func newWobbly() *wobbly {
	return &wobbly{Store: memorystore.New(), fails: map[string]error{}, calls: map[string]int{}}
}

func (w *wobbly) fail(method string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails[method] = err
}

func (w *wobbly) enter(method string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[method]++
	return w.fails[method]
}

func (w *wobbly) count(method string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[method]
}

func (w *wobbly) Claim(ctx context.Context, c idemstore.Claim) (idemstore.Record, error) {
	if err := w.enter("claim"); err != nil {
		return idemstore.Record{}, err
	}
	return w.Store.Claim(ctx, c)
}

func (w *wobbly) Extend(ctx context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if err := w.enter("extend"); err != nil {
		return err
	}
	return w.Store.Extend(ctx, k, token, lease)
}

func (w *wobbly) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := w.enter("complete"); err != nil {
		return err
	}
	return w.Store.Complete(ctx, k, token, result, retention)
}

func (w *wobbly) Release(ctx context.Context, k idemstore.Key, token string) error {
	if err := w.enter("release"); err != nil {
		return err
	}
	return w.Store.Release(ctx, k, token)
}

func (w *wobbly) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	if err := w.enter("transition"); err != nil {
		return err
	}
	return w.Store.Transition(ctx, k, t)
}
