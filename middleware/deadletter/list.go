package deadletter

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The bounds of Filter.Limit.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Filter selects letters. The zero value selects all.
type Filter struct {
	Consumer string // default: any
	Handler  string // default: any
	Topic    string // default: any
	After    int64  // only ids greater than this: the last of the page before
	Limit    int    // of List: page size, default 100, at most 1000; Count ignores it
}

func (f Filter) where() (string, []any) {
	var text strings.Builder
	var args []any
	for _, c := range []struct{ column, value string }{{"consumer", f.Consumer}, {"handler", f.Handler}, {"topic", f.Topic}} {
		if c.value != "" {
			text.WriteString(" AND " + c.column + " = ?")
			args = append(args, column(c.value))
		}
	}
	if f.After > 0 {
		text.WriteString(" AND id > ?")
		args = append(args, f.After)
	}
	return text.String(), args
}

// List returns a page of the letters that f selects, oldest first.
func (s *SQLStore) List(ctx context.Context, f Filter) (_ []Letter, err error) {
	switch {
	case f.Limit == 0:
		f.Limit = DefaultLimit
	case f.Limit < 0 || f.Limit > MaxLimit:
		return nil, fmt.Errorf("list dead letters: Filter.Limit: %d is not within 1 and %d", f.Limit, MaxLimit)
	}
	where, args := f.where()
	rows, err := s.db.QueryContext(ctx, s.dialect.Bind(fmt.Sprintf("%s%s ORDER BY id LIMIT %d", s.query, where, f.Limit)), args...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []Letter
	for rows.Next() {
		l, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		out = append(out, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return out, nil
}

// Get returns one letter, or an error that wraps ErrNotFound.
func (s *SQLStore) Get(ctx context.Context, id int64) (Letter, error) {
	l, err := scan(s.db.QueryRowContext(ctx, s.dialect.Bind(s.query+" AND id = ?"), id))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Letter{}, fmt.Errorf("%w: %d", ErrNotFound, id)
	case err != nil:
		return Letter{}, fmt.Errorf("get dead letter %d: %w", id, err)
	}
	return l, nil
}

// Count returns how many letters f selects.
func (s *SQLStore) Count(ctx context.Context, f Filter) (int64, error) {
	where, args := f.where()
	var n int64
	if err := s.db.QueryRowContext(ctx, s.dialect.Bind(s.count+where), args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return n, nil
}

func scan(row interface{ Scan(...any) error }) (Letter, error) {
	var (
		l                       Letter
		uuid, headers, attempts string
		payload                 []byte
		at                      int64
	)
	err := row.Scan(&l.ID, &l.Consumer, &l.Handler, &l.Topic, &l.Key, &uuid, &payload, &headers, &l.Reason, &attempts, &at)
	if err != nil {
		return Letter{}, err
	}
	l.Message = message.NewMessage(uuid, payload)
	if l.Message.Metadata, err = decodeHeaders(headers); err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: %w", l.ID, err)
	}
	if err := json.Unmarshal([]byte(attempts), &l.Attempts); err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: decode attempts: %w", l.ID, err)
	}
	l.At = time.UnixMicro(at).UTC()
	return l, nil
}
