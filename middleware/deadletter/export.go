package deadletter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/sluicegate/sluicegate/internal/fingerprint"
)

// Export writes the letters that f selects as JSON lines, whole, the smallest id
// first, and returns how many it wrote. Letters that come up meanwhile are left
// out. It holds a batch of them in memory, at most 8 MiB or one letter.
func (s *SQLStore) Export(ctx context.Context, w io.Writer, f Filter) (int64, error) {
	f, err := f.selects().check()
	if err != nil {
		return 0, fmt.Errorf("export dead letters: %w", err)
	}
	if _, err := s.Backfill(ctx); err != nil { // a letter needs a name to be known again
		return 0, fmt.Errorf("export dead letters: %w", err)
	}
	last, err := s.queryInts(ctx, 1, "SELECT COALESCE(MAX(id), 0) FROM "+s.table)
	if err != nil {
		return 0, fmt.Errorf("export dead letters: %w", err)
	}
	if f.Before == 0 || f.Before > last[0][0] {
		f.Before = last[0][0] + 1
	}
	written := int64(0)
	for {
		ids, next, err := s.ids(ctx, f)
		if err != nil {
			return written, fmt.Errorf("export dead letters: %w", err)
		}
		err = s.eachPart(ctx, ids, func(part []int64) error {
			n, err := s.write(ctx, w, part)
			written += n
			return err
		})
		if err != nil {
			return written, fmt.Errorf("export dead letters: %w", err)
		}
		if next == 0 {
			return written, nil
		}
		f = f.next(next)
	}
}

func (s *SQLStore) write(ctx context.Context, w io.Writer, ids []int64) (written int64, err error) {
	letters, err := s.load(ctx, ids, Filter{})
	if err != nil {
		return 0, err
	}
	for _, l := range letters {
		b, err := encodeLine(l)
		if err != nil {
			return written, fmt.Errorf("letter %d: %w", l.ID, err)
		}
		if _, err := w.Write(b); err != nil {
			return written, fmt.Errorf("write: %w", err)
		}
		written++
	}
	return written, nil
}

// backfillBatch is how many letters Backfill changes in a transaction.
const backfillBatch = 200

// Backfill gives letters that an older version has stored their group and their
// name, in small transactions, and returns how many had none. It may run twice,
// and at the same time in several processes.
func (s *SQLStore) Backfill(ctx context.Context) (int64, error) {
	total := int64(0)
	for {
		n, err := s.backfill(ctx)
		if err != nil {
			return total, fmt.Errorf("complete dead letters of an older version: %w", err)
		}
		if n == 0 {
			return total, nil
		}
		total += n
	}
}

type old struct {
	id     int64
	reason string
}

func (s *SQLStore) backfill(ctx context.Context) (_ int64, err error) {
	letters, err := s.unnamed(ctx)
	if err != nil || len(letters) == 0 {
		return 0, err
	}
	tx, err := s.db.BeginTx(ctx, s.dialect.TxOptions())
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	query := s.dialect.Bind("UPDATE " + s.table + " SET ref = ?, fingerprint = ? WHERE id = ? AND ref IS NULL")
	for _, l := range letters {
		if _, err := tx.ExecContext(ctx, query, rand.Text(), fingerprint.Of(l.reason), l.id); err != nil {
			return 0, err
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return int64(len(letters)), nil
}

func (s *SQLStore) unnamed(ctx context.Context) (out []old, err error) {
	rows, err := s.db.QueryContext(ctx, fmt.Sprintf("SELECT id, reason FROM %s WHERE ref IS NULL LIMIT %d", s.table, backfillBatch))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var l old
		if err := rows.Scan(&l.id, &l.reason); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}
