// Package work runs cases side by side: what is compared takes turns within
// one run of the program, so that what else the machine does meets all alike.
package work

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/report"
)

// Case is one subject doing one piece of work.
type Case struct {
	Work    string   // what is done; cases of one work are compared with each other
	Subject string   // who does it
	Metrics []Metric // what is measured
	Note    string   // the settings without which the figure misleads
	Plain   bool     // the subject that the others of this work are compared with
	Timeout time.Duration

	// NoWarmUp leaves out the round that does not count.
	NoWarmUp bool

	// Trial does the work once, from a clean state to a clean state. What it did
	// must have been checked: a trial that lost something is an error and not a
	// figure. A warm-up may do less.
	Trial func(ctx context.Context, warmUp bool) (Sample, error)
}

// Metric is one figure of a case.
type Metric struct {
	Name string // empty where there is only one
	Unit string
	Bars []report.Bar
}

// Rate is the metric of cases that have only one.
func Rate(bars ...report.Bar) []Metric { return []Metric{{Unit: "messages/s", Bars: bars}} }

// Sample is what one trial measured.
type Sample struct {
	Values map[string]float64 // by the name of the metric
	CPU    float64            // microseconds a message, of the process that does the work; 0: not measured
	Memory float64            // highest resident memory of that process, in MB; 0: not measured
	Note   string             // what should be known of this trial
}

// Value returns a sample of one figure.
func Value(v float64) Sample { return Sample{Values: map[string]float64{"": v}} }

func (s Sample) String() string {
	names := make([]string, 0, len(s.Values))
	for name := range s.Values {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, strings.TrimSpace(name+" "+report.Number(s.Values[name])))
	}
	if s.CPU > 0 {
		parts = append(parts, fmt.Sprintf("%.1f µs CPU a message", s.CPU))
	}
	if s.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%.0f MB", s.Memory))
	}
	return strings.Join(append(parts, s.Note), " ")
}

// Result is a case with the samples of its counted trials.
type Result struct {
	Case
	Samples []Sample
	Err     error // the last one
	Failed  int   // trials that failed
}

// Progress is told about each trial that ended; round 0 is the warm-up.
type Progress func(c Case, round int, s Sample, err error)

// The patience with a case.
const (
	defaultTimeout = 2 * time.Minute
	maxFailures    = 2
)

// Run gives each case its turn in each of the rounds, beginning with another
// case each round, after one round that warms up and does not count. A case
// that has failed twice is given up, and the others go on.
func Run(ctx context.Context, cases []Case, rounds int, progress Progress) []Result {
	results := make([]Result, len(cases))
	for i, c := range cases {
		results[i].Case = c
	}
	for round := range rounds + 1 {
		for turn := range cases {
			r := &results[(turn+round)%len(cases)]
			if r.Failed >= maxFailures || (round == 0 && r.NoWarmUp) {
				continue
			}
			s, err := trial(ctx, r.Case, round == 0)
			progress(r.Case, round, s, err)
			switch {
			case err != nil:
				r.Err = fmt.Errorf("round %d: %w", round, err)
				r.Failed++
			case round > 0:
				r.Samples = append(r.Samples, s)
			}
		}
	}
	return results
}

func trial(ctx context.Context, c Case, warmUp bool) (Sample, error) {
	if err := ctx.Err(); err != nil {
		return Sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, defaultTimeout))
	defer cancel()
	return c.Trial(ctx, warmUp)
}

// Rows makes a row of each metric of each result, in their order.
func Rows(results []Result) []report.Row {
	var rows []report.Row
	for _, r := range results {
		for i, m := range r.Metrics {
			row := r.row(m)
			if i > 0 { // said once
				row.CPU, row.Memory, row.Note = 0, 0, ""
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func (r Result) row(m Metric) report.Row {
	row := report.Row{Work: r.Work, Subject: r.Subject, Metric: m.Name, Unit: m.Unit, Note: r.Note, Plain: r.Plain, Runs: len(r.Samples), Bars: m.Bars}
	if r.Err != nil {
		row.Error = report.Short(r.Err)
	}
	var values, cpu, memory []float64
	for _, s := range r.Samples {
		values = append(values, s.Values[m.Name])
		cpu = append(cpu, s.CPU)
		memory = append(memory, s.Memory)
		if s.Note != "" {
			row.Note = strings.TrimPrefix(r.Note+"; "+s.Note, "; ")
		}
	}
	row.Fill(values)
	row.CPU, row.Memory = report.Median(cpu), report.Median(memory)
	return row
}
