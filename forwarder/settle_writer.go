package forwarder

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/text"
)

// settleWriter writes a settlement inside a transaction.
type settleWriter struct {
	ctx             context.Context //nolint:containedctx // lives as long as the transaction
	tx              *sql.Tx
	dialect         sqldialect.Dialect
	outbox, history string
	// overwrite makes room in the history for an id that it has already.
	// PostgreSQL alone has to be told.
	overwrite bool
}

func (w settleWriter) write(s settlement, keep bool) error {
	if err := w.deliver(s.delivered, keep); err != nil {
		return err
	}
	for _, m := range s.failed {
		if err := w.move(statusFailed, &m, []int64{m.id}); err != nil {
			return err
		}
	}
	if err := w.move(statusExpired, nil, idsOf(s.expired)); err != nil {
		return err
	}
	if err := w.each("UPDATE "+w.outbox+" SET attempts = attempts + 1 WHERE id ", nil, idsOf(s.refused)); err != nil {
		return fmt.Errorf("count attempts: %w", err)
	}
	return nil
}

// deliver moves or removes what was delivered.
func (w settleWriter) deliver(records []*record, keep bool) error {
	if w.dialect == sqldialect.PostgreSQL {
		return w.deliverPostgres(records, keep)
	}
	ids := idsOf(records)
	if keep {
		return w.move(statusDelivered, nil, ids)
	}
	if err := w.each("DELETE FROM "+w.outbox+" WHERE id ", nil, ids); err != nil {
		return fmt.Errorf("remove settled messages: %w", err)
	}
	return nil
}

// carried are the columns that a row keeps in the history.
const carried = "id, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, created_at"

// move moves rows into the history: in one statement on PostgreSQL, in two
// elsewhere. A row that is there already, by a database that gave an id twice,
// gives way: the new one must not be lost.
func (w settleWriter) move(status string, failed *failedRecord, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	into, args := w.into(status, failed)
	var err error
	switch w.dialect {
	case sqldialect.PostgreSQL:
		_, err = w.movePostgres("id = ANY(CAST(? AS BIGINT[]))", []any{array(ids)}, into, args)
	case sqldialect.MySQL:
		err = w.each("REPLACE INTO "+into+w.outbox+" WHERE id ", args, ids)
	default:
		err = w.each("INSERT OR REPLACE INTO "+into+w.outbox+" WHERE id ", args, ids)
	}
	if err == nil && w.dialect != sqldialect.PostgreSQL {
		err = w.each("DELETE FROM "+w.outbox+" WHERE id ", nil, ids)
	}
	if err != nil {
		return fmt.Errorf("move settled messages to the history: %w", err)
	}
	return nil
}

// into returns the target and the columns of a move, up to the table that the
// rows come from.
func (w settleWriter) into(status string, failed *failedRecord) (text string, args []any) {
	attempts, reason := "attempts", "NULL"
	if failed != nil {
		attempts, reason = "CAST(? AS "+w.integer()+")", "CAST(? AS "+w.text()+")"
		args = []any{failed.attempts, failed.reason}
	}
	return w.history + " (" + carried + ", status, attempts, error, settled_at) SELECT " + carried + ", '" + status + "', " +
		attempts + ", " + reason + ", (SELECT " + w.dialect.Now() + ") FROM ", args // the clock once a statement, not for each row
}

func (w settleWriter) integer() string {
	if w.dialect == sqldialect.MySQL {
		return "SIGNED"
	}
	return "INTEGER"
}

func (w settleWriter) text() string {
	if w.dialect == sqldialect.MySQL {
		return "CHAR"
	}
	return "TEXT"
}

// each runs query, which ends before its condition on ids. MySQL's lists are padded, so
// that there are few texts to prepare. SQLite prepares anew each time and is
// given the numbers as they are: its driver binds in a time that grows with the
// square of their number. PostgreSQL gets one array, and so one text.
func (w settleWriter) each(query string, args []any, ids []int64) (err error) {
	switch {
	case len(ids) == 0:
	case w.dialect == sqldialect.PostgreSQL:
		_, err = w.exec(query+"= ANY(CAST(? AS BIGINT[]))", append(args, array(ids)))
	case w.dialect == sqldialect.SQLite:
		if where, ok := runs(ids); ok {
			query = strings.TrimSuffix(query, "id ") + where
		} else {
			query += "IN (" + join(ids) + ")"
		}
		_, err = w.exec(query, args)
	default:
		ids = pad(ids)
		for _, id := range ids {
			args = append(args, id)
		}
		_, err = w.exec(query+"IN ("+sqldialect.List(len(ids))+")", args)
	}
	return err
}

func (w settleWriter) exec(query string, args []any) (affected int64, err error) {
	res, err := w.tx.ExecContext(w.ctx, w.dialect.Bind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// maxRuns is how many runs a condition is made of at most.
const maxRuns = 32

// runs returns the condition on ids, which are in order, as runs without a gap,
// where they are few: one walk each instead of a search for each row.
func runs(ids []int64) (where string, ok bool) {
	var parts []string
	for first := 0; first < len(ids); {
		last := first
		for last+1 < len(ids) && ids[last+1] == ids[last]+1 {
			last++
		}
		if len(parts) == maxRuns || len(parts) > 0 && 4*len(parts) > first {
			return "", false
		}
		parts = append(parts, fmt.Sprintf("id BETWEEN %d AND %d", ids[first], ids[last]))
		first = last + 1
	}
	return "(" + strings.Join(parts, " OR ") + ")", true
}

func join(ids []int64) string {
	list := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		list = append(strconv.AppendInt(list, id, 10), ',')
	}
	return string(list[:len(list)-1])
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
	return text.Short(err.Error(), maxErrorBytes)
}
