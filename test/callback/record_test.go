package callback_test

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

// recorded opens the server again, behind a driver that records.
func (ts tables) recorded(t *testing.T) (*sql.DB, *recorder) {
	t.Helper()
	r := &recorder{args: map[string][]any{}}
	var c driver.Connector
	switch ts.dialect {
	case sqldialect.PostgreSQL:
		cfg, err := pgx.ParseConfig(ts.dsn)
		must(t, err)
		c = stdlib.GetConnector(*cfg)
	default:
		cfg, err := mysql.ParseDSN(ts.dsn)
		must(t, err)
		c, err = mysql.NewConnector(cfg)
		must(t, err)
	}
	db := sql.OpenDB(recording{c, r})
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { _ = db.Close() })
	return db, r
}

type recording struct {
	driver.Connector
	rec *recorder
}

func (c recording) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	some, ok := conn.(commonConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a %T lacks something that is recorded", conn), conn.Close())
	}
	r := &recordingConn{some, c.rec}
	if checker, ok := conn.(driver.NamedValueChecker); ok {
		return &checkingConn{r, checker}, nil
	}
	return r, nil
}

// commonConn is what the connections of both drivers can do.
type commonConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
}

type recordingConn struct {
	commonConn
	rec *recorder
}

type checkingConn struct {
	*recordingConn
	driver.NamedValueChecker
}

func (c *recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.rec.note(query, args)
	return c.commonConn.ExecContext(ctx, query, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.rec.note(query, args)
	return c.commonConn.QueryContext(ctx, query, args)
}
