package sql

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// rows is a transaction that can be asked for many rows; that of database/sql is
// one.
type rows interface {
	dbtx.Tx
	QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error)
}

type batchQueries struct{ insert, read string }

const batchColumns = "handler, message_key, status, attempts, fingerprint, expires_at, created_at, updated_at"

// newBatchQueries are in the order of the keys' bytes, so that two batches that
// share keys wait for each other and never in a circle.
func newBatchQueries(d sqldialect.Dialect, table string) batchQueries {
	read := "SELECT message_key, status, fingerprint, expires_at = 0 OR expires_at > {now} FROM " + table + " WHERE handler = ? AND message_key "
	insert := "INSERT INTO " + table + " (" + batchColumns + ") "
	var q batchQueries
	switch d {
	case sqldialect.PostgreSQL:
		// Answers with those that were not inserted: usually with nothing.
		q.insert = "WITH c AS MATERIALIZED (SELECT u.k, u.f, u.n FROM unnest(" + textArray + ", " + textArray + ") WITH ORDINALITY AS u(k, f, n)), " +
			"t AS MATERIALIZED (SELECT {now} AS at), i AS (" + insert +
			"SELECT CAST(? AS VARCHAR), c.k, 'done', 1, c.f, t.at + CAST(? AS BIGINT), t.at, t.at FROM c CROSS JOIN t ORDER BY c.n " +
			"ON CONFLICT (handler, message_key) DO NOTHING RETURNING message_key) " +
			"SELECT c.k FROM c WHERE NOT EXISTS (SELECT 1 FROM i WHERE i.message_key = c.k)"
		q.read = read + "= ANY(" + textArray + ")"
	case sqldialect.MySQL:
		q.insert = insert + "VALUES "
		q.read = read + "IN (%s) LOCK IN SHARE MODE" // see readTx
	default:
		q.insert = insert + "SELECT ?, json_extract(c.value, '$[0]'), 'done', 1, json_extract(c.value, '$[1]'), {now} + CAST(? AS BIGINT), {now}, {now} " +
			"FROM json_each(?) AS c WHERE true ON CONFLICT (handler, message_key) DO NOTHING RETURNING message_key"
		q.read = read + "IN (SELECT value FROM json_each(?))"
	}
	q.insert, q.read = d.Bind(q.insert), d.Bind(q.read)
	return q
}

// textArray takes the literal of an array, which every driver can pass.
const textArray = "CAST(CAST(? AS TEXT) AS TEXT[])"

// ClaimBatchTx inserts the records of claims as done within tx: in one
// statement where there are none yet, and with one or two more where there are.
// A key that another open transaction has inserted keeps it waiting for the end
// of that one, in every database.
func (s *Store) ClaimBatchTx(ctx context.Context, tx dbtx.Tx, claims []idemstore.Claim) ([]idemstore.Record, error) {
	x, ok := tx.(rows)
	if !ok {
		return nil, fmt.Errorf("%w: a batch needs a transaction of database/sql, not a %T", idemstore.ErrInvalid, tx)
	}
	if len(claims) == 0 {
		return nil, nil
	}
	sorted, err := normalizeBatch(claims)
	if err != nil {
		return nil, err
	}
	there, err := s.insertBatch(ctx, x, sorted)
	if err != nil {
		return nil, fmt.Errorf("claim batch in inbox: %w", s.mark(ctx, err))
	}
	var known map[string]idemstore.Record
	if len(there) > 0 {
		if known, err = s.readBatch(ctx, x, sorted, there); err != nil {
			return nil, fmt.Errorf("claim batch in inbox: %w", s.mark(ctx, err))
		}
	}
	recs := make([]idemstore.Record, len(claims))
	for i, c := range claims {
		k, _ := c.Key.Normalize() // it has been before
		if there[k.ID] {
			recs[i] = known[k.ID] // or undecided
		} else {
			recs[i] = idemstore.Record{Verdict: idemstore.Won, State: idemstore.Done, Attempt: 1}
		}
	}
	return recs, nil
}

// normalizeBatch returns the claims in the order of their keys.
func normalizeBatch(claims []idemstore.Claim) ([]idemstore.Claim, error) {
	sorted := make([]idemstore.Claim, len(claims))
	for i, c := range claims {
		c, err := forTx(c)
		if err != nil {
			return nil, err
		}
		if c.Key.Handler != claims[0].Key.Handler || c.Retention != claims[0].Retention {
			return nil, fmt.Errorf("%w: the claims of a batch must have one handler and one retention", idemstore.ErrInvalid)
		}
		sorted[i] = c
	}
	slices.SortFunc(sorted, func(a, b idemstore.Claim) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	for i := range sorted[1:] {
		if sorted[i].Key == sorted[i+1].Key {
			return nil, fmt.Errorf("%w: a key stands twice in a batch", idemstore.ErrInvalid)
		}
	}
	return sorted, nil
}

// insertBatch returns the keys that were not inserted.
func (s *Store) insertBatch(ctx context.Context, x rows, claims []idemstore.Claim) (there map[string]bool, err error) {
	handler, retention := claims[0].Key.Handler, claims[0].Retention.Microseconds()
	switch s.dialect {
	case sqldialect.PostgreSQL:
		return s.keys(ctx, x, s.batch.insert, arrayOf(claims, keyOf), arrayOf(claims, fingerprintOf), handler, retention)
	case sqldialect.MySQL:
		return s.insertMySQL(ctx, x, claims)
	default: // SQLite
	}
	inserted, err := s.keys(ctx, x, s.batch.insert, handler, retention, jsonOf(claims))
	if err != nil || len(inserted) == len(claims) {
		return nil, err
	}
	there = make(map[string]bool, len(claims)-len(inserted))
	for _, c := range claims {
		if !inserted[c.Key.ID] {
			there[c.Key.ID] = true
		}
	}
	return there, nil
}

// insertMySQL inserts all, and where that meets a key that is there, which
// undoes the statement alone, those that are not. INSERT IGNORE would hide other
// errors too.
func (s *Store) insertMySQL(ctx context.Context, x rows, claims []idemstore.Claim) (there map[string]bool, err error) {
	err = s.insertValues(ctx, x, claims)
	if !s.dialect.IsDuplicate(err) {
		return nil, err
	}
	all := make(map[string]bool, len(claims))
	for _, c := range claims {
		all[c.Key.ID] = true
	}
	known, err := s.readBatch(ctx, x, claims, all)
	if err != nil {
		return nil, err
	}
	there = make(map[string]bool, len(known))
	missing := make([]idemstore.Claim, 0, len(claims))
	for _, c := range claims {
		if _, ok := known[c.Key.ID]; ok {
			there[c.Key.ID] = true
		} else {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return there, nil
	}
	if err = s.insertValues(ctx, x, missing); s.dialect.IsDuplicate(err) {
		return nil, fmt.Errorf("%w: %w", idemstore.ErrContended, err)
	}
	return there, err
}

func (s *Store) insertValues(ctx context.Context, x rows, claims []idemstore.Claim) error {
	values := "(?, ?, 'done', 1, ?, {now} + CAST(? AS SIGNED), {now}, {now})"
	query := s.batch.insert + strings.Repeat(values+", ", len(claims)-1) + values
	args := make([]any, 0, 4*len(claims))
	for _, c := range claims {
		args = append(args, c.Key.Handler, c.Key.ID, c.Fingerprint, c.Retention.Microseconds())
	}
	_, err := x.ExecContext(ctx, s.at(query), args...)
	return err
}

func (s *Store) keys(ctx context.Context, x rows, query string, args ...any) (map[string]bool, error) {
	found, err := x.QueryContext(ctx, s.at(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	keys := map[string]bool{}
	for found.Next() {
		var key string
		if err := found.Scan(&key); err != nil {
			return nil, err
		}
		keys[key] = true
	}
	return keys, found.Err()
}

// readBatch returns what is known of the keys that are there: for one that a
// claim of its own must decide about, the undecided record.
func (s *Store) readBatch(ctx context.Context, x rows, claims []idemstore.Claim, there map[string]bool) (map[string]idemstore.Record, error) {
	asked := make([]idemstore.Claim, 0, len(there))
	byID := make(map[string]idemstore.Claim, len(there))
	for _, c := range claims {
		if there[c.Key.ID] {
			asked = append(asked, c)
			byID[c.Key.ID] = c
		}
	}
	query, args := s.readArgs(asked)
	found, err := x.QueryContext(ctx, s.at(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	known := make(map[string]idemstore.Record, len(asked))
	for found.Next() {
		var (
			key, mark string
			state     idemstore.State
			live      bool
			rec       idemstore.Record
		)
		if err := found.Scan(&key, &state, &mark, &live); err != nil {
			return nil, err
		}
		c := byID[key]
		if final, over := finished(state, c); live && over && (c.Fingerprint == "" || mark == "" || c.Fingerprint == mark) {
			rec = idemstore.Record{Verdict: idemstore.Finished, State: final}
		}
		known[key] = rec
	}
	return known, found.Err()
}

// finished says whether c finds a live record in state over, and as what.
func finished(state idemstore.State, c idemstore.Claim) (idemstore.State, bool) {
	switch state {
	case idemstore.Done, idemstore.Dead:
		return state, true
	case idemstore.Parked, idemstore.Resumed:
		return idemstore.Parked, !c.Resume
	default:
		return state, false
	}
}
