package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// PutTarget adds a target, or replaces all that is configured of one, which takes
// effect with the next attempt of every process. It does not enable a target that is disabled. What was
// held for a target that was not there goes on. by is who did it, for Actions. Invalid values
// are errors that name the field, all together, and ErrInvalid; none shows a secret.
func (n *Notifier) PutTarget(ctx context.Context, t Target, by string) error {
	if err := joined(t.validate(n.guard), actor(by)); err != nil {
		return err
	}
	secrets, who, how, err := t.columns()
	if err != nil {
		return err
	}
	const insert = "INSERT INTO {target} (name, url, secrets, access, options, status, reason, created_at, updated_at) " +
		"VALUES (?, ?, ?, ?, ?, 'enabled', '', {now}, {now}) "
	upsert := insert + "ON CONFLICT (name) DO UPDATE SET url = excluded.url, secrets = excluded.secrets, access = excluded.access, " +
		"options = excluded.options, updated_at = excluded.updated_at"
	if n.db.Dialect == sqldialect.MySQL {
		upsert = insert + "ON DUPLICATE KEY UPDATE url = VALUES(url), secrets = VALUES(secrets), access = VALUES(access), " +
			"options = VALUES(options), updated_at = VALUES(updated_at)"
	}
	err = n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		if _, err := n.db.Exec(ctx, tx, upsert, t.Name, t.URL, secrets, who, how); err != nil {
			return err
		}
		return n.note(ctx, tx, Action{By: by, What: "put", Target: t.Name})
	})
	if err != nil {
		return fmt.Errorf("put target: %w", err)
	}
	n.gates.forget(t.Name)
	if err := n.release(ctx, t.Name); err != nil {
		return fmt.Errorf("release what was held: %w", err)
	}
	return nil
}

// Disable has everything that is addressed to a target held, from the next attempt on, and
// returns ErrNotFound where there is none.
func (n *Notifier) Disable(ctx context.Context, target, reason, by string) error {
	return n.toggle(ctx, target, true, reason, by)
}

// Enable ends Disable, also that by a 410, and a throttle: what was held goes on, with the attempts
// that it has left.
func (n *Notifier) Enable(ctx context.Context, target, by string) error {
	if err := n.toggle(ctx, target, false, "", by); err != nil {
		return err
	}
	n.gates.forget(target)
	if err := n.release(ctx, target); err != nil {
		return fmt.Errorf("release what was held: %w", err)
	}
	return nil
}

func (n *Notifier) toggle(ctx context.Context, target string, disabled bool, reason, by string) error {
	if err := joined(actor(by), name("reason", reason, false)); err != nil {
		return err
	}
	status, what := "enabled", "enable"
	if disabled {
		status, what = "disabled", "disable"
	}
	err := n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		rows, err := n.db.Exec(ctx, tx, "UPDATE {target} SET status = ?, reason = ?, throttled_until = 0, updated_at = {now} WHERE name = ?", status, reason, target)
		if err != nil {
			return err
		}
		if rows == 0 { // or, to MySQL, nothing has changed
			var one int
			switch err := tx.QueryRow(ctx, n.db.At("SELECT 1 FROM {target} WHERE name = ?"), target).Scan(&one); {
			case errors.Is(err, sql.ErrNoRows):
				return ErrNotFound
			case err != nil:
				return err
			}
		}
		return n.note(ctx, tx, Action{By: by, What: what, Target: target, Detail: reason})
	})
	if err != nil {
		return fmt.Errorf("%s target: %w", what, err)
	}
	return nil
}

const targetColumns = "name, url, secrets, access, options, status, reason, throttled_until, created_at, updated_at"

// Target returns a target with its secrets masked. ErrNotFound where there is none.
func (n *Notifier) Target(ctx context.Context, target string) (Target, error) {
	t, err := one(ctx, n, "SELECT "+targetColumns+" FROM {target} WHERE name = ?", []any{target}, scanTarget)
	if err != nil {
		return Target{}, fmt.Errorf("read target: %w", err)
	}
	return t, nil
}

// Targets returns up to limit targets in the order of their names, from the one after
// the given name on, with their secrets masked.
func (n *Notifier) Targets(ctx context.Context, after string, limit int) ([]Target, error) {
	if limit < 1 || limit > maxPage {
		return nil, invalid("limit: %d, use 1 to %d", limit, maxPage)
	}
	list, err := collect(ctx, n, "SELECT "+targetColumns+" FROM {target} WHERE name > ? ORDER BY name LIMIT ?", []any{after, limit}, scanTarget)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", err)
	}
	return list, nil
}

func scanTarget(row dbtx.Row) (Target, error) {
	var (
		t                           Target
		secrets, who, how, status   string
		throttled, created, updated int64
		a                           access
	)
	if err := row.Scan(&t.Name, &t.URL, &secrets, &who, &how, &status, &t.Reason, &throttled, &created, &updated); err != nil {
		return Target{}, err
	}
	list, o, err := decode(secrets, how)
	if err != nil {
		return Target{}, err
	}
	if err := json.Unmarshal([]byte(who), &a); err != nil {
		return Target{}, fmt.Errorf("read access of target %q: it is damaged", t.Name)
	}
	for _, s := range list {
		t.Secrets = append(t.Secrets, Secret(Secret(s).String()))
	}
	for _, s := range a.Keys {
		t.Keys = append(t.Keys, Secret(Secret(s).String()))
	}
	if a.Token != "" {
		t.Token = "…" + Secret(a.Token[:8])
	}
	t.Rule, t.Concurrency, t.Rate, t.Disabled = o.Rule, o.Concurrency, o.Rate, status == "disabled"
	t.ThrottledUntil, t.CreatedAt, t.UpdatedAt = sqltable.Time(throttled), sqltable.Time(created), sqltable.Time(updated)
	return t, nil
}
