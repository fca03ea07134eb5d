// Package env is what every part of the bench is given: where the servers are,
// how much to do, and where to say what happens.
package env

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

// Env is the same for all sections of one run.
type Env struct {
	// URLs of the servers, by the name of their variable, as POSTGRES_URL.
	URLs map[string]string
	// Runs is how often each case is counted.
	Runs int
	// Scale multiplies the amounts of work; 1 is a full run.
	Scale float64
	// Payload is the size of each payload, in bytes.
	Payload int
	// Quick leaves out what is not a main row.
	Quick bool
	// Subject, if not empty, keeps only cases whose subject contains it.
	Subject string
	// Progress takes lines about what happens.
	Progress io.Writer
}

// Section is one part of the report.
type Section struct {
	Name  string // one word, for --only
	Quick bool   // part of the quick mode
	Apart bool   // only where it is named: it takes longer than all others
	// Run measures. It returns the rows that it has even where it fails.
	Run func(ctx context.Context, e Env) ([]report.Row, error)
}

// ErrMissing says that a server is not there.
var ErrMissing = errors.New("cannot run here")

// URL returns the URL of a server, or an error that wraps ErrMissing.
func (e Env) URL(variable string) (string, error) {
	if url := e.URLs[variable]; url != "" {
		return url, nil
	}
	return "", fmt.Errorf("%w: %s is not set", ErrMissing, variable)
}

// Scaled returns n in the scale of this run, at least least.
func (e Env) Scaled(n, least int) int { return max(least, int(float64(n)*e.Scale)) }

// Duration returns d in the scale of this run, at least a second.
func (e Env) Duration(d time.Duration) time.Duration {
	return max(time.Second, time.Duration(float64(d)*e.Scale))
}

// Say writes a line of progress.
func (e Env) Say(format string, values ...any) {
	fmt.Fprintf(e.Progress, time.Now().Format("15:04:05 ")+format+"\n", values...)
}

// Compare gives the cases their turns and returns their rows.
func (e Env) Compare(ctx context.Context, cases []work.Case) []report.Row {
	var kept []work.Case
	for _, c := range cases {
		if strings.Contains(c.Subject, e.Subject) {
			kept = append(kept, c)
		}
	}
	results := work.Run(ctx, kept, e.Runs, func(c work.Case, round int, s work.Sample, err error) {
		label := fmt.Sprintf("run %d", round)
		if round == 0 {
			label = "warm-up"
		}
		outcome := s.String()
		if err != nil {
			outcome = "failed: " + report.Short(err)
		}
		e.Say("%-7s %s, %s: %s (load %s)", label, c.Work, c.Subject, outcome, server.Load())
	})
	return work.Rows(results)
}
