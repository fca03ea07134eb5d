// Package work runs cases side by side: what is compared takes turns within
// one run of the program, so that what else the machine does meets all alike.
package work

import (
	"context"
	"fmt"
	"slices"
)

// Case is one subject doing one piece of work.
type Case struct {
	Work    string // what is done; cases of one work are compared with each other
	Subject string // who does it
	Unit    string // of the values, such as "messages/s"
	Note    string // the settings without which the figure misleads
	Plain   bool   // the subject that the others of this work are compared with
	Main    bool   // part of the quick mode

	// Trial does the work once, from a clean state to a clean state, and
	// returns its value. What it did must have been checked: a trial that lost
	// something is an error and not a figure.
	Trial func(ctx context.Context) (float64, error)
}

// Result is a case with the values of its trials, in ascending order.
type Result struct {
	Case
	Values []float64
}

// Median returns the middle value; of an even number, the lower one.
func (r Result) Median() float64 { return r.Values[(len(r.Values)-1)/2] }

// Min returns the lowest value.
func (r Result) Min() float64 { return r.Values[0] }

// Max returns the highest value.
func (r Result) Max() float64 { return r.Values[len(r.Values)-1] }

// Progress is told about each trial that ended; round 0 is the warm-up.
type Progress func(c Case, round int, value float64)

// Run gives each case its turn in each of the rounds, beginning with another
// case each round, after one round that warms up and does not count. The first
// error ends it.
func Run(ctx context.Context, cases []Case, rounds int, progress Progress) ([]Result, error) {
	results := make([]Result, len(cases))
	for i, c := range cases {
		results[i].Case = c
	}
	for round := range rounds + 1 {
		for turn := range cases {
			i := (turn + round) % len(cases)
			value, err := cases[i].Trial(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, round %d: %w", cases[i].Work, cases[i].Subject, round, err)
			}
			progress(cases[i], round, value)
			if round > 0 {
				results[i].Values = append(results[i].Values, value)
			}
		}
	}
	for i := range results {
		slices.Sort(results[i].Values)
	}
	return results, nil
}
