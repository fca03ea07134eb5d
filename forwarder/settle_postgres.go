package forwarder

import (
	"fmt"
	"slices"
	"strings"
)

// deliverPostgres removes the rows where they were read, which costs half of
// looking them up by id. Some may not be there: an update has moved them, or
// somebody else has removed them. Then all that are left are looked up after
// all. No other row is taken for one of them: the place of a removed row may be
// used again, but by one whose id is higher than all that were read.
func (w settleWriter) deliverPostgres(records []*record, keep bool) error {
	if len(records) == 0 {
		return nil
	}
	ids := idsOf(records)
	// "+ 0" keeps the planner from walking the ids.
	where := "ctid = ANY(CAST(? AS TID[])) AND id + 0 BETWEEN ? AND ?"
	args := []any{places(records), slices.Min(ids), slices.Max(ids)}
	done, err := w.remove(where, args, keep)
	if err == nil && done < int64(len(records)) {
		_, err = w.remove("id = ANY(CAST(? AS BIGINT[]))", []any{array(ids)}, keep)
	}
	if err != nil {
		return fmt.Errorf("settle delivered messages: %w", err)
	}
	return nil
}

// remove takes the rows that match out of the outbox, into the history if
// wanted, in one statement.
func (w settleWriter) remove(where string, args []any, keep bool) (affected int64, err error) {
	if !keep {
		return w.exec("DELETE FROM "+w.outbox+" WHERE "+where, args)
	}
	into, _ := w.into(statusDelivered, nil)
	return w.movePostgres(where, args, into, nil)
}

func (w settleWriter) movePostgres(where string, args []any, into string, intoArgs []any) (affected int64, err error) {
	query := "WITH gone AS (DELETE FROM " + w.outbox + " WHERE " + where + " RETURNING " + carried + ", attempts) INSERT INTO " + into + "gone"
	if w.overwrite { // checking each row for it beforehand costs a fifth of the statement
		query += " ON CONFLICT (id) DO UPDATE SET " + overwrite
	}
	return w.exec(query, append(args, intoArgs...))
}

// overwrite replaces the whole row.
var overwrite = func() string {
	var set []string
	for c := range strings.SplitSeq(carried+", status, attempts, error, settled_at", ", ") {
		set = append(set, c+" = EXCLUDED."+c)
	}
	return strings.Join(set, ", ")
}()

// array and places write PostgreSQL's arrays of numbers and of row places.
func array(ids []int64) string { return "{" + join(ids) + "}" }

func places(records []*record) string {
	list := make([]byte, 1, 16*len(records))
	list[0] = '{'
	for _, m := range records {
		list = append(append(append(list, '"'), m.place...), '"', ',')
	}
	list[len(list)-1] = '}'
	return string(list)
}
