package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// shop is the service.
type shop struct {
	db     *sql.DB
	dir    string
	url    string
	server *http.Server
	served chan error

	mu         sync.Mutex
	random     *rand.Rand
	crashes    int
	editing    bool
	overlapped int
	lastEdit   int64
	stale      int
}

func open(ctx context.Context, seed uint64) (*shop, error) {
	dir, err := os.MkdirTemp("", "httpidem")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s := &shop{dir: dir, random: rand.New(rand.NewPCG(seed, 0)), served: make(chan error, 1)}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shop) start(ctx context.Context) (err error) {
	s.db, err = sql.Open("sqlite", "file:"+filepath.Join(s.dir, "shop.db")+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.db.SetMaxOpenConns(1)
	if err := sluicegate.Migrate(ctx, s.db, sluicegate.Config{}); err != nil {
		return err
	}
	// No unique key, so that an order that is there twice shows.
	const orders = "CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, number TEXT NOT NULL)"
	if _, err := s.db.ExecContext(ctx, orders); err != nil {
		return fmt.Errorf("create orders: %w", err)
	}
	handler, err := s.routes()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.url = "http://" + listener.Addr().String()
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { s.served <- s.server.Serve(listener) }()
	return nil
}

// routes is what the example is about.
func (s *shop) routes() (http.Handler, error) {
	store, err := sqlstore.New(s.db, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	// Order, record and answer commit together.
	keys, err := httpidem.NewTx(crashing{httpidem.DB(s.db, nil), s}, store, httpidem.Config{Scope: tenantOf})
	if err != nil {
		return nil, err
	}
	tokens, err := httpidem.NewTokens(store, httpidem.TokenConfig{Operator: tenantOf})
	if err != nil {
		return nil, err
	}
	lock, err := httpidem.NewLock(store, httpidem.LockConfig{Operator: tenantOf})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /orders", keys.Middleware(http.HandlerFunc(s.place)))
	mux.Handle("POST /tokens", tokens.Handler("orders.place"))
	mux.Handle("POST /forms", tokens.Middleware("orders.place")(http.HandlerFunc(s.form)))
	mux.Handle("PUT /orders/{id}", lock.Middleware("orders.edit")(http.HandlerFunc(s.edit)))
	return mux, nil
}

// tenantOf stands for authentication.
func tenantOf(r *http.Request) string { return r.Header.Get("X-Tenant") }

// order is what clients send and get.
type order struct {
	ID     int64  `json:"id"`
	Tenant string `json:"tenant"`
	Number string `json:"number"`
}

// execer is a transaction or the database.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// place writes an order in the transaction of its key.
func (s *shop) place(w http.ResponseWriter, r *http.Request) {
	tx, ok := httpidem.Native[*sql.Tx](r.Context())
	if !ok {
		http.Error(w, "no transaction", http.StatusInternalServerError)
		return
	}
	insert(w, r, tx)
}

// form writes an order in a statement of its own.
func (s *shop) form(w http.ResponseWriter, r *http.Request) { insert(w, r, s.db) }

func insert(w http.ResponseWriter, r *http.Request, x execer) {
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		httpidem.NotExecuted(r.Context())
		http.Error(w, "no order", http.StatusBadRequest)
		return
	}
	o.Tenant = tenantOf(r)
	res, err := x.ExecContext(r.Context(), "INSERT INTO orders (tenant, number) VALUES (?, ?)", o.Tenant, o.Number)
	if err == nil {
		o.ID, err = res.LastInsertId()
	}
	if err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	answer, err := json.Marshal(o)
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(answer) // the client may be gone
}

// edit takes its time, and notices whether anybody else is at it.
func (s *shop) edit(w http.ResponseWriter, r *http.Request) {
	n, _ := httpidem.LockFence(r.Context())
	s.mu.Lock()
	if s.editing {
		s.overlapped++
	}
	if n <= s.lastEdit {
		s.stale++
	}
	s.editing, s.lastEdit = true, n
	s.mu.Unlock()
	wait(r.Context(), time.Millisecond)
	s.mu.Lock()
	s.editing = false
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// crashing is a Runner whose process dies now and then: before the commit, or after
// it with the answer on its way.
type crashing struct {
	httpidem.Runner
	shop *shop
}

var errCrashed = errors.New("crashed")

func (c crashing) InTx(ctx context.Context, fn func(context.Context, httpidem.Tx) error) error {
	before, after := c.shop.fate()
	err := c.Runner.InTx(ctx, func(ctx context.Context, tx httpidem.Tx) error {
		if err := fn(ctx, tx); err != nil || !before {
			return err
		}
		return errCrashed
	})
	if err == nil && after {
		return errCrashed
	}
	return err
}

// fate decides about a transaction: of ten, one dies before its commit and one after.
func (s *shop) fate() (before, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.random.IntN(10)
	if n < 2 {
		s.crashes++
	}
	return n == 0, n == 1
}

func (s *shop) observed() (crashes, overlapped, stale int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crashes, s.overlapped, s.stale
}

// count compares what is there with what was wanted.
func (s *shop) count(ctx context.Context, wanted int, t *tally) error {
	const query = "SELECT COUNT(*), COUNT(DISTINCT tenant || '/' || number) FROM orders"
	var distinct int
	if err := s.db.QueryRowContext(ctx, query).Scan(&t.Orders, &distinct); err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	t.Lost, t.Duplicated = wanted-distinct, t.Orders-distinct
	return nil
}

func (s *shop) close() error {
	var errs []error
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		errs = append(errs, s.server.Shutdown(ctx))
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
