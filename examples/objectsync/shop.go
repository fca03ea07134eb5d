package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/dirstore"
)

// shop has a database and a folder of product pages.
type shop struct {
	dir    string
	db     *sql.DB
	files  *flaky
	pages  *objectsync.Syncer
	random *rand.Rand
}

func open(ctx context.Context, dir string, seed uint64) (*shop, error) {
	s := &shop{dir: dir, random: rand.New(rand.NewPCG(seed, 1))}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(1) // SQLite: one shared write connection
	s.db = db
	if err := sluicegate.Migrate(ctx, db, sluicegate.Config{}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	const products = "CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL, version INTEGER NOT NULL)"
	if _, err := db.ExecContext(ctx, products); err != nil {
		return nil, errors.Join(fmt.Errorf("create products: %w", err), db.Close())
	}
	folder, err := dirstore.New(filepath.Join(dir, "pages")) // or s3store.New("https://cos.ap-guangzhou.myqcloud.com", "shop-125", …)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.files = &flaky{Store: folder, random: rand.New(rand.NewPCG(seed, 2))}
	s.pages, err = objectsync.New(db, s.files, objectsync.Config{
		Name: "products", Load: loadProduct, Entities: listProducts,
		// So that the example takes seconds. The defaults are 3 tries 1 s apart, then 10 s to 1 h.
		TryWait: 5 * time.Millisecond, Timeout: 300 * time.Millisecond, Lease: 3 * time.Second, PollMax: 100 * time.Millisecond,
		Schedule: objectsync.Schedule{Initial: 20 * time.Millisecond, Max: 200 * time.Millisecond},
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shop) close() error { return errors.Join(s.files.Close(), s.db.Close()) }

// product is the JSON of a page.
type product struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

// loadProduct reads the row as it is now.
func loadProduct(ctx context.Context, db *sql.DB, id string) (objectsync.Object, error) {
	p := product{ID: id}
	var version int64
	err := db.QueryRowContext(ctx, "SELECT name, price, version FROM products WHERE id = ?", id).Scan(&p.Name, &p.Price, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return objectsync.Object{Deleted: true}, nil
	}
	if p.Price < 0 {
		p.Price = math.NaN() // which JSON does not have
	}
	return objectsync.Object{Body: p, Version: version}, err
}

// listProducts lets Reconcile find products that nobody has marked.
func listProducts(ctx context.Context, db *sql.DB, after string, limit int) (ids []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT id FROM products WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err has told of what went wrong
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// inTx commits what fn does.
func (s *shop) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// save writes a row; its version grows for ever.
func save(ctx context.Context, tx *sql.Tx, id, name string, price float64) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO products VALUES (?, ?, ?, 1) ON CONFLICT (id) DO UPDATE SET "+
		"name = excluded.name, price = excluded.price, version = products.version + 1", id, name, price)
	if err != nil {
		return fmt.Errorf("save product: %w", err)
	}
	return nil
}

// work is the worker's process: it uploads until it is killed.
func work(ctx context.Context, dir string) error {
	s, err := open(ctx, dir, 3)
	if err != nil {
		return err
	}
	return errors.Join(s.pages.Run(ctx), s.close())
}

var errDisk = errors.New("the disk has a bad day")

// flaky is a store of which a sixth of the writes fails: some before they are done, and some
// after.
type flaky struct {
	*dirstore.Store
	puts, failed atomic.Int64
	healthy      atomic.Bool

	mu     sync.Mutex
	random *rand.Rand
}

func (f *flaky) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	f.puts.Add(1)
	f.mu.Lock()
	fate := f.random.IntN(12)
	f.mu.Unlock()
	if f.healthy.Load() || fate > 1 {
		return f.Store.Put(ctx, key, b) //nolint:wrapcheck // it says what it did
	}
	f.failed.Add(1)
	if fate == 0 {
		return objectsync.Info{}, errDisk
	}
	_, err := f.Store.Put(ctx, key, b)
	return objectsync.Info{}, errors.Join(errDisk, err)
}
