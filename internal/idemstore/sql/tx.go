package sql

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// ClaimTx inserts the record of c as done within tx: one statement where there
// is none yet.
//
// While another transaction has inserted the same key and not ended, PostgreSQL
// answers Busy at once. MySQL, MariaDB and SQLite wait for it to end, within
// ctx and the server's lock wait timeout. An error of contention, such as a
// deadlock of two such waits, is returned: a fresh transaction can win.
func (s *Store) ClaimTx(ctx context.Context, tx dbtx.Tx, c idemstore.Claim) (idemstore.Record, error) {
	c, err := forTx(c)
	if err != nil {
		return idemstore.Record{}, err
	}
	fresh, rec := claimDone(idemstore.Row{}, c, 0)
	free, inserted, err := s.insertTx(ctx, tx, c.Key, fresh)
	switch {
	case err != nil:
		return idemstore.Record{}, fmt.Errorf("claim in inbox: %w", s.mark(ctx, err))
	case inserted:
		return rec, nil
	case !free:
		return idemstore.Record{Verdict: idemstore.Busy, State: idemstore.Processing}, nil
	}
	err = s.change(ctx, tx, c.Key, func(r idemstore.Row, now int64) (idemstore.Row, error) {
		r, rec = claimDone(r, c, now)
		return r, nil
	})
	if err != nil {
		return idemstore.Record{}, fmt.Errorf("claim in inbox: %w", err)
	}
	return rec, nil
}

// ResultTx puts a result into the record that ClaimTx has won within tx: until tx
// ends, nobody else can have changed it.
func (s *Store) ResultTx(ctx context.Context, tx dbtx.Tx, k idemstore.Key, result []byte) error {
	k, err := k.Normalize()
	if err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, s.at(s.q.result), blob(result), k.Handler, k.ID)
	n, err := affected(res, err)
	if err != nil {
		return fmt.Errorf("store result in inbox: %w", s.mark(ctx, err))
	}
	if n != 1 {
		return idemstore.ErrLeaseLost
	}
	return nil
}

// forTx checks a claim within a transaction.
func forTx(c idemstore.Claim) (idemstore.Claim, error) {
	c.Token, c.Lease = "tx", max(c.Lease, time.Second) // neither is used
	c, err := c.Normalize()
	if err != nil {
		return idemstore.Claim{}, err
	}
	return c, idemstore.CheckTerm("retention", c.Retention)
}

// claimDone claims r and marks it done at once: nobody sees it before the
// transaction commits.
func claimDone(r idemstore.Row, c idemstore.Claim, now int64) (idemstore.Row, idemstore.Record) {
	row, rec := r.Claim(c, now)
	if rec.Verdict != idemstore.Won && rec.Verdict != idemstore.Takeover {
		return r, rec
	}
	rec.State = idemstore.Done
	row.State, row.Token, row.LeaseUntil = idemstore.Done, "", 0
	row.ExpiresAt = now + c.Retention.Microseconds()
	return row, rec
}

// insertTx inserts the row. free is false where another transaction is known to
// be at it.
func (s *Store) insertTx(ctx context.Context, tx dbtx.Tx, k idemstore.Key, r idemstore.Row) (free, inserted bool, err error) {
	if s.dialect != sqldialect.PostgreSQL {
		inserted, err = s.insert(ctx, tx, k, r)
		return true, inserted, err
	}
	args := append([]any{s.lockNumber(k)}, insertArgs(k, r)...)
	err = tx.QueryRow(ctx, s.at(s.q.insertTx), args...).Scan(&free, &inserted)
	return free, inserted, err
}

// lockNumber names the advisory lock of k. Two keys with one number are only
// busy for each other.
func (s *Store) lockNumber(k idemstore.Key) int64 {
	h := fnv.New64a()
	for _, part := range []string{s.space, k.Handler, k.ID} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64()) //nolint:gosec // any number will do
}
