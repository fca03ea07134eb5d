package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// Action is what somebody did by hand.
type Action struct {
	At time.Time
	// By is who.
	By string
	// What is "put", "enable", "disable", "resend" or "confirm".
	What string
	// Target and Request are what it was done to; Request may be empty.
	Target, Request string
	Detail          string

	id int64
}

func actor(by string) error { return name("by", by, true) }

func joined(errs ...error) error { return errors.Join(errs...) }

// note records an action in the transaction that does it.
func (n *Notifier) note(ctx context.Context, tx dbtx.Executor, a Action) error {
	_, err := n.db.Exec(ctx, tx, "INSERT INTO {action} (at, actor, action, target, request, detail) VALUES ({now}, ?, ?, ?, ?, ?)",
		a.By, a.What, a.Target, a.Request, a.Detail)
	if err != nil {
		return fmt.Errorf("record action: %w", err)
	}
	return nil
}

// Actions returns up to limit actions on a target, the newest first, before the
// given one where that is one of an earlier page.
func (n *Notifier) Actions(ctx context.Context, target string, before Action, limit int) ([]Action, error) {
	if limit < 1 || limit > maxPage {
		return nil, invalid("limit: %d, use 1 to %d", limit, maxPage)
	}
	query, args := "SELECT id, at, actor, action, target, request, detail FROM {action} WHERE target = ?", []any{target}
	if before.id > 0 {
		query, args = query+" AND id < ?", append(args, before.id)
	}
	list, err := collect(ctx, n, query+" ORDER BY id DESC LIMIT ?", append(args, limit), func(row dbtx.Row) (a Action, err error) {
		var at int64
		err = row.Scan(&a.id, &at, &a.By, &a.What, &a.Target, &a.Request, &a.Detail)
		a.At = sqltable.Time(at)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("list actions: %w", err)
	}
	return list, nil
}
