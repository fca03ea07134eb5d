// Package embedded measures the relay where nothing is installed: from SQLite
// to the broker in memory, all in one process, alone and while orders are
// placed on the same connection.
package embedded

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/work"
)

// Job is the name of the child's job.
const Job = "embedded"

// Work is the name in the report.
const Work = "drain, SQLite → memory, one process"

const messages = 100_000

// The orders that are placed meanwhile.
const (
	writers    = 4
	orderEvery = 20 * time.Millisecond // each
)

// patience is how long one drain may take.
const patience = 2 * time.Minute

// spec is what the child is asked for.
type spec struct {
	Dir       string `json:"dir"` // for the file, made and removed by the parent
	Messages  int    `json:"messages"`
	Payload   int    `json:"payload"`
	NoHistory bool   `json:"no_history"`
	Orders    bool   `json:"orders"`
}

// outcome is what it answers.
type outcome struct {
	DrainSeconds float64 `json:"drain_seconds"`
	Orders       int     `json:"orders"`
	OrderP50     float64 `json:"order_p50_ms"`
	OrderP99     float64 `json:"order_p99_ms"`
}

// Run measures.
func Run(ctx context.Context, e env.Env) ([]report.Row, error) {
	history := spec{Messages: e.Scaled(messages, 1000), Payload: e.Payload}
	bare := history
	bare.NoHistory = true
	orders := bare
	orders.Orders = true
	bar := report.AtLeast(50_000, "≥ 50,000")
	var cases []work.Case
	if !e.Quick {
		cases = append(cases, work.Case{Work: Work, Subject: "sluicegate, history kept", Metrics: work.Rate(), Trial: history.trial})
	}
	return e.Compare(ctx, append(cases, []work.Case{
		{Work: Work, Subject: "sluicegate, no history", Metrics: work.Rate(bar), Trial: bare.trial},
		{
			Work: Work, Subject: "sluicegate, no history, 4 writers with 50 orders/s each", Trial: orders.trial,
			Note: "the writers share the one connection with the relay",
			Metrics: []work.Metric{
				{Unit: "messages/s", Bars: []report.Bar{bar}},
				{Name: "order p50", Unit: "ms"},
				{Name: "order p99", Unit: "ms", Bars: []report.Bar{report.AtMost(25, "≤ 25 ms")}},
			},
		},
	}...)), nil
}

func (s spec) trial(ctx context.Context, warmUp bool) (work.Sample, error) {
	asked := s
	if warmUp {
		asked.Messages = max(1000, asked.Messages/10)
	}
	dir, err := os.MkdirTemp("", "sluicegate-bench-")
	if err != nil {
		return work.Sample{}, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the system's temporary folder
	asked.Dir = dir
	p, err := child.Start(ctx, Job, asked)
	if err != nil {
		return work.Sample{}, err
	}
	if err := p.Begin(); err != nil {
		p.Kill()
		return work.Sample{}, err
	}
	var o outcome
	usage, err := p.Wait(ctx, patience, &o)
	if err != nil {
		return work.Sample{}, err
	}
	sample := work.Value(float64(asked.Messages) / o.DrainSeconds)
	sample.CPU, sample.Memory = usage.CPUSeconds/float64(asked.Messages)*1e6, usage.PeakMB()
	if s.Orders {
		sample.Values["order p50"], sample.Values["order p99"] = o.OrderP50, o.OrderP99
	}
	return sample, nil
}
