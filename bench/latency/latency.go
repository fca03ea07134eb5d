// Package latency measures how long a message takes from the commit of its
// transaction until a subscriber has it, with the relay in a process of its
// own, what that process costs, and what each way of waking it costs those who
// commit.
package latency

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

// The subjects, as the report names them.
const (
	subjectPlain     = "plain Watermill forwarder"
	subjectPlainPoll = "plain forwarder, poll 10 ms"
	subjectPolling   = "sluicegate, polling"
	subjectNotify    = "sluicegate, notification"
)

// pace is how fast messages are committed and for how long.
type pace struct {
	perSecond int
	duration  time.Duration
	settle    time.Duration // of it at the beginning that does not count
}

var (
	slow = pace{perSecond: 50, duration: 8 * time.Second, settle: time.Second}
	fast = pace{perSecond: 2000, duration: 5 * time.Second, settle: time.Second}
)

// What the report calls the two paces, and the metrics that are times.
var (
	WorkSlow    = slow.at()
	WorkFast    = fast.at()
	Percentiles = []string{metricP50, metricP95, metricP99}
)

// at names the work at a pace.
func (p pace) at() string {
	rate := strconv.Itoa(p.perSecond)
	if p.perSecond >= 1000 {
		rate = report.Number(float64(p.perSecond)) // with thousands apart
	}
	return fmt.Sprintf("commit → delivered at %s/s, PostgreSQL → Kafka", rate)
}

// The metrics.
const (
	metricP50 = "p50"
	metricP95 = "p95"
	metricP99 = "p99"
	metricCPU = "relay's CPU"
)

const unitCPU = "% of a core"

// metrics returns those of one subject, with the bars by metric.
func metrics(bars map[string][]report.Bar) []work.Metric {
	out := make([]work.Metric, 0, 4)
	for _, name := range Percentiles {
		out = append(out, work.Metric{Name: name, Unit: "ms", Bars: bars[name]})
	}
	return append(out, work.Metric{Name: metricCPU, Unit: unitCPU, Bars: bars[metricCPU]})
}

// servers are where it is measured.
type servers struct {
	pg    *server.Postgres
	kafka *server.Kafka
}

// Run measures the latency at 50 and at 2,000 messages a second, and the relay
// when there is nothing to do.
func Run(ctx context.Context, e env.Env) ([]report.Row, error) {
	return with(e, func(s servers) []report.Row {
		rows := e.Compare(ctx, s.atPace(e, slow, map[string]map[string][]report.Bar{
			subjectPolling: {metricP50: {report.AtMost(8, "≤ 8 ms")}, metricCPU: {report.AtMost(15, "≤ 15 %")}},
			subjectNotify: {
				metricP50: {report.AtMost(2, "≤ 2 ms"), {Text: "≤ 1/200 of plain", Limit: 1.0 / 200, AtMost: true, Base: &report.Base{Subject: subjectPlain}}},
				metricP99: {report.AtMost(15, "≤ 15 ms")}, metricCPU: {report.AtMost(15, "≤ 15 %")},
			},
		}))
		if e.Quick {
			return rows
		}
		rows = append(rows, e.Compare(ctx, s.atPace(e, fast, nil))...)
		return append(rows, e.Compare(ctx, s.idle(e))...)
	})
}

func (s servers) atPace(e env.Env, p pace, bars map[string]map[string][]report.Bar) []work.Case {
	var cases []work.Case
	for _, c := range []struct {
		subject, contender string
		quick              bool
	}{
		{subjectPlain, contender.Plain, true},
		{subjectPlainPoll, contender.PlainPoll, false},
		{subjectPolling, contender.Ours, true},
		{subjectNotify, contender.OursNotify, true},
	} {
		if e.Quick && !c.quick {
			continue
		}
		t := trial{servers: s, contender: c.contender, pace: p, payload: e.Payload}
		t.pace.duration = max(e.Duration(p.duration), 2*p.settle)
		cases = append(cases, work.Case{
			Work: p.at(), Subject: c.subject, Plain: c.subject == subjectPlain, NoWarmUp: true,
			Metrics: metrics(bars[c.subject]), Trial: t.run,
		})
	}
	return cases
}

// idleFor is how long an idle relay is watched.
const idleFor = 5 * time.Second

// idleSettle is what it is given to become idle.
const idleSettle = time.Second

func (s servers) idle(e env.Env) []work.Case {
	var cases []work.Case
	for _, c := range []struct {
		subject, contender string
		bars               []report.Bar
	}{
		{subjectPlain, contender.Plain, nil},
		{subjectPolling, contender.Ours, []report.Bar{report.AtMost(1, "≤ 1 %")}},
		{subjectNotify, contender.OursNotify, []report.Bar{report.AtMost(1, "≤ 1 %")}},
	} {
		t := trial{servers: s, contender: c.contender, pace: pace{duration: e.Duration(idleFor), settle: idleSettle}, payload: e.Payload}
		cases = append(cases, work.Case{
			Work: "relay with nothing to do, PostgreSQL → Kafka", Subject: c.subject, Plain: c.subject == subjectPlain, NoWarmUp: true,
			Metrics: []work.Metric{{Name: metricCPU, Unit: unitCPU, Bars: c.bars}}, Trial: t.run,
		})
	}
	return cases
}

func with(e env.Env, do func(servers) []report.Row) (rows []report.Row, err error) {
	pgURL, pgErr := e.URL("POSTGRES_URL")
	kafkaURL, kafkaErr := e.URL("KAFKA_URL")
	if err := errors.Join(pgErr, kafkaErr); err != nil {
		return nil, err
	}
	pg, err := server.OpenPostgres(pgURL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.Close()) }()
	k, err := server.OpenKafka(kafkaURL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return do(servers{pg, k}), nil
}
