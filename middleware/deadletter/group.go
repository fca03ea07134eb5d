package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/fingerprint"
)

// Group is the letters of one error.
type Group struct {
	// Fingerprint is what Filter.Group takes; empty for letters of an older
	// version, until Backfill.
	Fingerprint string
	Count       int64
	First, Last time.Time // when the first and the last were set aside
	// Error is the reason without the values in it: what the letters of the
	// group have in common.
	Error string
	// Sample is the newest letter, without payload, metadata and attempts.
	Sample Letter
}

// Groups counts the letters that f selects by the fingerprint of their error,
// the largest group first, at most f.Limit of them. After, Before and Newest
// are ignored.
func (s *SQLStore) Groups(ctx context.Context, f Filter) ([]Group, error) {
	f.After, f.Before, f.Newest = 0, 0, false
	f, err := f.check()
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	groups, newest, err := s.groups(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	if len(groups) == 0 {
		return nil, nil
	}
	samples, err := s.load(ctx, newest, Filter{Brief: true})
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	at := make(map[int64]Letter, len(samples))
	for _, l := range samples {
		at[l.ID] = l
	}
	for i := range groups {
		// One that was removed meanwhile leaves its group without a sample.
		groups[i].Sample = at[newest[i]]
		groups[i].Error = fingerprint.Normalize(groups[i].Sample.Reason)
	}
	return groups, nil
}

func (s *SQLStore) groups(ctx context.Context, f Filter) (out []Group, newest []int64, err error) {
	where, args := f.all(s.dialect)
	from := s.table + s.hint(f)
	if f.only(true, true) && f.Status != AnyStatus {
		from = s.table + s.with("group") // has the letters of a group beside each other: nothing is sorted
	}
	rows, err := s.db.QueryContext(ctx, s.dialect.Bind(fmt.Sprintf(
		"SELECT * FROM (SELECT fingerprint, COUNT(*) AS letters, MIN(dead_at) AS first_at, MAX(dead_at) AS last_at, MAX(id) AS last_id FROM %s WHERE %s GROUP BY fingerprint) grouped"+
			" ORDER BY letters DESC, fingerprint LIMIT %d", from, where, f.Limit)), args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var g Group
		var first, last, id int64
		if err := rows.Scan(&g.Fingerprint, &g.Count, &first, &last, &id); err != nil {
			return nil, nil, err
		}
		g.First, g.Last = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		out, newest = append(out, g), append(newest, id)
	}
	return out, newest, rows.Err()
}
