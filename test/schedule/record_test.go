package schedule_test

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

// recorded opens db's server again, behind a driver that records.
func recorded(t *testing.T, db *place.Database) (*sql.DB, *recorder) {
	t.Helper()
	r := &recorder{args: map[string][]any{}}
	var c driver.Connector
	conns := 8
	switch db.Dialect {
	case sqldialect.PostgreSQL:
		cfg, err := pgx.ParseConfig(db.DSN)
		place.Must(t, err)
		c = stdlib.GetConnector(*cfg)
	case sqldialect.MySQL:
		cfg, err := mysql.ParseDSN(db.DSN)
		place.Must(t, err)
		c, err = mysql.NewConnector(cfg)
		place.Must(t, err)
	default:
		c, conns = named{db.Driver(), db.DSN}, 1
	}
	again := sql.OpenDB(recording{c, r})
	again.SetMaxOpenConns(conns)
	t.Cleanup(func() { _ = again.Close() })
	return again, r
}

// named is the connector of a driver that has none.
type named struct {
	d   driver.Driver
	dsn string
}

func (n named) Connect(context.Context) (driver.Conn, error) { return n.d.Open(n.dsn) }
func (n named) Driver() driver.Driver                        { return n.d }

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

// commonConn is what the connections of all three drivers can do.
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
