package sqlstate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// The dialects.
const (
	PostgreSQL = sqldialect.PostgreSQL
	MySQL      = sqldialect.MySQL // and MariaDB
	SQLite     = sqldialect.SQLite
)

// Config of a State. The zero value is ready to use.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the table.
	// Default: the connection's own.
	Schema string
	// Prefix begins the table's name. Default "sluicegate_".
	Prefix string
	// Now is the clock, for tests. Default: the database's, which all replicas
	// share.
	Now func() time.Time
}

// State is an alert.State in a database. It is safe for concurrent use and owns
// no goroutine.
type State struct {
	db      *sql.DB
	dialect Dialect
	clock   func() time.Time // nil: the database's

	get, insert, update, remove, list, due, next string
}

const columns = "kind, id, version, due_at, data"

// New returns a State on db. The tables must exist: they are made by the
// migrations of this module. Nothing is read or written here.
func New(db *sql.DB, cfg Config) (*State, error) {
	names := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, names)
	if err != nil {
		return nil, fmt.Errorf("configure alert state: %w", err)
	}
	table, now := names.Table(d, schema.Alert), d.Now()
	s := &State{db: db, dialect: d, clock: cfg.Now}
	// Without a row there is still the clock to tell.
	s.get = d.Bind("SELECT t.at, a.version, a.due_at, a.data FROM (SELECT " + now + " AS at) t LEFT JOIN " + table + " a ON a.kind = ? AND a.id = ?")
	s.insert = d.Bind("INSERT INTO " + table + " (" + columns + ", created_at, updated_at) VALUES (?, ?, 1, ?, ?, " + now + ", " + now + ")")
	s.update = d.Bind("UPDATE " + table + " SET version = version + 1, due_at = ?, data = ?, updated_at = " + now +
		" WHERE kind = ? AND id = ? AND version = ?")
	s.remove = d.Bind("DELETE FROM " + table + " WHERE kind = ? AND id = ? AND version = ?")
	s.list = d.Bind("SELECT " + columns + " FROM " + table + " WHERE kind = ? AND id > ? ORDER BY id LIMIT ?")
	s.due = d.Bind("SELECT " + columns + " FROM " + table + " WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, kind, id LIMIT ?")
	s.next = d.Bind("SELECT COALESCE(MIN(due_at), 0) FROM " + table + " WHERE due_at > ?")
	return s, nil
}

// Get is part of alert.State.
func (s *State) Get(ctx context.Context, kind alert.Kind, id string) (alert.Row, time.Time, error) {
	row := alert.Row{Kind: kind, ID: id}
	var now int64
	var version, due sql.NullInt64
	err := s.db.QueryRowContext(ctx, s.get, string(kind), id).Scan(&now, &version, &due, &row.Data)
	if err != nil {
		return alert.Row{}, time.Time{}, fmt.Errorf("read alert state: %w", err)
	}
	row.Version, row.Due = version.Int64, timeOf(due.Int64)
	return row, s.at(now), nil
}

func (s *State) at(database int64) time.Time {
	if s.clock != nil {
		return s.clock()
	}
	return timeOf(database)
}

// Put is part of alert.State.
func (s *State) Put(ctx context.Context, row alert.Row) error {
	if err := alert.CheckRow(row); err != nil {
		return err
	}
	var err error
	if row.Version == 0 {
		_, err = s.db.ExecContext(ctx, s.insert, string(row.Kind), row.ID, micros(row.Due), string(row.Data))
		if s.dialect.IsDuplicate(err) {
			return alert.ErrConflict
		}
	} else {
		err = s.one(ctx, s.update, micros(row.Due), string(row.Data), string(row.Kind), row.ID, row.Version)
	}
	return s.wrap("write alert state", err)
}

// Delete is part of alert.State.
func (s *State) Delete(ctx context.Context, row alert.Row) error {
	return s.wrap("remove alert state", s.one(ctx, s.remove, string(row.Kind), row.ID, row.Version))
}

// one runs a statement that finds one row, or that another was faster.
func (s *State) one(ctx context.Context, query string, args ...any) error {
	res, err := s.db.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return alert.ErrConflict
}

func (s *State) wrap(what string, err error) error {
	switch {
	case err == nil, errors.Is(err, alert.ErrConflict):
		return err
	case s.dialect.IsContention(err): // lost to another, before the versions were compared
		return fmt.Errorf("%w: %w", alert.ErrConflict, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// List is part of alert.State.
func (s *State) List(ctx context.Context, kind alert.Kind, after string, limit int) ([]alert.Row, error) {
	rows, err := s.rows(ctx, s.list, string(kind), after, limit)
	if err != nil {
		return nil, fmt.Errorf("list alert state: %w", err)
	}
	return rows, nil
}

// Agenda is part of alert.State.
func (s *State) Agenda(ctx context.Context, limit int) (alert.Agenda, error) {
	var now, next int64
	fail := func(err error) (alert.Agenda, error) {
		return alert.Agenda{}, fmt.Errorf("read what is due in alert state: %w", err)
	}
	if s.clock == nil {
		if err := s.db.QueryRowContext(ctx, "SELECT "+s.dialect.Now()).Scan(&now); err != nil {
			return fail(err)
		}
	}
	a := alert.Agenda{Now: s.at(now)}
	var err error
	if a.Rows, err = s.rows(ctx, s.due, a.Now.UnixMicro(), limit); err != nil {
		return fail(err)
	}
	if err := s.db.QueryRowContext(ctx, s.next, a.Now.UnixMicro()).Scan(&next); err != nil {
		return fail(err)
	}
	a.Next = timeOf(next)
	return a, nil
}

func (s *State) rows(ctx context.Context, query string, args ...any) (_ []alert.Row, err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []alert.Row
	for rows.Next() {
		var r alert.Row
		var kind string
		var due int64
		if err := rows.Scan(&kind, &r.ID, &r.Version, &due, &r.Data); err != nil {
			return nil, err
		}
		r.Kind, r.Due = alert.Kind(kind), timeOf(due)
		out = append(out, r)
	}
	return out, rows.Err()
}

// micros rounds up: a row is never due before its time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
