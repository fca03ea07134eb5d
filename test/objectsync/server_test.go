// Package objectsync_test holds objectsync against an S3-compatible server, and
// against PostgreSQL and MariaDB.
package objectsync_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/s3store"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(childMain())
	}
	goleak.VerifyTestMain(m)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// database has tables of the test's own.
type database struct {
	*sql.DB
	dialect     sqldialect.Dialect
	driver, dsn string
	prefix      string
	table       string
}

func eachDatabase(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		t.Run(d.String(), func(t *testing.T) { fn(t, open(t, d)) })
	}
}

func open(tb testing.TB, d sqldialect.Dialect) *database {
	tb.Helper()
	db := &database{dialect: d, prefix: "t" + strings.ToLower(rand.Text()[:10]) + "_"}
	db.locate(tb)
	must(tb, db.connect())
	tb.Cleanup(func() { _ = db.Close() })
	names := sqldialect.Names{Prefix: db.prefix}
	_, err := schema.Up(context.Background(), db.DB, d, names)
	must(tb, err)
	db.exec(tb, "CREATE TABLE "+db.table+" (id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, version BIGINT NOT NULL)")
	tb.Cleanup(func() {
		for _, table := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + names.Table(d, table))
		}
		_, _ = db.Exec("DROP TABLE IF EXISTS " + db.table)
	})
	return db
}

func (db *database) locate(tb testing.TB) {
	tb.Helper()
	db.table = db.prefix + "product"
	switch db.dialect {
	case sqldialect.PostgreSQL:
		db.driver, db.dsn = "pgx", server(tb, "POSTGRES_URL").String()
	case sqldialect.MySQL:
		u := server(tb, "MYSQL_URL")
		cfg := mysql.NewConfig()
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
		db.driver, db.dsn = "mysql", cfg.FormatDSN()
	default:
		db.driver = "sqlite"
		db.dsn = "file:" + tb.TempDir() + "/x.db?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(20000)&_pragma=synchronous(NORMAL)"
	}
}

func (db *database) connect() (err error) {
	if db.DB, err = sql.Open(db.driver, db.dsn); err != nil {
		return err
	}
	conns := 16
	if db.dialect == sqldialect.SQLite {
		conns = 1
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return nil
}

// server returns the URL in the variable, or skips.
func server(tb testing.TB, variable string) *url.URL {
	tb.Helper()
	raw := os.Getenv(variable)
	if raw == "" {
		tb.Skipf("%s is not set: eval \"$(scripts/services env)\"", variable)
	}
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatalf("%s is no URL", variable)
	}
	return u
}

func (db *database) exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	_, err := db.ExecContext(context.Background(), db.dialect.Bind(query), args...)
	must(tb, err)
}

type product struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
}

func (db *database) load(ctx context.Context, on *sql.DB, entity string) (objectsync.Object, error) {
	p := product{ID: entity}
	err := on.QueryRowContext(ctx, db.dialect.Bind("SELECT name, version FROM "+db.table+" WHERE id = ?"), entity).Scan(&p.Name, &p.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return objectsync.Object{Deleted: true}, nil
	}
	return objectsync.Object{Body: p, Version: p.Version}, err
}

func (db *database) entities(ctx context.Context, on *sql.DB, after string, limit int) (out []string, err error) {
	rows, err := on.QueryContext(ctx, db.dialect.Bind("SELECT id FROM "+db.table+" WHERE id > ? ORDER BY id LIMIT ?"), after, limit)
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
		Name: "products", Load: db.load, Entities: db.entities, Prefix: db.prefix,
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
