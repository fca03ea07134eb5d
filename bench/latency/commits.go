package latency

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// The load of the commits.
const (
	commitWriters = 64
	commitFor     = 4 * time.Second
)

// Commits measures how many transactions 64 writers commit a second: without an
// outbox, and with one whose relay, in a process beside them, polls or is
// notified.
func Commits(ctx context.Context, e env.Env) ([]report.Row, error) {
	return with(e, func(s servers) []report.Row {
		var cases []work.Case
		for _, c := range []struct {
			subject, contender string
			noOutbox           bool
		}{
			{"business row alone", contender.Ours, true},
			{subjectPlain, contender.Plain, false},
			{subjectPolling, contender.Ours, false},
			{subjectNotify, contender.OursNotify, false},
		} {
			t := commits{servers: s, contender: c.contender, noOutbox: c.noOutbox, payload: e.Payload, duration: e.Duration(commitFor)}
			cases = append(cases, work.Case{
				Work: fmt.Sprintf("commits at %d writers, PostgreSQL", commitWriters), Subject: c.subject, Plain: c.noOutbox, NoWarmUp: true,
				Note:    "each an INSERT of a business row and, but for the first, a message; a relay runs beside",
				Metrics: []work.Metric{{Unit: "tx/s"}}, Trial: t.run,
			})
		}
		return e.Compare(ctx, cases)
	})
}

type commits struct {
	servers
	contender string
	noOutbox  bool
	payload   int
	duration  time.Duration
}

func (c commits) run(ctx context.Context, _ bool) (sample work.Sample, err error) {
	err = c.placed(ctx, c.contender, nothing, func(ctx context.Context, db *server.Database, _ *server.Topic, outbox contender.Outbox, p *child.Process) error {
		if c.noOutbox {
			outbox = nil
		}
		rate, err := c.commit(ctx, db.DB, outbox)
		if err != nil {
			return err
		}
		sample = work.Value(rate)
		_, err = p.Stop(ctx, nil)
		return err
	})
	return sample, err
}

func (c commits) commit(ctx context.Context, db *sql.DB, outbox contender.Outbox) (rate float64, err error) {
	db.SetMaxOpenConns(commitWriters)
	db.SetMaxIdleConns(commitWriters)
	var done, next atomic.Int64
	var counting atomic.Bool
	const settle = 500 * time.Millisecond // for the connections
	stopAt := time.Now().Add(settle + c.duration)
	g, gctx := errgroup.WithContext(ctx)
	for range commitWriters {
		g.Go(func() error {
			for time.Now().Before(stopAt) {
				m, err := workload.New(int(next.Add(1)), c.payload)
				if err != nil {
					return err
				}
				if err := order(gctx, db, outbox, m); err != nil {
					return err
				}
				if counting.Load() {
					done.Add(1)
				}
			}
			return nil
		})
	}
	err = pause(gctx, settle)
	start := time.Now()
	counting.Store(true)
	if waitErr := g.Wait(); waitErr != nil {
		err = waitErr
	}
	return float64(done.Load()) / time.Since(start).Seconds(), err
}
