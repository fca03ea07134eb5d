package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// maxPage bounds what one call returns.
const maxPage = 1000

// Filter says which notifications List returns.
type Filter struct {
	// Target is required.
	Target string
	// Statuses are those to return. Default: all.
	Statuses []Status
	// From and To bound the time at which they were enqueued: From is in, To is not.
	// Default: no bound.
	From, To time.Time
	// After is the last of the page before. Its zero value is the first page.
	After Record
	// Limit is how many to return at most, 1 to 1000. Default 100.
	Limit int
}

func (f Filter) validate() error {
	errs := []error{name("Filter.Target", f.Target, true)}
	for _, s := range f.Statuses {
		if !s.Valid() {
			errs = append(errs, invalid("Filter.Statuses: %q is none", string(s)))
		}
	}
	if f.Limit < 0 || f.Limit > maxPage {
		errs = append(errs, invalid("Filter.Limit: %d, use 1 to %d, or 0 for 100", f.Limit, maxPage))
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		errs = append(errs, invalid("Filter.From: must be before To"))
	}
	return errors.Join(errs...)
}

// {payload} is the payload, or NULL where it is not asked for.
const recordColumns = "id, uid, target, request, type, content_type, {payload}, LENGTH(payload), status, round, attempts, next_at, last_status, last_error, " +
	"created_at, updated_at, finished_at, confirmed_at"

// List returns notifications of a target in the order in which they were enqueued. One that is
// enqueued in a transaction that takes long appears, when it commits, at the time of its Enqueue:
// who asks window after window lets them overlap.
func (n *Notifier) List(ctx context.Context, f Filter) ([]Record, error) {
	return n.list(ctx, f, "payload")
}

// list is List, with the payloads or, where payload is NULL, only their sizes.
func (n *Notifier) list(ctx context.Context, f Filter, payload string) ([]Record, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	query, args := " FROM {message} WHERE target = ?", []any{f.Target}
	and := func(condition string, values ...any) {
		query += " AND " + condition
		args = append(args, values...)
	}
	if len(f.Statuses) > 0 {
		and("status IN ("+sqldialect.List(len(f.Statuses))+")", anys(statusTexts(f.Statuses))...)
	}
	if from := f.From; !from.IsZero() || f.After.id > 0 {
		if f.After.CreatedAt.After(from) {
			from = f.After.CreatedAt
		}
		and("created_at >= ?", sqltable.Micros(from))
	}
	if !f.To.IsZero() {
		and("created_at < ?", sqltable.Micros(f.To))
	}
	if f.After.id > 0 {
		and("(created_at > ? OR id > ?)", sqltable.Micros(f.After.CreatedAt), f.After.id)
	}
	list, err := collect(ctx, n, "SELECT "+columnsWith(payload)+query+" ORDER BY created_at, id LIMIT ?", append(args, f.Limit), scanRecord)
	if err != nil {
		return nil, fmt.Errorf("list notifications: %w", err)
	}
	return list, nil
}

func statusTexts(list []Status) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if !slices.Contains(out, string(s)) {
			out = append(out, string(s))
		}
	}
	return out
}

func columnsWith(payload string) string {
	return strings.Replace(recordColumns, "{payload}", payload, 1)
}

func scanRecord(row dbtx.Row) (r Record, err error) {
	var (
		uid                                         string
		next, created, updated, finished, confirmed int64
	)
	err = row.Scan(&r.id, &uid, &r.Target, &r.ID, &r.Type, &r.ContentType, &r.Payload, &r.size, &r.Status, &r.round, &r.Attempts, &next,
		&r.LastStatus, &r.LastError, &created, &updated, &finished, &confirmed)
	r.WebhookID = "msg_" + uid
	r.NextAt, r.CreatedAt, r.UpdatedAt = sqltable.Time(next), sqltable.Time(created), sqltable.Time(updated)
	r.FinishedAt, r.ConfirmedAt = sqltable.Time(finished), sqltable.Time(confirmed)
	return r, err
}

// Get returns a notification. ErrNotFound where the target has none of this number.
func (n *Notifier) Get(ctx context.Context, target, id string) (Record, error) {
	r, err := one(ctx, n, "SELECT "+columnsWith("payload")+" FROM {message} WHERE uid = ?", []any{uidOf(target, id)}, scanRecord)
	if err != nil {
		return Record{}, fmt.Errorf("read notification: %w", err)
	}
	return r, nil
}

// Attempts returns the attempts of a notification, in order; up to 1000, the first ones.
func (n *Notifier) Attempts(ctx context.Context, target, id string) ([]Attempt, error) {
	const query = "SELECT number, began_at, duration, result, status, response, error FROM {attempt} WHERE uid = ? ORDER BY id LIMIT ?"
	list, err := collect(ctx, n, query, []any{uidOf(target, id), maxPage}, func(row dbtx.Row) (a Attempt, err error) {
		var (
			began, duration int64
			outcome         string
		)
		err = row.Scan(&a.Number, &began, &duration, &outcome, &a.Status, &a.Response, &a.Error)
		a.At, a.Duration, a.Delivered = sqltable.Time(began), time.Duration(duration)*time.Microsecond, outcome == "delivered"
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return list, nil
}

// Counts counts the notifications of a target by their status.
func (n *Notifier) Counts(ctx context.Context, target string) (map[Status]int64, error) {
	type count struct {
		status Status
		n      int64
	}
	list, err := collect(ctx, n, "SELECT status, COUNT(*) FROM {message} WHERE target = ? GROUP BY status", []any{target},
		func(row dbtx.Row) (c count, err error) {
			err = row.Scan(&c.status, &c.n)
			return c, err
		})
	if err != nil {
		return nil, fmt.Errorf("count notifications: %w", err)
	}
	out := make(map[Status]int64, len(list))
	for _, c := range list {
		out[c.status] = c.n
	}
	return out, nil
}
