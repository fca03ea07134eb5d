package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Page is a part of a list.
type Page struct {
	Letters []Letter
	// Next is what After of the next page is, or, with Newest, Before; 0 where
	// nothing follows. A page may have fewer letters than its limit, or none,
	// and still have a Next: a text was looked for in so many letters and not in
	// the others yet.
	Next int64
}

// List returns a page of the letters that f selects, in the order of their ids.
// It is complete: fewer letters than f.Limit are all that there are. With
// Filter.Text this may have to read all letters; Page does not.
func (s *SQLStore) List(ctx context.Context, f Filter) ([]Letter, error) {
	f, err := f.check()
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	var out []Letter
	for want := f.Limit; ; {
		page, err := s.page(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		out = append(out, page.Letters...)
		if len(out) >= want || page.Next == 0 {
			return out, nil
		}
		f = f.next(page.Next)
		f.Limit = want - len(out)
	}
}

// Page is List with bounded work: with Filter.Text it reads at most 20,000 of
// the letters that the other fields select.
func (s *SQLStore) Page(ctx context.Context, f Filter) (Page, error) {
	f, err := f.check()
	if err != nil {
		return Page{}, fmt.Errorf("list dead letters: %w", err)
	}
	page, err := s.page(ctx, f)
	if err != nil {
		return Page{}, fmt.Errorf("list dead letters: %w", err)
	}
	return page, nil
}

// page is Page for a checked filter.
func (s *SQLStore) page(ctx context.Context, f Filter) (Page, error) {
	ids, next, err := s.ids(ctx, f)
	if err != nil || len(ids) == 0 {
		return Page{Next: next}, err
	}
	letters, err := s.load(ctx, ids, f)
	return Page{Letters: letters, Next: next}, err
}

// load returns the letters with these ids in the order of f; those that are gone
// are left out.
func (s *SQLStore) load(ctx context.Context, ids []int64, f Filter) (_ []Letter, err error) {
	columns := full
	if f.Brief {
		columns = brief
	}
	query, args := s.byID("SELECT "+columns+" FROM "+s.table, ids)
	rows, err := s.db.QueryContext(ctx, s.dialect.Bind(query+" ORDER BY "+f.order()), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := make([]Letter, 0, len(ids))
	for rows.Next() {
		l, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// byID puts the ids behind a statement.
func (s *SQLStore) byID(statement string, ids []int64, args ...any) (string, []any) {
	for _, id := range ids {
		args = append(args, id)
	}
	var b strings.Builder
	b.WriteString(statement)
	b.WriteString(" WHERE id IN (")
	b.WriteString(sqldialect.List(len(ids)))
	b.WriteString(")")
	return b.String(), args
}

// Get returns one letter of any status, whole, or an error that wraps
// ErrNotFound.
func (s *SQLStore) Get(ctx context.Context, id int64) (Letter, error) {
	letters, err := s.load(ctx, []int64{id}, Filter{})
	switch {
	case err != nil:
		return Letter{}, fmt.Errorf("get dead letter %d: %w", id, err)
	case len(letters) == 0:
		return Letter{}, fmt.Errorf("%w: %d", ErrNotFound, id)
	}
	return letters[0], nil
}

// Count returns how many letters f selects.
func (s *SQLStore) Count(ctx context.Context, f Filter) (int64, error) {
	f.Limit = 0
	f, err := f.check()
	if err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	where, args := f.all(s.dialect)
	found, err := s.queryInts(ctx, 1, "SELECT COUNT(*) FROM "+s.table+" WHERE "+where, args...)
	if err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return found[0][0], nil
}
