package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// ErrOutdated says that the database lacks migrations that this version needs.
var ErrOutdated = errors.New("database schema is outdated")

// Up applies what is missing and returns how many migrations it applied. It may
// run twice, and at the same time from several processes: one applies, the
// others wait and find nothing to do.
func Up(ctx context.Context, db *sql.DB, d sqldialect.Dialect, n sqldialect.Names) (applied int, err error) {
	list, err := List(d, n)
	if err != nil {
		return 0, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect for migrations: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if d == sqldialect.SQLite {
		// modernc.org/sqlite can leave a transaction behind where a statement in
		// it is interrupted, and there is no network to wait for.
		ctx = context.WithoutCancel(ctx)
	}
	unlock, err := lock(ctx, conn, d, n)
	if err != nil {
		return 0, fmt.Errorf("lock for migrations: %w", err)
	}
	applied, err = apply(ctx, conn, d, n, list)
	return applied, unlock(err)
}

func apply(ctx context.Context, conn *sql.Conn, d sqldialect.Dialect, n sqldialect.Names, list []Migration) (int, error) {
	if _, err := conn.ExecContext(ctx, createMigrationTable(d, n)); err != nil {
		return 0, fmt.Errorf("create migration table: %w", err)
	}
	current, err := version(ctx, conn, d, n)
	if err != nil {
		return 0, err
	}
	applied := 0
	record := d.Bind("INSERT INTO " + n.Table(d, migrationsTab) + " (version, name, applied_at) VALUES (?, ?, " + d.Now() + ")")
	for _, m := range list {
		if m.Version <= current {
			continue
		}
		for _, s := range m.Statements {
			// What a run that was cut off has added is there: MySQL's DDL commits by
			// itself, and has no ADD COLUMN IF NOT EXISTS.
			if _, err := conn.ExecContext(ctx, s); err != nil && !d.IsAdded(err) {
				return 0, fmt.Errorf("apply migration %04d_%s: %w", m.Version, m.Name, err)
			}
		}
		if _, err := conn.ExecContext(ctx, record, m.Version, m.Name); err != nil {
			return 0, fmt.Errorf("record migration %04d_%s: %w", m.Version, m.Name, err)
		}
		applied++
	}
	return applied, nil
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func version(ctx context.Context, q queryer, d sqldialect.Dialect, n sqldialect.Names) (int, error) {
	var v int
	if err := q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM "+n.Table(d, migrationsTab)).Scan(&v); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return v, nil
}

// Check returns an error that wraps ErrOutdated where migrations are missing,
// or were never applied.
func Check(ctx context.Context, db *sql.DB, d sqldialect.Dialect, n sqldialect.Names) error {
	list, err := List(d, n)
	if err != nil {
		return err
	}
	want := list[len(list)-1].Version
	v, err := version(ctx, db, d, n)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: want version %d, run the migrations", ErrOutdated, want), err)
	}
	if v < want {
		return fmt.Errorf("%w: at version %d, want %d, run the migrations", ErrOutdated, v, want)
	}
	return nil
}

// lock takes a lock that one process at a time holds for these names. The
// returned function ends it, commits or rolls back, and passes err on.
func lock(ctx context.Context, conn *sql.Conn, d sqldialect.Dialect, n sqldialect.Names) (func(error) error, error) {
	if d == sqldialect.MySQL {
		return lockMySQL(ctx, conn, n)
	}
	// Whatever the server's default is: the version is read after the wait for the lock.
	begin := "BEGIN ISOLATION LEVEL READ COMMITTED"
	if d == sqldialect.SQLite {
		begin = "BEGIN IMMEDIATE"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return nil, err
	}
	end := func(err error) error {
		if err == nil {
			if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
				err = fmt.Errorf("commit migrations: %w", err)
			}
		}
		if err == nil {
			return nil
		}
		// The connection goes back to the pool, where a transaction would stay open.
		_, rbErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, rbErr)
	}
	if d == sqldialect.SQLite {
		return end, nil
	}
	// A lock of the transaction, not of the session: it also holds behind a
	// pooler that hands sessions out by transaction.
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(n)); err != nil {
		return nil, end(err)
	}
	if n.Schema != "" {
		if err := ensureSchema(ctx, conn, d, n); err != nil {
			return nil, end(err)
		}
	}
	return end, nil
}

func ensureSchema(ctx context.Context, conn *sql.Conn, d sqldialect.Dialect, n sqldialect.Names) error {
	var found bool
	err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM information_schema.schemata WHERE schema_name = $1)", n.Schema).Scan(&found)
	if err != nil || found {
		return err
	}
	_, err = conn.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+d.Quote(n.Schema))
	return err
}

// lockMySQL takes a named lock: DDL commits by itself there, so a crash in the
// middle leaves statements that the next run repeats harmlessly.
func lockMySQL(ctx context.Context, conn *sql.Conn, n sqldialect.Names) (func(error) error, error) {
	name := fmt.Sprintf("sluicegate_migrate_%d", lockNumber(n))
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 60)", name).Scan(&got); err != nil {
		return nil, err
	}
	if got.Int64 != 1 {
		return nil, errors.New("another process has been migrating for 60 s")
	}
	return func(err error) error {
		_, relErr := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
		return errors.Join(err, relErr)
	}, nil
}

func lockNumber(n sqldialect.Names) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("sluicegate migrate " + n.Schema + " " + n.Plain("")))
	return int64(h.Sum64() >> 1)
}
