package callback

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// table is what the Caller keeps in SQL: {calls} and {events}. Times are by one clock, the database's or
// Config.Now.
type table struct {
	sqltable.Tables

	service      string
	plain        string // the unquoted name of the calls
	historyLimit int64
}

func newTable(db *sql.DB, cfg Config) (*table, error) {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, n)
	if err != nil {
		return nil, err
	}
	return &table{
		Tables:  sqltable.New(db, d, n, cfg.Now, map[string]string{"calls": schema.Call, "events": schema.CallEvent}),
		service: cfg.Service, plain: n.Plain(schema.Call), historyLimit: int64(cfg.History),
	}, nil
}

// insert adds a call. ErrExists where its number is there.
func (t *table) insert(ctx context.Context, tx dbtx.Executor, call Call, headers string) error {
	query := "INSERT INTO {calls} (service, number, kind, method, url, headers, body, status, result_reason, error, history, " +
		"deadline_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', 1, {now} + {number}, {now}, {now})"
	if t.Dialect != sqldialect.MySQL {
		query += " ON CONFLICT DO NOTHING" // an error would end PostgreSQL's transaction
	}
	n, err := t.Exec(ctx, tx, query, t.service, call.Number, call.Kind, call.Method, call.URL, headers, sqltable.Blob(call.Body), string(Waiting),
		call.Deadline.Microseconds())
	switch {
	case err == nil && n == 0, t.Dialect == sqldialect.MySQL && t.Dialect.IsDuplicate(err):
		return ErrExists
	case err != nil:
		return err
	}
	return t.note(ctx, tx, call.Number, Entry{Kind: KindSubmitted, Status: Waiting})
}

// note adds an entry to the history.
func (t *table) note(ctx context.Context, tx dbtx.Executor, number string, e Entry) error {
	_, err := t.Exec(ctx, tx, "INSERT INTO {events} (service, number, kind, source, status, detail, data, happened_at) VALUES (?, ?, ?, ?, ?, ?, ?, {now})",
		t.service, number, string(e.Kind), string(e.Source), string(e.Status), e.Detail, sqltable.Blob(e.Data))
	return err
}

// columns are those of a View, in the order in which scan reads them. %s stands
// for the two that may be large.
const columns = "id, number, kind, method, url, headers, %s, status, source, result_code, result_reason, " +
	"sends, queries, callbacks, repeated, late, contradicted, history, error, deadline_at, sent_at, ended_at, created_at, updated_at, {now}"

var (
	full  = fmt.Sprintf(columns, "body, result_data")
	brief = fmt.Sprintf(columns, "NULL, NULL")
)

// row is a call with what only this package needs to know.
type row struct {
	View
	history int64     // entries there are, or would be without the limit
	now     time.Time // by the clock of the table
}

func (t *table) scan(from dbtx.Row) (row, error) {
	var (
		r                                                 row
		headers                                           string
		deadline, sent, ended, created, updated, nowMicro int64
	)
	r.Service = t.service
	err := from.Scan(&r.ID, &r.Number, &r.Kind, &r.Method, &r.URL, &headers, &r.Body, &r.Result.Data, &r.Status, &r.Source,
		&r.Result.Code, &r.Result.Reason, &r.Sends, &r.Queries, &r.Callbacks, &r.Repeated, &r.Late, &r.Contradicted, &r.history, &r.Error,
		&deadline, &sent, &ended, &created, &updated, &nowMicro)
	if err != nil {
		return row{}, err
	}
	if err := json.Unmarshal([]byte(headers), &r.Header); err != nil {
		return row{}, errors.New("headers of the call are damaged")
	}
	if r.Status.Final() {
		r.Result.Status = r.Status
	}
	r.Deadline, r.SentAt, r.EndedAt = sqltable.Time(deadline), sqltable.Time(sent), sqltable.Time(ended)
	r.CreatedAt, r.UpdatedAt, r.now = sqltable.Time(created), sqltable.Time(updated), sqltable.Time(nowMicro)
	return r, nil
}

// get reads a call, within a transaction where tx is not nil. ErrNotFound where
// it is not there, or not visible yet. It takes no lock: MySQL would wait at a row that
// another transaction has inserted and not committed.
func (t *table) get(ctx context.Context, tx dbtx.Tx, number string) (row, error) {
	query := t.At("SELECT " + full + " FROM {calls} WHERE service = ? AND number = ?")
	var from dbtx.Row
	if tx != nil {
		from = tx.QueryRow(ctx, query, t.service, number)
	} else {
		from = t.DB.QueryRowContext(ctx, query, t.service, number)
	}
	r, err := t.scan(from)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return row{}, ErrNotFound
	case err != nil:
		return row{}, fmt.Errorf("read call: %w", t.Mark(ctx, err))
	}
	return r, nil
}
