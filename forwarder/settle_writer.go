package forwarder

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// settleWriter writes a settlement inside a transaction.
type settleWriter struct {
	ctx             context.Context //nolint:containedctx // lives as long as the transaction
	tx              *sql.Tx
	dialect         sqldialect.Dialect
	outbox, history string
}

func (w settleWriter) write(s settlement, keep bool) error {
	remove := idsOf(s.delivered)
	if keep {
		if err := w.move(statusDelivered, nil, remove); err != nil {
			return err
		}
	}
	for _, m := range s.failed {
		if err := w.move(statusFailed, &m, []int64{m.id}); err != nil {
			return err
		}
		remove = append(remove, m.id)
	}
	if err := w.each("DELETE FROM "+w.outbox+" WHERE id IN ", nil, remove); err != nil {
		return fmt.Errorf("remove settled messages: %w", err)
	}
	if err := w.each("UPDATE "+w.outbox+" SET attempts = attempts + 1 WHERE id IN ", nil, idsOf(s.refused)); err != nil {
		return fmt.Errorf("count attempts: %w", err)
	}
	return nil
}

// move copies rows into the history. A row that is there already, by a database
// that gave an id twice, gives way: the new one must not be lost.
func (w settleWriter) move(status string, failed *failedRecord, ids []int64) error {
	const columns = "id, status, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts, error, created_at, settled_at"
	attempts, reason := "attempts", "NULL"
	var args []any
	if failed != nil {
		attempts, reason = "?", "?"
		args = []any{failed.attempts, failed.reason}
	}
	if w.dialect == sqldialect.PostgreSQL && failed != nil {
		attempts, reason = "?::integer", "?::text"
	}
	query := "INSERT INTO " + w.history + " (" + columns + ") SELECT id, '" + status + "', topic, message_key, message_uuid, payload, headers, traceparent, tracestate, " +
		attempts + ", " + reason + ", created_at, " + w.dialect.Now() + " FROM " + w.outbox + " WHERE id IN "
	if err := w.each("DELETE FROM "+w.history+" WHERE id IN ", nil, ids); err != nil {
		return fmt.Errorf("make room in the history: %w", err)
	}
	if err := w.each(query, args, ids); err != nil {
		return fmt.Errorf("keep settled messages: %w", err)
	}
	return nil
}

// each runs query with the list of ids, padded so that there are few texts to
// prepare. SQLite prepares anew each time and is given the numbers as they are:
// its driver binds in a time that grows with the square of their number.
func (w settleWriter) each(query string, args []any, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if w.dialect == sqldialect.SQLite {
		list := make([]byte, 0, 8*len(ids))
		for _, id := range ids {
			list = append(strconv.AppendInt(list, id, 10), ',')
		}
		_, err := w.tx.ExecContext(w.ctx, query+"("+string(list[:len(list)-1])+")", args...)
		return err
	}
	ids = pad(ids)
	for _, id := range ids {
		args = append(args, id)
	}
	_, err := w.tx.ExecContext(w.ctx, w.dialect.Bind(query+"("+sqldialect.List(len(ids))+")"), args...)
	return err
}

func idsOf(records []*record) []int64 {
	out := make([]int64, len(records))
	for i, m := range records {
		out[i] = m.id
	}
	return out
}

// errorText returns the text of err as every database can store it.
func errorText(err error) string {
	s := strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "\uFFFD"), "\x00", "\uFFFD")
	if len(s) > maxErrorBytes {
		s = strings.ToValidUTF8(s[:maxErrorBytes], "") + "…"
	}
	return s
}
