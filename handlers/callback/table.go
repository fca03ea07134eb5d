package callback

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// table is what the Caller keeps in SQL. Times are by one clock, the database's or
// Config.Now.
type table struct {
	db           *sql.DB
	runner       dbtx.Runner
	dialect      sqldialect.Dialect
	now          func() time.Time
	service      string
	calls        string // quoted names
	events       string
	plain        string // unquoted, of the calls
	historyLimit int64
}

func newTable(db *sql.DB, cfg Config) (*table, error) {
	n := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("Config", db, cfg.Dialect, n)
	if err != nil {
		return nil, err
	}
	return &table{
		db: db, runner: dbtx.DB(db, d.TxOptions()), dialect: d, now: cfg.Now, service: cfg.Service,
		calls: n.Table(d, schema.Call), events: n.Table(d, schema.CallEvent), plain: n.Plain(schema.Call),
		historyLimit: int64(cfg.History),
	}, nil
}

// at puts the clock and the tables into a query and numbers its placeholders.
func (t *table) at(query string) string {
	now := t.dialect.Instant()
	if t.now != nil {
		now = strconv.FormatInt(t.now().UnixMicro(), 10)
	}
	number := "CAST(? AS BIGINT)"
	if t.dialect == sqldialect.MySQL {
		number = "CAST(? AS SIGNED)"
	}
	return t.dialect.Bind(strings.NewReplacer("{now}", now, "{calls}", t.calls, "{events}", t.events, "{number}", number).Replace(query))
}

// exec runs a statement and returns how many rows it changed.
func (t *table) exec(ctx context.Context, x dbtx.Executor, query string, args ...any) (int64, error) {
	res, err := x.ExecContext(ctx, t.at(query), args...)
	if err != nil {
		return 0, t.mark(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

// mark says of an error of the database that it could not be reached.
func (t *table) mark(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && (t.dialect.IsUnavailable(err) || errors.Is(err, sql.ErrConnDone)) {
		return failure.Unavailable(err)
	}
	return err
}

// tries bounds how often a transaction begins again after it lost a race.
const tries = 5

// inTx runs fn in a short transaction, again where that loses a race.
func (t *table) inTx(ctx context.Context, fn func(ctx context.Context, tx dbtx.Tx) error) error {
	pause := backoff.Policy{Initial: 2 * time.Millisecond, Max: 50 * time.Millisecond, Multiplier: 2, Jitter: true}
	for n := 1; ; n++ {
		err := t.runner.InTx(ctx, fn)
		if err == nil || n == tries || !t.dialect.IsContention(err) || backoff.Wait(ctx, pause.Delay(n)) != nil {
			return t.mark(ctx, err)
		}
	}
}

// insert adds a call. ErrExists where its number is there.
func (t *table) insert(ctx context.Context, tx dbtx.Executor, call Call, headers string) error {
	query := "INSERT INTO {calls} (service, number, kind, method, url, headers, body, status, result_reason, error, history, " +
		"deadline_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', 1, {now} + {number}, {now}, {now})"
	if t.dialect != sqldialect.MySQL {
		query += " ON CONFLICT DO NOTHING" // an error would end PostgreSQL's transaction
	}
	n, err := t.exec(ctx, tx, query, t.service, call.Number, call.Kind, call.Method, call.URL, headers, blob(call.Body), string(Waiting),
		call.Deadline.Microseconds())
	switch {
	case err == nil && n == 0, t.dialect == sqldialect.MySQL && t.dialect.IsDuplicate(err):
		return ErrExists
	case err != nil:
		return err
	}
	return t.note(ctx, tx, call.Number, Entry{Kind: KindSubmitted, Status: Waiting})
}

// note adds an entry to the history.
func (t *table) note(ctx context.Context, tx dbtx.Executor, number string, e Entry) error {
	_, err := t.exec(ctx, tx, "INSERT INTO {events} (service, number, kind, source, status, detail, data, happened_at) VALUES (?, ?, ?, ?, ?, ?, ?, {now})",
		t.service, number, string(e.Kind), string(e.Source), string(e.Status), e.Detail, blob(e.Data))
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
	r.Deadline, r.SentAt, r.EndedAt = fromMicros(deadline), fromMicros(sent), fromMicros(ended)
	r.CreatedAt, r.UpdatedAt, r.now = fromMicros(created), fromMicros(updated), fromMicros(nowMicro)
	return r, nil
}

// get reads a call, within a transaction where tx is not nil. ErrNotFound where
// it is not there, or not visible yet. It takes no lock: MySQL would wait at a row that
// another transaction has inserted and not committed.
func (t *table) get(ctx context.Context, tx dbtx.Tx, number string) (row, error) {
	query := t.at("SELECT " + full + " FROM {calls} WHERE service = ? AND number = ?")
	var from dbtx.Row
	if tx != nil {
		from = tx.QueryRow(ctx, query, t.service, number)
	} else {
		from = t.db.QueryRowContext(ctx, query, t.service, number)
	}
	r, err := t.scan(from)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return row{}, ErrNotFound
	case err != nil:
		return row{}, fmt.Errorf("read call: %w", t.mark(ctx, err))
	}
	return r, nil
}

// clock returns the time by the clock of the table.
func (t *table) clock(ctx context.Context) (time.Time, error) {
	if t.now != nil {
		return t.now(), nil
	}
	var us int64
	if err := t.db.QueryRowContext(ctx, t.at("SELECT {now}")).Scan(&us); err != nil {
		return time.Time{}, fmt.Errorf("read the clock: %w", t.mark(ctx, err))
	}
	return fromMicros(us), nil
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// blob keeps nil NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
