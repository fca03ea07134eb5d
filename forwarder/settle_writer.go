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
}

func (w settleWriter) write(s settlement, keep bool) error {
	delivered := idsOf(s.delivered)
	if keep {
		if err := w.move(statusDelivered, nil, delivered); err != nil {
			return err
		}
	} else if err := w.each("DELETE FROM "+w.outbox+" WHERE id ", nil, delivered); err != nil {
		return fmt.Errorf("remove settled messages: %w", err)
	}
	for _, m := range s.failed {
		if err := w.move(statusFailed, &m, []int64{m.id}); err != nil {
			return err
		}
	}
	if err := w.each("UPDATE "+w.outbox+" SET attempts = attempts + 1 WHERE id ", nil, idsOf(s.refused)); err != nil {
		return fmt.Errorf("count attempts: %w", err)
	}
	return nil
}

// carried are the columns that a row keeps in the history.
const carried = "id, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, created_at"

// move moves rows into the history: in one statement on PostgreSQL, in two
// elsewhere. A row that is there already, by a database that gave an id twice,
// gives way: the new one must not be lost.
func (w settleWriter) move(status string, failed *failedRecord, ids []int64) error {
	attempts, reason := "attempts", "NULL"
	var args []any
	if failed != nil {
		attempts, reason = "CAST(? AS "+w.integer()+")", "CAST(? AS "+w.text()+")"
		args = []any{failed.attempts, failed.reason}
	}
	into := w.history + " (" + carried + ", status, attempts, error, settled_at) SELECT " + carried + ", '" + status + "', " +
		attempts + ", " + reason + ", " + w.dialect.Now() + " FROM "
	var err error
	switch w.dialect {
	case sqldialect.PostgreSQL:
		err = w.eachPostgres("WITH gone AS (DELETE FROM "+w.outbox+" WHERE id ", " RETURNING "+carried+", attempts) INSERT INTO "+into+"gone"+
			" ON CONFLICT (id) DO UPDATE SET "+w.overwrite(), args, ids)
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

func (settleWriter) overwrite() string {
	var set []string
	for c := range strings.SplitSeq(carried+", status, attempts, error, settled_at", ", ") {
		set = append(set, c+" = EXCLUDED."+c)
	}
	return strings.Join(set, ", ")
}

// each runs query, which ends before its condition on ids. MySQL's lists are padded, so
// that there are few texts to prepare. SQLite prepares anew each time and is
// given the numbers as they are: its driver binds in a time that grows with the
// square of their number. PostgreSQL gets one array, and so one text.
func (w settleWriter) each(query string, args []any, ids []int64) error {
	switch {
	case len(ids) == 0:
		return nil
	case w.dialect == sqldialect.PostgreSQL:
		return w.eachPostgres(query, "", args, ids)
	case w.dialect == sqldialect.SQLite:
		_, err := w.tx.ExecContext(w.ctx, query+"IN ("+join(ids)+")", args...)
		return err
	}
	ids = pad(ids)
	for _, id := range ids {
		args = append(args, id)
	}
	_, err := w.tx.ExecContext(w.ctx, query+"IN ("+sqldialect.List(len(ids))+")", args...)
	return err
}

// eachPostgres has the array before the other arguments, as it stands in the text.
func (w settleWriter) eachPostgres(query, rest string, args []any, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	text := w.dialect.Bind(query + "= ANY(CAST(? AS BIGINT[]))" + rest)
	_, err := w.tx.ExecContext(w.ctx, text, append([]any{"{" + join(ids) + "}"}, args...)...)
	return err
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
