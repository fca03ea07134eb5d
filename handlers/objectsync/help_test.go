package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB) *sql.DB {
	tb.Helper()
	db := sqlitetest.Migrate(tb, sqlitetest.Open(tb))
	_, err := db.Exec("CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL)")
	must(tb, err)
	return db
}

// product is the JSON of a row.
type product struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

func load(ctx context.Context, db *sql.DB, entity string) (objectsync.Object, error) {
	p := product{ID: entity}
	err := db.QueryRowContext(ctx, "SELECT name, version FROM products WHERE id = ?", entity).Scan(&p.Name, &p.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return objectsync.Object{Deleted: true}, nil
	}
	return objectsync.Object{Body: p, Version: p.Version}, err
}

func list(ctx context.Context, db *sql.DB, after string, limit int) (out []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT id FROM products WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// alerts collects.
type alerts struct {
	mu   sync.Mutex
	list []alert.Alert
}

func (a *alerts) Emit(one alert.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, one)
}

func (a *alerts) of(name string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.list {
		if one.Name == name {
			n++
		}
	}
	return n
}

// bench is a Syncer of products in a bubble of virtual time.
type bench struct {
	*objectsync.Syncer
	t      *testing.T
	db     *sql.DB
	store  *store
	alerts *alerts
}

func inBubble(t *testing.T, cfg objectsync.Config, fn func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		begin.Lock()
		begin.at = time.Now()
		begin.Unlock()
		b := &bench{t: t, db: open(t), alerts: &alerts{}}
		b.store = &store{Store: memstore.New(), db: b.db}
		b.Syncer = b.syncer(b.store, cfg)
		fn(t, b)
	})
}

func (b *bench) syncer(s objectsync.Store, cfg objectsync.Config) *objectsync.Syncer {
	b.t.Helper()
	if cfg.Load == nil {
		cfg.Load = load
	}
	cfg.Name, cfg.Alerts, cfg.Now = "products", b.alerts, time.Now
	out, err := objectsync.New(b.db, s, cfg)
	must(b.t, err)
	return out
}

// write changes rows in one transaction, and marks them.
func (b *bench) write(name string, ids ...string) {
	b.t.Helper()
	must(b.t, inTx(b.db, func(tx *sql.Tx) error {
		for _, id := range ids {
			_, err := tx.Exec("INSERT INTO products VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = products.version + 1", id, name)
			if err != nil {
				return err
			}
		}
		return b.MarkBatch(b.t.Context(), tx, ids...)
	}))
}

func (b *bench) remove(id string) {
	b.t.Helper()
	must(b.t, inTx(b.db, func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM products WHERE id = ?", id); err != nil {
			return err
		}
		return b.Mark(b.t.Context(), tx, id)
	}))
}

func inTx(db *sql.DB, fn func(tx *sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// run runs the Syncer until the test or stop ends it.
func (b *bench) run() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(stop)
	return stop
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// equal fails unless the store holds exactly the rows, byte for byte.
func (b *bench) equal() {
	b.t.Helper()
	if diff := difference(b.t.Context(), b.db, b.store.Store); diff != "" {
		b.t.Error(diff)
	}
}

func difference(ctx context.Context, db *sql.DB, s objectsync.Store) string {
	want := map[string]string{}
	ids, err := list(ctx, db, "", 10_000)
	if err != nil {
		return err.Error()
	}
	for _, id := range ids {
		var p product
		if err := db.QueryRowContext(ctx, "SELECT id, name, version FROM products WHERE id = ?", id).Scan(&p.ID, &p.Name, &p.Version); err != nil {
			return err.Error()
		}
		want["products/"+id+".json"] = fmt.Sprintf(`{"id":%q,"name":%q,"version":%d}`, p.ID, p.Name, p.Version)
	}
	page, err := s.List(ctx, objectsync.ListRequest{Limit: 1000})
	if err != nil {
		return err.Error()
	}
	for _, o := range page.Items {
		got, _, err := s.Get(ctx, o.Key)
		if err != nil {
			return err.Error()
		}
		if string(got.Body) != want[o.Key] {
			return fmt.Sprintf("%s holds %s, the row is %s", o.Key, got.Body, want[o.Key])
		}
		delete(want, o.Key)
	}
	if len(want) > 0 {
		return fmt.Sprintf("missing: %v", want)
	}
	return ""
}

func (b *bench) record(id string) objectsync.Record {
	b.t.Helper()
	r, err := b.Record(b.t.Context(), id)
	must(b.t, err)
	return r
}
