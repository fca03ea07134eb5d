package sqltable_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open returns a table of things in a file, and another connection to it. Neither waits for the other.
func open(t *testing.T, now func() time.Time) (tables sqltable.Tables, other *sql.DB) {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "x.db") + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(0)"
	var pools [2]*sql.DB
	for i := range pools {
		db, err := sql.Open("sqlite", dsn)
		must(t, err)
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = db.Close() })
		pools[i] = db
	}
	tables = sqltable.New(pools[0], sqldialect.SQLite, sqldialect.Names{Prefix: "x_"}, now, map[string]string{"thing": "thing"})
	_, err := tables.Exec(t.Context(), tables.DB, "CREATE TABLE {thing} (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, data BLOB)")
	must(t, err)
	return tables, pools[1]
}

func TestRowsComeBackAsTheyWereWritten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	tables, _ := open(t, func() time.Time { return now })
	n, err := tables.Exec(t.Context(), tables.DB, "INSERT INTO {thing} (at, data) VALUES ({now}, ?), (?, ?)",
		sqltable.Blob(nil), sqltable.Micros(time.Time{}), sqltable.Blob([]byte{}))
	if err != nil || n != 2 {
		t.Fatalf("%d rows, %v", n, err)
	}
	type thing struct {
		at   time.Time
		null bool
	}
	scan := func(row dbtx.Row) (out thing, err error) {
		var at int64
		err = row.Scan(&at, &out.null)
		out.at = sqltable.Time(at)
		return out, err
	}
	list, err := sqltable.Collect(t.Context(), &tables, tables.DB, "SELECT at, data IS NULL FROM {thing} ORDER BY id", nil, scan)
	must(t, err)
	if len(list) != 2 || list[0] != (thing{now, true}) || list[1] != (thing{}) {
		t.Errorf("read %+v", list)
	}
	if one, err := sqltable.One(t.Context(), &tables, "SELECT at, data IS NULL FROM {thing} WHERE id = ?", []any{1}, scan); err != nil || one != list[0] {
		t.Errorf("read %+v, %v", one, err)
	}
	if _, err := sqltable.One(t.Context(), &tables, "SELECT at, data IS NULL FROM {thing} WHERE id = ?", []any{9}, scan); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("none is %v", err)
	}
	if at, err := tables.Clock(t.Context()); err != nil || !at.Equal(now) {
		t.Errorf("the clock says %v, %v", at, err)
	}
}

func TestTheClockIsTheDatabases(t *testing.T) {
	tables, _ := open(t, nil)
	before := time.Now().Add(-time.Second)
	at, err := tables.Clock(t.Context())
	if err != nil || at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("the clock says %v, %v", at, err)
	}
}

// A writer has the file to itself; who comes meanwhile has lost a race.
func TestALostRaceIsRunAgain(t *testing.T) {
	tables, other := open(t, nil)
	insert := func(ctx context.Context, tx dbtx.Tx) error {
		_, err := tables.Exec(ctx, tx, "INSERT INTO {thing} (at) VALUES ({now})")
		return err
	}
	writer, err := other.BeginTx(t.Context(), nil)
	must(t, err)
	if err := tables.InTx(t.Context(), insert); !errors.Is(err, sqltable.ErrContended) || failure.IsUnavailable(err) {
		t.Errorf("with a writer there it is %v", err)
	}
	must(t, writer.Rollback())
	must(t, tables.InTx(t.Context(), insert))

	writer, err = other.BeginTx(t.Context(), nil)
	must(t, err)
	calls := 0
	err = sqltable.Again(t.Context(), func() error {
		if calls++; calls == 3 {
			must(t, writer.Rollback())
		}
		_, err := tables.Exec(t.Context(), tables.DB, "INSERT INTO {thing} (at) VALUES ({now})")
		return err
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestWhatIsNoRaceIsNotRunAgain(t *testing.T) {
	tables, _ := open(t, nil)
	calls, own := 0, errors.New("own")
	err := tables.InTx(t.Context(), func(context.Context, dbtx.Tx) error { calls++; return own })
	if calls != 1 || !errors.Is(err, own) {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = sqltable.Again(ctx, func() error { calls++; cancel(); return sqltable.ErrContended })
	if calls != 2 || !errors.Is(err, sqltable.ErrContended) {
		t.Errorf("%d calls after the end of the context, %v", calls, err)
	}
}

func TestMarkSaysWhatAnErrorMeans(t *testing.T) {
	tables, _ := open(t, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tables.Mark(t.Context(), sql.ErrConnDone); !failure.IsUnavailable(err) || !errors.Is(err, sql.ErrConnDone) {
		t.Errorf("a connection that is gone is %v", err)
	}
	if err := tables.Mark(ended, sql.ErrConnDone); failure.IsUnavailable(err) {
		t.Errorf("after the end of the context it is %v", err)
	}
	if err := tables.Mark(t.Context(), sql.ErrNoRows); failure.IsUnavailable(err) || !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("no rows are %v", err)
	}
	if err := tables.Mark(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
