package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/dirstore"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// A product is saved and marked in one transaction; its page follows. Run, in this process or another
// one, would have found the mark as well.
func Example() {
	dir, err := os.MkdirTemp("", "objectsync")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	check(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	_, err = schema.Up(ctx, db, sqldialect.SQLite, sqldialect.Names{}) // or: sluicegate.Migrate
	check(err)
	_, err = db.ExecContext(ctx, "CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT, version INTEGER)")
	check(err)

	folder, err := dirstore.New(filepath.Join(dir, "pages")) // or s3store.New
	check(err)
	defer func() { _ = folder.Close() }()
	pages, err := objectsync.New(db, folder, objectsync.Config{
		Name: "products",
		Load: func(ctx context.Context, db *sql.DB, id string) (objectsync.Object, error) {
			var name string
			var version int64
			err := db.QueryRowContext(ctx, "SELECT name, version FROM products WHERE id = ?", id).Scan(&name, &version)
			if errors.Is(err, sql.ErrNoRows) {
				return objectsync.Object{Deleted: true}, nil
			}
			return objectsync.Object{Body: map[string]string{"name": name}, Version: version}, err
		},
	})
	check(err)

	tx, err := db.BeginTx(ctx, nil)
	check(err)
	_, err = tx.ExecContext(ctx, "INSERT INTO products VALUES ('tea/green', 'Green tea', 1)")
	check(err)
	check(pages.Mark(ctx, tx, "tea/green"))
	check(tx.Commit())

	results, err := pages.Sync(ctx, "tea/green")
	check(err)
	page, err := os.ReadFile(filepath.Join(dir, "pages", "products", "tea", "green.json"))
	check(err)
	fmt.Println(results[0].Status, string(page))

	check(os.Remove(filepath.Join(dir, "pages", "products", "tea", "green.json")))
	report, err := pages.Reconcile(ctx, objectsync.ReconcileConfig{})
	check(err)
	fmt.Println("missing:", report.Missing, "repaired:", report.Repaired)
	// Output:
	// synced {"name":"Green tea"}
	// missing: 1 repaired: 1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
