package latency

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/work"
)

// oldRows are what the history holds that is over.
const oldRows = 10_000_000

// The subjects of Retention.
const (
	subjectEmpty = "sluicegate, nothing to clean"
	subjectClean = "sluicegate, cleaning its history"
)

const metricLeft = "old rows left"

// steady is the pace at which messages flow meanwhile. A relay looks for what is
// over once a minute.
var steady = pace{perSecond: 1000, duration: 10 * time.Minute, settle: time.Second}

// calm is how long they flow where there is nothing to clean.
const calm = time.Minute

// preparing is for filling the table before, and for emptying it after.
const preparing = 8 * time.Minute

// Retention measures the latency at 1,000 messages a second while the relay
// removes ten million delivered rows whose time is over from its history, and
// without them.
func Retention(ctx context.Context, e env.Env) ([]report.Row, error) {
	return with(e, func(s servers) []report.Row {
		old := e.Scaled(oldRows, 10_000)
		name := fmt.Sprintf("commit → delivered at 1,000/s, PostgreSQL → Kafka, %s rows of the history are over", report.Number(float64(old)))
		base := &report.Base{Subject: subjectEmpty}
		var cases []work.Case
		for _, c := range []struct {
			subject  string
			old      int
			duration time.Duration
			bars     map[string][]report.Bar
		}{
			{subjectEmpty, 0, calm, nil},
			{subjectClean, old, max(e.Duration(steady.duration), 75*time.Second), map[string][]report.Bar{metricP99: {{Text: "≤ 2 × without", Limit: 2, AtMost: true, Base: base}}}},
		} {
			p := steady
			p.duration = c.duration
			t := trial{servers: s, contender: contender.Ours, pace: p, payload: e.Payload, history: true, old: c.old}
			metrics := append(metrics(c.bars), work.Metric{Name: metricLeft, Unit: "rows", Bars: []report.Bar{report.AtMost(0, "none")}})
			cases = append(cases, work.Case{Work: name, Subject: c.subject, NoWarmUp: true, Timeout: preparing + p.duration, Metrics: metrics, Trial: t.run})
		}
		return e.Compare(ctx, cases)
	})
}

// fill puts rows into the history that were delivered two days ago.
func (t trial) fill(ctx context.Context, db *sql.DB) error {
	if t.old == 0 {
		return nil
	}
	again, err := withoutIndexes(ctx, db)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO sluicegate_outbox_history
		(id, status, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, attempts, created_at, settled_at)
		SELECT -i, 'delivered', 'old', 'key', 'old-' || i, '\x6f6c64', '{}', '', '', 0, at, at
		FROM (SELECT i, (extract(epoch from now()) * 1000000)::bigint - 172800000000 + i / 500 AS at FROM generate_series(1, $1::bigint) AS i) AS rows`, t.old)
	if err != nil {
		return fmt.Errorf("fill the history: %w", err)
	}
	for _, statement := range append(again, "ANALYZE sluicegate_outbox_history") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("prepare the history: %w", err)
		}
	}
	return nil
}

// withoutIndexes drops those of the history but the primary key, which makes filling it several times
// faster, and returns what makes them again.
func withoutIndexes(ctx context.Context, db *sql.DB) (again []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "+
		"AND tablename = 'sluicegate_outbox_history' AND indexname NOT LIKE '%_pkey'")
	if err != nil {
		return nil, fmt.Errorf("list the history's indexes: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err has told
	var names []string
	for rows.Next() {
		var name, definition string
		if err := rows.Scan(&name, &definition); err != nil {
			return nil, fmt.Errorf("list the history's indexes: %w", err)
		}
		names, again = append(names, name), append(again, definition)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the history's indexes: %w", err)
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, `DROP INDEX "`+name+`"`); err != nil {
			return nil, fmt.Errorf("drop an index of the history: %w", err)
		}
	}
	return again, nil
}

// left counts the rows that are over and still there.
func (t trial) left(ctx context.Context, db *sql.DB) (float64, error) {
	var n float64
	err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sluicegate_outbox_history WHERE id < 0").Scan(&n)
	return n, err
}
