package httpidem_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// tenantOf stands for what your authentication knows.
func tenantOf(r *http.Request) string { return r.Header.Get("X-Tenant") }

// send posts an order to h and prints what comes back.
func send(h http.Handler, header, value, body string) {
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(body))
	r.Header.Set("X-Tenant", "acme")
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	replayed := ""
	if w.Header().Get(httpidem.ReplayedHeader) != "" {
		replayed = " (replayed)"
	}
	fmt.Printf("%d %s%s\n", w.Code, strings.TrimSpace(w.Body.String()), replayed)
}

func Example() {
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: tenantOf}) // or a redisstore, or a sqlstore
	if err != nil {
		log.Fatal(err)
	}
	orders := 0
	mux := http.NewServeMux()
	mux.Handle("POST /orders", guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		orders++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "order %d", orders)
	})))
	for range 2 { // the client's time-out, and its retry
		send(mux, "Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, `{"sku":"lamp"}`)
	}
	send(mux, "Idempotency-Key", `"another"`, `{"sku":"lamp"}`)
	// Output:
	// 201 order 1
	// 201 order 1 (replayed)
	// 201 order 2
}

// The order, the record of its key and the response commit together.
func ExampleNewTx() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	if _, err := schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}); err != nil { // or: sluicegate migrate
		log.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, body TEXT)"); err != nil {
		log.Fatal(err)
	}

	store, err := sqlstore.New(db, sqlstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := httpidem.NewTx(httpidem.DB(db, nil), store, httpidem.Config{Scope: tenantOf})
	if err != nil {
		log.Fatal(err)
	}
	h := guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx, _ := httpidem.Native[*sql.Tx](r.Context())
		body, _ := io.ReadAll(r.Body)
		res, err := tx.ExecContext(r.Context(), "INSERT INTO orders (body) VALUES (?)", string(body))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError) // rolls back; a retry runs
			return
		}
		id, _ := res.LastInsertId()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "order %d", id)
	}))
	for range 3 {
		send(h, "Idempotency-Key", "k-1", "lamp")
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println("orders:", n)
	// Output:
	// 201 order 1
	// 201 order 1 (replayed)
	// 201 order 1 (replayed)
	// orders: 1
}

// A double click sends the same form twice.
func ExampleTokens() {
	tokens, err := httpidem.NewTokens(memorystore.New(), httpidem.TokenConfig{Operator: tenantOf})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /tokens", tokens.Handler("orders.place")) // for the page with the form
	mux.Handle("POST /orders", tokens.Middleware("orders.place")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "ordered")
	})))

	token, err := tokens.Issue(context.Background(), "acme", "orders.place") // or here, into the form
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		send(mux, httpidem.DefaultTokenHeader, token, "sku=lamp")
	}
	send(mux, httpidem.DefaultTokenHeader, "made up", "sku=lamp")
	// Output:
	// 200 ordered
	// 200 ordered (replayed)
	// 409 {"type":"urn:sluicegate:problem:token-unknown","title":"Token is unknown","status":409,"detail":"The token was not issued for this operation, or its time is over; ask for a new one."}
}

func ExampleLock() {
	lock, err := httpidem.NewLock(memorystore.New(), httpidem.LockConfig{Operator: tenantOf})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = lock.Do(ctx, "ship", "acme", "order-1", func(ctx context.Context) error {
		n, _ := httpidem.LockFence(ctx)
		fmt.Println("shipping order 1 as holder", n)
		again := lock.Do(ctx, "ship", "acme", "order-1", func(context.Context) error { return nil })
		fmt.Println("meanwhile:", again, errors.Is(again, httpidem.ErrLocked))
		return lock.Do(ctx, "ship", "acme", "order-2", func(context.Context) error {
			fmt.Println("order 2 does not wait")
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// shipping order 1 as holder 1
	// meanwhile: resource is locked true
	// order 2 does not wait
	// <nil>
}

// Inserting a customer by e-mail address, or finding who has it.
func ExampleOnConflict() {
	db, err := sql.Open("sqlite", "file:customers?mode=memory")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	if _, err := db.ExecContext(ctx, "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT UNIQUE)"); err != nil {
		log.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for range 2 {
		id, existed, err := httpidem.OnConflict(ctx, httpidem.SQL(tx),
			func(ctx context.Context) (int64, error) {
				res, err := tx.ExecContext(ctx, "INSERT INTO customers (email) VALUES ('a@shop.example')")
				if err != nil {
					return 0, err
				}
				return res.LastInsertId()
			},
			func(ctx context.Context) (id int64, err error) {
				err = tx.QueryRowContext(ctx, "SELECT id FROM customers WHERE email = 'a@shop.example'").Scan(&id)
				return id, err
			})
		fmt.Println(id, existed, err)
	}
	// Output:
	// 1 false <nil>
	// 1 true <nil>
}
