// Package serving measures what the guard of httpidem adds to the time of a request.
package serving

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/latency"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

const (
	perSecond = 5000
	lasting   = 5 * time.Second
	settling  = time.Second // of it at the beginning that does not count
	// retention is longer than a run, and short enough to leave nothing behind.
	retention = time.Minute
)

const (
	theWork        = "POST at 5,000/s, open loop, net/http in process"
	subjectPlain   = "net/http alone"
	subjectGuarded = "behind httpidem, Redis"
	subjectAdded   = "added by httpidem"
)

// HTTP sends requests, each with a key of its own, at a steady pace to one handler
// alone and behind the guard, in turns.
func HTTP(ctx context.Context, e env.Env) (rows []report.Row, err error) {
	url, err := e.URL("REDIS_URL")
	if err != nil {
		return nil, err
	}
	opts, err := goredis.ParseURL(url)
	if err != nil {
		return nil, errors.New("REDIS_URL cannot be parsed")
	}
	client := goredis.NewClient(opts)
	defer func() { err = errors.Join(err, client.Close()) }()
	store, err := redisstore.New(client, redisstore.Config{Prefix: fmt.Sprintf("bh%08x", rand.Uint32())})
	if err != nil {
		return nil, err
	}
	guard, err := httpidem.New(store, httpidem.Config{Scope: httpidem.Anyone, Retention: retention})
	if err != nil {
		return nil, err
	}
	t := trial{duration: e.Duration(lasting), settle: settling}
	plain, guarded := newFigures(), newFigures()
	for round := range e.Runs + 1 {
		turns := []struct {
			name    string
			wrap    func(http.Handler) http.Handler
			figures *figures
		}{
			{subjectPlain, func(h http.Handler) http.Handler { return h }, plain},
			{subjectGuarded, guard.Middleware, guarded},
		}
		if round%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			times, err := t.run(ctx, turn.wrap)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", turn.name, err)
			}
			e.Say("run %d, %s: p50 %.3f, p95 %.3f, p99 %.3f ms", round, turn.name, times.Percentile(50), times.Percentile(95), times.Percentile(99))
			if round > 0 { // the first warms up
				turn.figures.add(times)
			}
		}
	}
	return table(plain, guarded), nil
}

// figures are the percentiles of the runs of one subject.
type figures struct{ values map[string][]float64 }

func newFigures() *figures { return &figures{map[string][]float64{}} }

var percentiles = []struct {
	name string
	p    float64
}{{"p50", 50}, {"p95", 95}, {"p99", 99}}

func (f *figures) add(t *latency.Times) {
	for _, p := range percentiles {
		f.values[p.name] = append(f.values[p.name], t.Percentile(p.p))
	}
}

func table(plain, guarded *figures) []report.Row {
	var rows []report.Row
	add := func(subject string, isPlain bool, values func(name string) []float64, bars map[string][]report.Bar) {
		for _, p := range percentiles {
			r := report.Row{Work: theWork, Subject: subject, Metric: p.name, Unit: "ms", Plain: isPlain, Bars: bars[p.name]}
			r.Fill(values(p.name))
			rows = append(rows, r)
		}
	}
	add(subjectPlain, true, func(name string) []float64 { return plain.values[name] }, nil)
	add(subjectGuarded, false, func(name string) []float64 { return guarded.values[name] }, nil)
	add(subjectAdded, false, func(name string) []float64 {
		out := make([]float64, len(guarded.values[name]))
		for i, v := range guarded.values[name] {
			out[i] = v - plain.values[name][i]
		}
		return out
	}, map[string][]report.Bar{"p50": {report.AtMost(1, "≤ 1 ms")}})
	return rows
}
