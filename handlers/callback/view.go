package callback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// maxPage is the most that one page holds.
const maxPage = 1000

// Get returns a call. ErrNotFound where it is not there, or its transaction has not
// committed.
func (c *Caller) Get(ctx context.Context, number string) (View, error) {
	r, err := c.table.get(ctx, nil, number)
	return r.View, err
}

// Filter says which calls List returns.
type Filter struct {
	// Status and Kind of the calls. Empty: any.
	Status Status
	Kind   string
	// After is the ID of the last call of the page before. 0: the first page.
	After int64
	// Limit is how many to return at most, up to 1000. Default 100.
	Limit int
}

// List returns calls, the newest first, without their bodies and the data of
// their results.
func (c *Caller) List(ctx context.Context, f Filter) ([]View, error) {
	var errs []error
	if f.Status != "" && !f.Status.valid() {
		errs = append(errs, fmt.Errorf("%w: Filter.Status: %q is none", ErrInvalid, string(f.Status)))
	}
	if f.Limit < 0 || f.Limit > maxPage {
		errs = append(errs, fmt.Errorf("%w: Filter.Limit: %d, use up to %d", ErrInvalid, f.Limit, maxPage))
	}
	if f.After < 0 {
		errs = append(errs, fmt.Errorf("%w: Filter.After: %d is negative", ErrInvalid, f.After))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	orDefault(&f.Limit, 100)
	query, args := c.table.filtered(f)
	list, err := sqltable.Collect(ctx, &c.table.Tables, c.table.DB, query, args, func(row dbtx.Row) (View, error) {
		r, err := c.table.scan(row)
		return r.View, err
	})
	if err != nil {
		return nil, fmt.Errorf("list calls: %w", err)
	}
	return list, nil
}

// force names the index that gives the order. MySQL would intersect two of them, and
// sort.
func (t *table) force(index string) string {
	if t.Dialect != sqldialect.MySQL {
		return ""
	}
	return " FORCE INDEX (`" + t.plain + "_" + index + "`)"
}

func (t *table) filtered(f Filter) (query string, args []any) {
	index := "service"
	switch {
	case f.Kind != "":
		index = "kind"
	case f.Status != "":
		index = "status"
	}
	query, args = "SELECT "+brief+" FROM {calls}"+t.force(index)+" WHERE service = ?", []any{t.service}
	and := func(condition string, value any) {
		query += " AND " + condition
		args = append(args, value)
	}
	if f.Status != "" {
		and("status = ?", string(f.Status))
	}
	if f.Kind != "" {
		and("kind = ?", f.Kind)
	}
	if f.After > 0 {
		and("id < ?", f.After)
	}
	return query + " ORDER BY id DESC LIMIT ?", append(args, f.Limit)
}

// Counts returns how many calls there are of each status.
func (c *Caller) Counts(ctx context.Context) (map[Status]int64, error) {
	type count struct {
		status Status
		n      int64
	}
	list, err := sqltable.Collect(ctx, &c.table.Tables, c.table.DB, "SELECT status, COUNT(*) FROM {calls} WHERE service = ? GROUP BY status", []any{c.table.service},
		func(row dbtx.Row) (n count, err error) {
			err = row.Scan(&n.status, &n.n)
			return n, err
		})
	if err != nil {
		return nil, fmt.Errorf("count calls: %w", err)
	}
	out := make(map[Status]int64, len(list))
	for _, n := range list {
		out[n.status] = n.n
	}
	return out, nil
}

// Entry is one step in the history of a call.
type Entry struct {
	At     time.Time
	Kind   Kind
	Source Source
	// Status of the result that came; empty where none did.
	Status Status
	// Detail is its code and reason, or why there was none.
	Detail string
	// Data are those of a result that was not applied and that people may want to
	// compare: one that contradicts, or came after the deadline.
	Data []byte
}

// History returns what has happened to a call, the oldest first: up to
// Config.History entries and its end. It is empty where there is no call.
func (c *Caller) History(ctx context.Context, number string) ([]Entry, error) {
	list, err := sqltable.Collect(ctx, &c.table.Tables, c.table.DB,
		"SELECT happened_at, kind, source, status, detail, data FROM {events} WHERE service = ? AND number = ? ORDER BY id",
		[]any{c.table.service, number}, func(row dbtx.Row) (e Entry, err error) {
			var at int64
			err = row.Scan(&at, &e.Kind, &e.Source, &e.Status, &e.Detail, &e.Data)
			e.At = sqltable.Time(at)
			return e, err
		})
	if err != nil {
		return nil, fmt.Errorf("read history of call: %w", err)
	}
	return list, nil
}
