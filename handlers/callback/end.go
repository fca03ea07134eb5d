package callback

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
	"github.com/sluicegate/sluicegate/internal/text"
)

// counts are the columns that a result from a source adds one to.
var counts = map[Source]string{
	ByCallback: "callbacks = callbacks + 1, ",
	ByQuery:    "queries = queries + 1, error = '', ",
	BySend:     "sends = sends + 1, error = '', sent_at = CASE WHEN sent_at = 0 THEN {now} ELSE sent_at END, ",
	ByDeadline: "",
}

// after are the columns of what comes after the end.
var after = map[Kind]string{
	KindRepeated:     "repeated = repeated + 1, ",
	KindLate:         "late = late + 1, ",
	KindContradicted: "contradicted = contradicted + 1, ",
}

// report takes what a source says of a call, and returns what became of it:
// KindEnded, KindNoted, KindRepeated, KindLate or KindContradicted. ErrNotFound where
// the call is not visible. Nothing has changed after an error, except that a commit
// whose answer was lost may have taken effect: reported again, it then is repeated.
func (c *Caller) report(ctx context.Context, number string, from Source, r Result) (Kind, error) {
	r.Code, r.Reason = text.Short(r.Code, maxCode), text.Short(r.Reason, maxReason)
	// A look without a lock first: MySQL would let the update wait at the row of a
	// transaction that has not committed.
	if _, err := c.table.get(ctx, nil, number); err != nil {
		return "", err
	}
	var (
		kind Kind
		was  row
	)
	err := c.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) (err error) {
		kind, was, err = c.apply(ctx, tx, number, from, r)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("report result of call: %w", err)
	}
	if kind == KindEnded {
		c.outbox.Wake()
	}
	c.tell(Fact{Kind: kind, Number: number, Source: from, Status: r.Status})
	c.alarm(kind, was, r)
	return kind, nil
}

// apply is report in a transaction. The first statement is the race: only one can
// change the row from open to ended, and only that one publishes.
func (c *Caller) apply(ctx context.Context, tx dbtx.Tx, number string, from Source, r Result) (Kind, row, error) {
	if r.Status == Pending {
		return c.progress(ctx, tx, number, from, r)
	}
	n, err := c.table.Exec(ctx, tx, "UPDATE {calls} SET "+counts[from]+
		"status = ?, source = ?, result_code = ?, result_reason = ?, result_data = ?, history = history + 1, ended_at = {now}, updated_at = {now} "+
		"WHERE service = ? AND number = ? AND ended_at = 0",
		string(r.Status), string(from), r.Code, r.Reason, sqltable.Blob(r.Data), c.table.service, number)
	if err != nil {
		return "", row{}, err
	}
	is, err := c.table.get(ctx, tx, number)
	if err != nil {
		return "", row{}, err
	}
	if n == 0 {
		kind, err := c.tooLate(ctx, tx, is, from, r)
		return kind, is, err
	}
	if err := c.table.note(ctx, tx, number, Entry{Kind: KindEnded, Source: from, Status: r.Status, Detail: detail(r)}); err != nil {
		return "", row{}, err
	}
	msg, err := Ended{
		Service: is.Service, Number: number, Kind: is.Kind, Source: from, Result: is.Result, At: is.EndedAt,
	}.message(c.cfg.Encode)
	if err != nil {
		return "", row{}, err
	}
	return KindEnded, is, c.outbox.Publish(ctx, tx, c.cfg.Topic, msg)
}

// progress notes that the service is still at work.
func (c *Caller) progress(ctx context.Context, tx dbtx.Tx, number string, from Source, r Result) (Kind, row, error) {
	n, err := c.table.Exec(ctx, tx, "UPDATE {calls} SET "+counts[from]+
		"status = ?, history = history + 1, updated_at = {now} WHERE service = ? AND number = ? AND ended_at = 0",
		string(Sent), c.table.service, number)
	if err != nil {
		return "", row{}, err
	}
	is, err := c.table.get(ctx, tx, number)
	if err != nil {
		return "", row{}, err
	}
	if n == 0 {
		kind, err := c.tooLate(ctx, tx, is, from, r)
		return kind, is, err
	}
	kind := KindNoted
	if from == BySend {
		kind = KindSent
	}
	return kind, is, c.table.noteSome(ctx, tx, is, Entry{Kind: kind, Source: from, Status: Pending, Detail: detail(r)})
}

// tooLate counts and records what came after the end.
func (c *Caller) tooLate(ctx context.Context, tx dbtx.Tx, is row, from Source, r Result) (Kind, error) {
	if from == ByDeadline {
		return KindLate, nil // somebody else was quicker: there is nothing to record
	}
	kind := KindLate
	switch {
	case from == BySend && r.Status == Pending:
		kind = KindSent // the callback was quicker than the answer to the request
	case r.Status != Pending && is.Status != TimedOut && r.Status != is.Status:
		kind = KindContradicted
	case from == is.Source && r.Status == is.Status:
		kind = KindRepeated
	}
	e := Entry{Kind: kind, Source: from, Status: r.Status, Detail: detail(r)}
	if kind == KindContradicted || is.Status == TimedOut {
		e.Data = r.Data // what people need to decide by
	}
	_, err := c.table.Exec(ctx, tx, "UPDATE {calls} SET "+counts[from]+after[kind]+"history = history + 1, updated_at = {now} "+
		"WHERE service = ? AND number = ?", c.table.service, is.Number)
	if err != nil {
		return "", err
	}
	is.history++
	return kind, c.table.noteSome(ctx, tx, is, e)
}

// noteSome adds an entry to the history unless that is full.
func (t *table) noteSome(ctx context.Context, tx dbtx.Executor, is row, e Entry) error {
	if is.history > t.historyLimit {
		return nil
	}
	return t.note(ctx, tx, is.Number, e)
}

func detail(r Result) string {
	parts := make([]string, 0, 2)
	for _, s := range []string{r.Code, r.Reason} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return text.Short(strings.Join(parts, ": "), maxError)
}

// The names of the alerts.
const (
	AlertTimedOut     = "call_timed_out"
	AlertContradicted = "call_contradicted"
	AlertExpired      = "callback_expired"
)

// alarm tells people what needs them. It comes after the commit: a process that dies in
// between tells nobody, and the list of calls still shows it.
func (c *Caller) alarm(kind Kind, is row, r Result) {
	if c.cfg.Alerts == nil {
		return
	}
	a := alert.Alert{Severity: alert.Warning, Handler: "callback/" + c.cfg.Service, Topic: c.cfg.Topic, Key: is.Number}
	switch {
	case kind == KindEnded && r.Status == TimedOut:
		a.Name, a.Summary, a.Reason = AlertTimedOut, "A call had no result at its deadline", r.Reason
	case kind == KindContradicted:
		a.Name, a.Summary = AlertContradicted, "A service gave two different results for one call"
		a.Reason = fmt.Sprintf("it is %s, and was said to be %s later", is.Status, r.Status)
	default:
		return
	}
	c.cfg.Alerts.Emit(a)
}
