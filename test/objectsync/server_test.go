// Package objectsync_test holds objectsync against an S3-compatible server, and
// against PostgreSQL and MariaDB.
package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/s3store"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(childMain())
	}
	goleak.VerifyTestMain(m)
}

// database has a table of products beside ours.
type database struct {
	*place.Database

	table string
}

func eachDatabase(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		t.Run(d.String(), func(t *testing.T) { fn(t, open(t, d)) })
	}
}

func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	driver, dsn := place.Address(tb, d)
	if d == sqldialect.SQLite { // processes share the file, and are killed: they wait longer for each other
		dsn = "file:" + tb.TempDir() + "/x.db?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(20000)&_pragma=synchronous(NORMAL)"
	}
	db := &database{Database: place.OpenAt(tb, d, driver, dsn)}
	db.table = db.Prefix + "product"
	db.Create(tb, "product", "id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, version BIGINT NOT NULL")
	return db
}

// connect opens the pool of a process that has no test.
func (db *database) connect() (err error) {
	if db.DB, err = sql.Open(db.DriverName, db.DSN); err != nil {
		return err
	}
	conns := 16
	if db.Dialect == sqldialect.SQLite {
		conns = 1
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return nil
}

type product struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

func (db *database) load(ctx context.Context, on *sql.DB, entity string) (objectsync.Object, error) {
	p := product{ID: entity}
	err := on.QueryRowContext(ctx, db.Dialect.Bind("SELECT name, version FROM "+db.table+" WHERE id = ?"), entity).Scan(&p.Name, &p.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return objectsync.Object{Deleted: true}, nil
	}
	return objectsync.Object{Body: p, Version: p.Version}, err
}

func (db *database) entities(ctx context.Context, on *sql.DB, after string, limit int) (out []string, err error) {
	rows, err := on.QueryContext(ctx, db.Dialect.Bind("SELECT id FROM "+db.table+" WHERE id > ? ORDER BY id LIMIT ?"), after, limit)
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

// lease is that of the workers here: a killed one is replaced after it.
const lease = 4 * time.Second

// syncer is that of every process of a test.
func (db *database) syncer(s objectsync.Store) (*objectsync.Syncer, error) {
	return objectsync.New(db.DB, s, objectsync.Config{
		Name: "products", Load: db.load, Entities: db.entities, Prefix: db.Prefix,
		TryWait: 20 * time.Millisecond, Timeout: 400 * time.Millisecond, Lease: lease, PollMax: 200 * time.Millisecond,
		Schedule:  objectsync.Schedule{Initial: 100 * time.Millisecond, Max: time.Second, MaxAttempts: 1000},
		OutageMax: 500 * time.Millisecond,
	})
}

const bucket = "shop"

func bucketAt(endpoint string, unconditional bool) (*s3store.Store, error) {
	return s3store.New(endpoint, bucket, s3store.Config{
		Credentials: credentials.NewStaticV4("id", "secret", ""), Region: "us-east-1", PathStyle: true, Unconditional: unconditional,
	})
}

// difference tells how the store differs from the rows, byte by byte.
func (db *database) difference(ctx context.Context, s objectsync.Store) (string, error) {
	want := map[string]string{}
	ids, err := db.entities(ctx, db.DB, "", 10_000)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		o, err := db.load(ctx, db.DB, id)
		if err != nil {
			return "", err
		}
		p, _ := o.Body.(product)
		want["products/"+id+".json"] = fmt.Sprintf(`{"id":%q,"name":%q,"version":%d}`, p.ID, p.Name, p.Version)
	}
	after := ""
	for {
		page, err := s.List(ctx, objectsync.ListRequest{After: after, Limit: 200})
		if err != nil {
			return "", err
		}
		for _, o := range page.Items {
			got, _, err := s.Get(ctx, o.Key)
			if err != nil {
				return "", err
			}
			if string(got.Body) != want[o.Key] {
				return fmt.Sprintf("%s holds %s, the row is %s", o.Key, got.Body, want[o.Key]), nil
			}
			delete(want, o.Key)
			after = o.Key
		}
		if !page.More {
			break
		}
	}
	if len(want) > 0 {
		return fmt.Sprintf("%d objects are missing", len(want)), nil
	}
	return "", nil
}
