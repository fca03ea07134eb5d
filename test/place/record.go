package place

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Recorder keeps each statement that a pool ran, with the arguments of the last
// run of it. It may be used from several goroutines.
type Recorder struct {
	mu   sync.Mutex
	args map[string][]any
}

// Statements are those recorded since the last Reset, with their arguments.
func (r *Recorder) Statements() map[string][]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.args)
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.args = map[string][]any{}
}

func (r *Recorder) note(query string, args []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	r.args[query] = values
}

// Record is Connect with a driver between that records.
func (db *Database) Record(tb testing.TB) (*sql.DB, *Recorder) {
	tb.Helper()
	return RecordAt(tb, db.Dialect, db.DriverName, db.DSN)
}

// RecordAt opens a pool at an address, with a driver between that records, and
// closes it at the end of tb.
func RecordAt(tb testing.TB, d sqldialect.Dialect, driverName, dsn string) (*sql.DB, *Recorder) {
	tb.Helper()
	plain, err := sql.Open(driverName, dsn)
	Must(tb, err)
	drv := plain.Driver()
	Must(tb, plain.Close())
	var c driver.Connector = named{drv, dsn}
	if dc, ok := drv.(driver.DriverContext); ok {
		c, err = dc.OpenConnector(dsn)
		Must(tb, err)
	}
	r := &Recorder{args: map[string][]any{}}
	again := sql.OpenDB(recording{c, r})
	setConns(again, d)
	tb.Cleanup(func() { _ = again.Close() })
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
	rec *Recorder
}

func (c recording) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	base, ok := conn.(base)
	kept, keeps := conn.(kept)
	direct, runs := conn.(direct)
	if !ok || !keeps || !runs {
		return nil, errors.Join(fmt.Errorf("a %T lacks something that is recorded", conn), conn.Close())
	}
	r := &recordingConn{base, kept, direct, c.rec}
	if checker, ok := conn.(driver.NamedValueChecker); ok {
		return &checkingConn{r, checker}, nil
	}
	return r, nil
}

// What the connections of all three drivers can do.
type (
	base interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ConnBeginTx
	}
	kept interface {
		driver.Pinger
		driver.SessionResetter
	}
	direct interface {
		driver.ExecerContext
		driver.QueryerContext
	}
)

type recordingConn struct {
	base
	kept
	direct

	rec *Recorder
}

type checkingConn struct {
	*recordingConn
	driver.NamedValueChecker
}

func (c *recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.rec.note(query, args)
	return c.direct.ExecContext(ctx, query, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.rec.note(query, args)
	return c.direct.QueryContext(ctx, query, args)
}
