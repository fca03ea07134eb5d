// Package consume measures how fast a topic of many partitions and keys is
// handled in a stock Watermill router without any middleware: through Watermill's
// own Kafka subscriber and through ours. All subjects read the same topic, each
// in a group of its own, and take turns.
package consume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options says what is measured. The zero value of a field is its default.
type Options struct {
	// KafkaURL is kafka://host:port.
	KafkaURL string
	// Partitions of the topic; default 8.
	Partitions int
	// Keys over which the messages are spread; default 10,000.
	Keys int
	// Messages in the topic, of 256 bytes and 3 headers; default 1,000,000.
	Messages int
	// Limit ends a trial that has not handled all by then; default 5 s, from
	// the first message on.
	Limit time.Duration
	// Rounds that count, after one that warms up; default 3.
	Rounds int
	// Handlers are how long a message is worked on; default 0 and 5 ms.
	Handlers []time.Duration
	// Only names the subjects that are measured; default all.
	Only string
	// Params are added to our URL, for experiments.
	Params string
	// Progress is told about each trial; round 0 is the warm-up. Default none.
	Progress func(work, subject string, round int, f Figure)
}

// Figure is the outcome of a trial.
type Figure struct {
	PerSecond float64
	// CPU is the processor time of this process for each message.
	CPU time.Duration
}

// Row is what a subject did.
type Row struct {
	Work      string // such as "kafka consume, handler of 5ms"
	Subject   string
	Note      string  // the settings without which the figure misleads
	PerSecond float64 // the median
	Values    []float64
	CPU       time.Duration // of this process for each message, in the last trial
	// Ratio to the stock subscriber at the same work; 1 for itself, 0 where it
	// was not measured.
	Ratio float64
}

func (o Options) withDefaults() (Options, error) {
	defaultTo := func(value *int, def int) {
		if *value == 0 {
			*value = def
		}
	}
	defaultTo(&o.Partitions, 8)
	defaultTo(&o.Keys, 10_000)
	defaultTo(&o.Messages, 1_000_000)
	defaultTo(&o.Rounds, 3)
	if o.Limit == 0 {
		o.Limit = 5 * time.Second
	}
	if o.Handlers == nil {
		o.Handlers = []time.Duration{0, 5 * time.Millisecond}
	}
	if min(o.Partitions, o.Keys, o.Messages, o.Rounds) < 0 || o.Limit < 0 {
		return o, errors.New("no option may be negative")
	}
	return o, nil
}

// subject is one way to consume.
type subject struct {
	name, note string
	open       func(o Options, t *topic, group string) (source, error)
}

var subjects = []subject{
	{"stock", "watermill-kafka, its defaults", openStock},
	{"sluicegate", "its defaults", openOurs},
}

// Run fills a topic, measures, and deletes the topic.
func Run(ctx context.Context, o Options) (rows []Row, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	t, err := fill(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("fill topic: %w", err)
	}
	defer func() { err = errors.Join(err, t.drop()) }()
	for _, work := range o.Handlers {
		part, err := t.compare(ctx, o, work)
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
	}
	return rows, nil
}

func (t *topic) compare(ctx context.Context, o Options, work time.Duration) ([]Row, error) {
	var rows []Row
	var taking []subject
	name := "kafka consume, handler that does nothing"
	if work > 0 {
		name = fmt.Sprintf("kafka consume, handler of %s", work)
	}
	for _, s := range subjects {
		if strings.Contains(s.name, o.Only) {
			taking = append(taking, s)
			rows = append(rows, Row{Work: name, Subject: s.name, Note: s.note})
		}
	}
	for round := range o.Rounds + 1 {
		for turn := range taking {
			i := (turn + round) % len(taking)
			figure, err := t.trial(ctx, o, taking[i], work)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, rows[i].Subject, err)
			}
			if o.Progress != nil {
				o.Progress(name, rows[i].Subject, round, figure)
			}
			if round > 0 {
				rows[i].Values = append(rows[i].Values, figure.PerSecond)
				rows[i].CPU = figure.CPU
			}
		}
	}
	for i := range rows {
		slices.Sort(rows[i].Values)
		rows[i].PerSecond = rows[i].Values[(len(rows[i].Values)-1)/2]
		if rows[0].Subject == "stock" {
			rows[i].Ratio = rows[i].PerSecond / rows[0].PerSecond
		}
	}
	return rows, nil
}
