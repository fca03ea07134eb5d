package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/schema"
)

// settle advances the group's offset over settled in one short transaction, and
// keeps what was refused, unless somebody else has moved the offset.
func (r *takeoverRun) settle(ctx context.Context, settled []result) error {
	ctx, cancel := linger(ctx, r.cfg.Relay.StopTimeout)
	defer cancel()
	to := settled[len(settled)-1].row.at
	retry := backoff{low: r.cfg.Relay.RetryMin, high: r.cfg.Relay.RetryMax}
	for {
		err := r.trySettle(ctx, settled, to)
		if err == nil || errors.Is(err, ErrForwarderRunning) || ctx.Err() != nil {
			if err != nil {
				return err
			}
			break
		}
		r.health.database(err)
		wait(ctx, retry.next(), nil)
	}
	r.at = to
	for _, res := range settled {
		delete(r.done, res.row.at)
		delete(r.attempts, res.row.at)
		if res.err == nil {
			r.delivered.Add(1)
			continue
		}
		r.failed.Add(1)
		r.outbox.cfg.Logger.Error("message of Watermill's forwarder set aside",
			"table", r.cfg.MessagesTable, "offset", res.row.at.offset, "uuid", res.row.uuid, "error", errorText(res.err))
	}
	return nil
}

func (r *takeoverRun) trySettle(ctx context.Context, settled []result, to position) (err error) {
	tx, err := r.outbox.db.BeginTx(ctx, r.tables.d.TxOptions())
	if err != nil {
		return fmt.Errorf("begin settling: %w", err)
	}
	defer func() {
		if rbErr := ignoreDone(tx.Rollback()); err != nil {
			err = errors.Join(err, rbErr)
		}
	}()
	found, err := r.tables.lock(ctx, tx)
	if err != nil {
		return err
	}
	if found == to {
		return nil // committed before, though the answer was lost
	}
	if found != r.at {
		return fmt.Errorf("%w: it has moved the group's offset", ErrForwarderRunning)
	}
	for _, res := range settled {
		if res.err != nil {
			if err := r.setAside(ctx, tx, res); err != nil {
				return fmt.Errorf("set message aside: %w", err)
			}
		}
	}
	if err := r.tables.advance(ctx, tx, to); err != nil {
		return fmt.Errorf("advance their offset: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit settling: %w", err)
	}
	return nil
}

// setAside keeps the row as it is in the outbox's history. Its id is negative:
// it never was in the outbox.
func (r *takeoverRun) setAside(ctx context.Context, tx *sql.Tx, res result) error {
	d := r.tables.d
	headers := string(res.row.metadata)
	if headers == "" || !utf8.ValidString(headers) {
		headers = "{}"
	}
	var payload any
	if res.row.payload != nil {
		payload = res.row.payload
	}
	query := "INSERT INTO " + r.outbox.names.Table(d, schema.OutboxHistory) +
		" (id, status, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts, error, created_at, settled_at)" +
		" VALUES (?, '" + statusFailed + "', ?, '', ?, ?, ?, '', '', ?, ?, " + d.Now() + ", " + d.Now() + ")"
	_, err := tx.ExecContext(ctx, d.Bind(query), -1-rand.Int64N(1<<62), r.cfg.ForwarderTopic, res.row.uuid, payload, headers,
		r.attempts[res.row.at], errorText(res.err))
	return err
}
