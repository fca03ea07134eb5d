package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// nowMark stands for the clock in a query, instantMark for one that stands still
// while the statement runs, and limitMark for how many rows.
const (
	nowMark     = "{now}"
	instantMark = "{instant}"
	limitMark   = "{limit}"
)

// A row's own times in an INSERT are relative: the database adds its clock.
type queries struct {
	insert, insertTx, read, readTx, write, complete, result, purge string
}

const columns = "handler, message_key, status, token, attempts, epoch, fingerprint, result, lease_until, expires_at, created_at, updated_at"

func newQueries(d sqldialect.Dialect, table string) queries {
	values := "?, ?, ?, ?, ?, ?, ?, ?, "
	conflict := ""
	if d != sqldialect.MySQL {
		conflict = " ON CONFLICT (handler, message_key) DO NOTHING"
	}
	values += relativeTime(d) + ", " + relativeTime(d) + ", {now}, {now}"
	read := "SELECT status, token, attempts, epoch, fingerprint, result, result IS NOT NULL, lease_until, expires_at, {now} FROM " + table +
		" WHERE handler = ? AND message_key = ?"
	live := " AND (expires_at = 0 OR expires_at > {now})"
	q := queries{
		insert: "INSERT INTO " + table + " (" + columns + ") VALUES (" + values + ")" + conflict,
		read:   read,
		readTx: read,
		write: "UPDATE " + table + " SET status = ?, token = ?, attempts = ?, epoch = ?, fingerprint = ?, result = ?, lease_until = ?, expires_at = ?, updated_at = {now}" +
			" WHERE handler = ? AND message_key = ? AND status = ? AND token = ? AND attempts = ? AND epoch = ? AND lease_until = ? AND expires_at = ?",
		complete: "UPDATE " + table + " SET status = 'done', result = ?, lease_until = 0, expires_at = {now} + ?, updated_at = {now}" +
			" WHERE handler = ? AND message_key = ? AND token = ? AND status IN ('processing', 'resumed')" + live,
		// The time changes too, or MySQL would not count the row of an equal result.
		result: "UPDATE " + table + " SET result = ?, updated_at = {now} WHERE handler = ? AND message_key = ? AND status = 'done' AND token = ''" + live,
	}
	q.insertTx = q.insert
	over := " WHERE expires_at > 0 AND expires_at <= " + instantMark + " ORDER BY expires_at LIMIT " + limitMark
	switch d {
	case sqldialect.PostgreSQL:
		// A concurrent claim of the same key answers at once in place of
		// waiting on the index for this transaction to end.
		q.insertTx = "WITH l AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(?) AS free), " +
			"i AS (INSERT INTO " + table + " (" + columns + ") SELECT " + postgresTyped + " FROM l WHERE l.free" + conflict + " RETURNING 1) " +
			"SELECT l.free, EXISTS (SELECT 1 FROM i) FROM l"
		q.purge = "DELETE FROM " + table + " WHERE (handler, message_key) IN (SELECT handler, message_key FROM " + table + over + " FOR UPDATE SKIP LOCKED)"
	case sqldialect.MySQL:
		// A locking read sees what is committed whatever the isolation level,
		// and shares with others who found the same row.
		q.readTx += " LOCK IN SHARE MODE"
		q.purge = "DELETE FROM " + table + over
	default:
		q.purge = "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + over + ")"
	}
	for _, p := range []*string{&q.insert, &q.insertTx, &q.read, &q.readTx, &q.write, &q.complete, &q.result, &q.purge} {
		*p = d.Bind(*p)
	}
	return q
}

// relativeTime is a time that is after the clock by the first parameter times
// the second, 1, or 0 where both are.
func relativeTime(d sqldialect.Dialect) string {
	if d == sqldialect.MySQL {
		return "CAST(? AS SIGNED) + CAST(? AS SIGNED) * {now}"
	}
	return "CAST(? AS BIGINT) + CAST(? AS BIGINT) * {now}"
}

// In a SELECT, unlike in VALUES, PostgreSQL does not take a parameter's type
// from the column.
const postgresTyped = "CAST(? AS VARCHAR), CAST(? AS VARCHAR), CAST(? AS VARCHAR), CAST(? AS VARCHAR), CAST(? AS BIGINT), CAST(? AS BIGINT), " +
	"CAST(? AS VARCHAR), CAST(? AS BYTEA), CAST(? AS BIGINT) + CAST(? AS BIGINT) * {now}, CAST(? AS BIGINT) + CAST(? AS BIGINT) * {now}, {now}, {now}"

// insertArgs are the arguments for a row whose times are relative.
func insertArgs(k idemstore.Key, r idemstore.Row) []any {
	return []any{k.Handler, k.ID, string(r.State), r.Token, r.Attempt, r.Epoch, r.Fingerprint, blob(r.Result),
		r.LeaseUntil, min(r.LeaseUntil, 1), r.ExpiresAt, min(r.ExpiresAt, 1)}
}

// insert writes a row that is not there, and reports whether it did.
func (s *Store) insert(ctx context.Context, x dbtx.Tx, k idemstore.Key, r idemstore.Row) (bool, error) {
	res, err := x.ExecContext(ctx, s.at(s.q.insert), insertArgs(k, r)...)
	if s.dialect == sqldialect.MySQL && s.dialect.IsDuplicate(err) {
		return false, nil // INSERT IGNORE would hide other errors too
	}
	n, err := affected(res, err)
	return n == 1, err
}

// rule judges a row at a time; see idemstore.Row.
type rule func(r idemstore.Row, now int64) (idemstore.Row, error)

// change replaces the row of k by what fn makes of it, unless fn fails or leaves
// it as it is.
func (s *Store) change(ctx context.Context, x dbtx.Tx, k idemstore.Key, fn rule) error {
	read := s.q.readTx
	if x == s.db {
		read = s.q.read
	}
	for range attempts {
		old, now, found, err := s.read(ctx, x, read, k)
		if err != nil {
			return s.mark(ctx, err)
		}
		row, err := fn(old, now)
		if err != nil || same(row, old) || row.State == idemstore.Absent {
			return err
		}
		var written bool
		if found {
			written, err = s.write(ctx, x, k, old, row)
		} else {
			written, err = s.insert(ctx, x, k, row)
		}
		if err != nil {
			return s.mark(ctx, err)
		}
		if written {
			return nil
		}
	}
	return fmt.Errorf("%w: it changed %d times in a row", idemstore.ErrContended, attempts)
}

// read returns the row of k. Where there is none, now is 0, and the times of a
// row made from it are relative, as insert wants them.
func (s *Store) read(ctx context.Context, x dbtx.Tx, query string, k idemstore.Key) (r idemstore.Row, now int64, found bool, err error) {
	var result bool
	err = x.QueryRow(ctx, s.at(query), k.Handler, k.ID).Scan(
		&r.State, &r.Token, &r.Attempt, &r.Epoch, &r.Fingerprint, &r.Result, &result, &r.LeaseUntil, &r.ExpiresAt, &now)
	if errors.Is(err, stdsql.ErrNoRows) {
		return idemstore.Row{}, 0, false, nil
	}
	if result && r.Result == nil {
		r.Result = []byte{} // a SQLite driver gives nil for an empty blob
	}
	return r, now, err == nil, err
}

// write replaces old by row, and reports whether old was still there.
func (s *Store) write(ctx context.Context, x dbtx.Tx, k idemstore.Key, old, row idemstore.Row) (bool, error) {
	res, err := x.ExecContext(ctx, s.at(s.q.write),
		string(row.State), row.Token, row.Attempt, row.Epoch, row.Fingerprint, blob(row.Result), row.LeaseUntil, row.ExpiresAt,
		k.Handler, k.ID, string(old.State), old.Token, old.Attempt, old.Epoch, old.LeaseUntil, old.ExpiresAt)
	n, err := affected(res, err)
	return n == 1, err
}

func same(a, b idemstore.Row) bool {
	return a.State == b.State && a.Token == b.Token && a.Attempt == b.Attempt && a.Epoch == b.Epoch &&
		a.LeaseUntil == b.LeaseUntil && a.ExpiresAt == b.ExpiresAt
}

func affected(res stdsql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// blob keeps nil apart from empty.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
