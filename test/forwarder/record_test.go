package forwarder_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

// recorder keeps each statement that was run, with the arguments of one run.
type recorder struct {
	mu   sync.Mutex
	args map[string][]any
}

func (r *recorder) note(query string, args []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	r.args[query] = values
}

// openRecorded opens the database behind a driver that records.
func openRecorded(t *testing.T, isMySQL bool) (*sql.DB, *recorder) {
	t.Helper()
	r := &recorder{args: map[string][]any{}}
	var c driver.Connector
	if isMySQL {
		_, dsn := place.Address(t, sqldialect.MySQL)
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = mysql.NewConnector(cfg); err != nil {
			t.Fatal(err)
		}
	} else {
		cfg, err := pgx.ParseConfig(place.URL(t, "POSTGRES_URL").String())
		if err != nil {
			t.Fatal(err)
		}
		c = stdlib.GetConnector(*cfg)
	}
	db := sql.OpenDB(recordingConnector{c, r})
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { _ = db.Close() })
	return db, r
}

type recordingConnector struct {
	driver.Connector
	rec *recorder
}

func (c recordingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a %T lacks something that is recorded", conn), conn.Close())
	}
	return &recordingConn{full, c.rec}, nil
}

// fullConn is what both drivers' connections can do.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
	driver.Pinger
	driver.NamedValueChecker
	driver.SessionResetter
}

type recordingConn struct {
	fullConn
	rec *recorder
}

func (c *recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.rec.note(query, args)
	return c.fullConn.ExecContext(ctx, query, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.rec.note(query, args)
	return c.fullConn.QueryContext(ctx, query, args)
}
