// Package statetest is the conformance suite of alert.State. The name of each
// case is a guarantee. An implementation joins with a Harness:
//
//	statetest.Run(t, statetest.Harness{New: func(t *testing.T) statetest.Fixture {
//		return statetest.Fixture{State: …, Advance: …}
//	}})
package statetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// Fixture is a state without rows.
type Fixture struct {
	State alert.State
	// Advance lets d pass by the state's clock.
	Advance func(d time.Duration)
}

// Harness tells the suite about an implementation.
type Harness struct {
	New func(t *testing.T) Fixture
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if failure := c.outcome(h.New(t)); failure != "" {
				t.Fatal(failure)
			}
		})
	}
}

// Failing runs the suite and returns the names of the cases that fail, for
// implementations that are broken on purpose.
func Failing(t *testing.T, h Harness) []string {
	t.Helper()
	var names []string
	for _, c := range cases {
		if c.outcome(h.New(t)) != "" {
			names = append(names, c.name)
		}
	}
	return names
}

type testCase struct {
	name string
	run  func(c *C)
}

func (tc testCase) outcome(f Fixture) (failure string) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The case ends at its first failure, as t.Fatal would end it.
		tc.run(&C{Fixture: f, fail: func(msg string) { failure = msg; runtime.Goexit() }})
	}()
	<-ended
	return failure
}

// C is one case at work.
type C struct {
	Fixture
	fail func(string)
}

var background = context.Background()

func (c *C) fatalf(format string, args ...any) { c.fail(fmt.Sprintf(format, args...)) }

func (c *C) put(row alert.Row) {
	if err := c.State.Put(background, row); err != nil {
		c.fatalf("put %s/%s at version %d: %v", row.Kind, row.ID, row.Version, err)
	}
}

func (c *C) get(kind alert.Kind, id string) alert.Row {
	row, _, err := c.State.Get(background, kind, id)
	if err != nil {
		c.fatalf("get %s/%s: %v", kind, id, err)
	}
	return row
}

func (c *C) now() time.Time {
	_, now, err := c.State.Get(background, alert.KindGroup, "no such row")
	if err != nil {
		c.fatalf("get what is not there: %v", err)
	}
	return now
}

func (c *C) conflict(what string, err error) {
	if !errors.Is(err, alert.ErrConflict) {
		c.fatalf("%s: error %v, want a conflict", what, err)
	}
}

func (c *C) list(kind alert.Kind, after string, limit int) (ids []string) {
	rows, err := c.State.List(background, kind, after, limit)
	if err != nil {
		c.fatalf("list: %v", err)
	}
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func (c *C) agenda(limit int) (ids []string, a alert.Agenda) {
	a, err := c.State.Agenda(background, limit)
	if err != nil {
		c.fatalf("agenda: %v", err)
	}
	for _, r := range a.Rows {
		ids = append(ids, r.ID)
	}
	return ids, a
}

func (c *C) same(what string, got, want any) {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		c.fatalf("%s: %s, want %s", what, g, w)
	}
}

func group(id, data string) alert.Row {
	return alert.Row{Kind: alert.KindGroup, ID: id, Data: []byte(data)}
}

func isConflict(err error) bool { return errors.Is(err, alert.ErrConflict) }
