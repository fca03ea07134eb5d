package deadletter

import (
	"context"
	"fmt"
)

// scanLimit is how many letters one Page reads at most to find a text.
const scanLimit = 20_000

// spanLimit is how many letters of a range of time are put in the order of
// their ids, rather than looked for among all letters in that order.
const spanLimit = 100_000

// ids returns the ids of a page and its Next. An index answers it, but for a
// text, which is looked for in the next scanLimit letters that the others select.
func (s *SQLStore) ids(ctx context.Context, f Filter) (ids []int64, next int64, err error) {
	if f.Text == "" && f.only(false, true) && f.Status != AnyStatus && !f.only(false, false) {
		few, err := s.few(ctx, f)
		if err != nil {
			return nil, 0, err
		}
		if few {
			where, args := f.where()
			return s.pageOf(ctx, f, 0, fmt.Sprintf("(SELECT id FROM %s%s WHERE %s ORDER BY dead_at LIMIT %d) span", s.table, s.with("age"), where, spanLimit), "", args)
		}
	}
	from := s.table + s.hint(f)
	end := int64(0)
	where, args := f.where()
	if f.Text != "" {
		found, err := s.queryInts(ctx, 1, fmt.Sprintf("SELECT id FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %d", from, where, f.order(), scanLimit-1), args...)
		if err != nil {
			return nil, 0, err
		}
		if len(found) > 0 {
			end = found[0][0]
		}
		where, args = f.all(s.dialect)
	}
	if end > 0 {
		bound := " AND id <= ?"
		if f.Newest {
			bound = " AND id >= ?"
		}
		where, args = where+bound, append(args, end)
	}
	return s.pageOf(ctx, f, end, from, " WHERE "+where, args)
}

// pageOf returns the ids of a page out of what from and where select, and end
// for its Next where it is not full.
func (s *SQLStore) pageOf(ctx context.Context, f Filter, end int64, from, where string, args []any) (ids []int64, next int64, err error) {
	found, err := s.queryInts(ctx, 1, fmt.Sprintf("SELECT id FROM %s%s ORDER BY %s LIMIT %d", from, where, f.order(), f.Limit), args...)
	if err != nil {
		return nil, 0, err
	}
	for _, row := range found {
		ids = append(ids, row[0])
	}
	if len(ids) == f.Limit {
		end = ids[len(ids)-1]
	}
	return ids, end, nil
}

// few reports whether the range of time of f has few letters: then they are
// read by their time and sorted. There is no index that has both orders, and
// those before the range may be many.
func (s *SQLStore) few(ctx context.Context, f Filter) (bool, error) {
	where, args := f.where()
	found, err := s.queryInts(ctx, 1, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT id FROM %s%s WHERE %s ORDER BY dead_at LIMIT %d) span",
		s.table, s.with("age"), where, spanLimit+1), args...)
	if err != nil {
		return false, err
	}
	return found[0][0] <= spanLimit, nil
}

// hint names the index that has what f selects in the order of the ids. MySQL
// would else take the primary key for that order, and SQLite anything where it
// has no statistics; PostgreSQL needs none, and has no hints.
func (s *SQLStore) hint(f Filter) string {
	switch {
	case f.Status == AnyStatus || f.Key != "" || f.UUID != "":
		return ""
	case f.Handler != "":
		return s.with("scope")
	case f.Topic != "":
		return s.with("topic")
	case f.Consumer != "":
		return s.with("consumer")
	case f.Group != "":
		return s.with("group")
	}
	return s.with("status")
}

// with is the hint to one of our indexes.
func (s *SQLStore) with(index string) string {
	switch s.dialect {
	case MySQL:
		return " FORCE INDEX (" + s.dialect.Quote(s.indexes+index) + ")"
	case SQLite:
		return " INDEXED BY " + s.dialect.Quote(s.indexes+index)
	}
	return ""
}
