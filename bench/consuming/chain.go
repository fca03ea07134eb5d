// Package consuming makes the rows of the consuming side: the stock router and
// subscriber against ours.
package consuming

import (
	"context"
	"time"

	"github.com/sluicegate/sluicegate/bench/chain"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
)

// Package chain takes medians of this many runs by itself.
const chainRuns = 3

// patience is how long one comparison may take.
const patience = 3 * time.Minute

// figure is the median of one subject.
type figure struct {
	subject string
	value   float64
	plain   bool
	bars    []report.Bar
	note    string
}

// rows makes the rows of a work of medians.
func rows(e env.Env, work string, figures ...figure) []report.Row {
	out := make([]report.Row, 0, len(figures))
	for _, f := range figures {
		r := report.Row{Work: work, Subject: f.subject, Unit: "messages/s", Plain: f.plain, Bars: f.bars, Note: f.note}
		r.Fill([]float64{f.value})
		r.Runs = chainRuns
		e.Say("%s, %s: %s", work, f.subject, report.Number(f.value))
		out = append(out, r)
	}
	return out
}

// Memory measures the whole chain with the memory store.
func Memory(ctx context.Context, e env.Env) ([]report.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ours, stock, bare, err := chain.Memory(ctx)
	if err != nil {
		return nil, err
	}
	const subjectStock = "stock Recoverer, Retry, CorrelationID, Timeout"
	return rows(e, "router on a parallel stub, handler of nothing",
		figure{subject: subjectStock, value: stock, plain: true},
		figure{subject: "sluicegate, whole chain, memory", value: ours, bars: []report.Bar{report.Times(0.6, subjectStock, "≥ 0.6 of stock")}},
		figure{subject: "bare router", value: bare},
	), nil
}

// Redis measures claims in Redis.
func Redis(ctx context.Context, e env.Env) ([]report.Row, error) {
	url, err := e.URL("REDIS_URL")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ours, plain, err := chain.Redis(ctx, url)
	if err != nil {
		return nil, err
	}
	return rows(e, "claim and complete in Redis, 64 in flight",
		figure{subject: "go-redis, SET NX and SET", value: plain, plain: true},
		figure{subject: "sluicegate, redis", value: ours, bars: []report.Bar{report.AtLeast(60_000, "≥ 60,000")}},
	), nil
}

// SQL measures the sql strength with a real effect.
func SQL(ctx context.Context, e env.Env) ([]report.Row, error) {
	url, err := e.URL("POSTGRES_URL")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	batch, single, err := chain.Batch(ctx, url)
	if err != nil {
		return nil, err
	}
	const subjectSingle = "sluicegate, a transaction a message, 8 in flight"
	return rows(e, "sql idempotency with an effect row, PostgreSQL",
		figure{subject: subjectSingle, value: single, plain: true, note: "what the ratio is to: watermill has no such thing"},
		figure{subject: "sluicegate, batch handler, 100 in 4 lanes", value: batch, bars: []report.Bar{report.Times(8, subjectSingle, "≥ 8 × one transaction a message")}},
	), nil
}
