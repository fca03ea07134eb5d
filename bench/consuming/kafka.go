package consuming

import (
	"context"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/consume"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
)

// Subjects of package consume, and how the report names them.
var consumers = map[string]string{
	"stock":      "stock subscriber and router",
	"sluicegate": "sluicegate's subscriber, stock router",
}

// WorkPrefix begins the names of these works; the handler follows.
const WorkPrefix = "kafka consume, "

// The amounts of a full run.
const (
	consumeMessages = 1_000_000
	consumeLimit    = 5 * time.Second // of each trial
	consumePatience = 5 * time.Minute // with all of them
)

// handlers are how long a message is worked on, with what a name of the work
// ends with and the bar of ours.
var handlers = []struct {
	work time.Duration
	ends string
	bar  report.Bar
}{
	{0, "nothing", report.Times(2, consumers["stock"], "≥ 2 × stock")},
	{5 * time.Millisecond, "5ms", report.Times(20, consumers["stock"], "≥ 20 × stock")},
}

// Kafka measures 8 partitions with 10,000 keys, with a handler of nothing and
// one of 5 ms.
func Kafka(ctx context.Context, e env.Env) ([]report.Row, error) {
	url, err := e.URL("KAFKA_URL")
	if err != nil {
		return nil, err
	}
	o := consume.Options{
		KafkaURL: url, Messages: e.Scaled(consumeMessages, 20_000), Limit: e.Duration(consumeLimit), Rounds: e.Runs,
		Progress: func(work, subject string, round int, f consume.Figure) {
			e.Say("run %d   %s, %s: %s", round, work, consumers[subject], report.Number(f.PerSecond))
		},
	}
	for _, h := range handlers {
		o.Handlers = append(o.Handlers, h.work)
	}
	ctx, cancel := context.WithTimeout(ctx, consumePatience)
	defer cancel()
	got, err := consume.Run(ctx, o)
	rows := make([]report.Row, 0, len(got))
	for _, g := range got {
		r := report.Row{Work: g.Work, Subject: consumers[g.Subject], Unit: "messages/s", Note: g.Note, Plain: g.Subject == "stock"}
		r.Fill(g.Values)
		r.CPU = float64(g.CPU) / float64(time.Microsecond)
		for _, h := range handlers {
			if !r.Plain && strings.HasSuffix(g.Work, h.ends) {
				r.Bars = []report.Bar{h.bar}
			}
		}
		rows = append(rows, r)
	}
	return rows, err
}
