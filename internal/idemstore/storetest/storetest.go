// Package storetest is the conformance suite of idempotency stores. The name of
// each case is a guarantee. A driver joins with a Harness:
//
//	storetest.Run(t, storetest.Harness{New: func(t *testing.T) storetest.Fixture {
//		return storetest.Fixture{Store: …, Other: …, Advance: …}
//	}})
//
// What a driver cannot do it declares in Harness.Lacks; only the cases that
// need it are then skipped, and Skipped names them, so that a test can pin the
// list.
package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// Feature is something that not every driver has.
type Feature string

// The features.
const (
	// Leases: a claim ends by time, and others are told what is left of it.
	Leases Feature = "leases"
	// OwnToken: a claim whose answer was lost finds itself.
	OwnToken Feature = "own token"
	// Results: duplicates receive what Complete stored.
	Results Feature = "results"
	// AttemptKept: the attempt number survives a release.
	AttemptKept Feature = "attempt kept"
	// Outage: the harness can put the store out of reach.
	Outage Feature = "outage"
)

// Fixture is a store without records.
type Fixture struct {
	Store idemstore.Store
	// Other is a store on the same server or tables' neighbours, under another
	// prefix; nil where there is no such thing.
	Other idemstore.Store
	// Advance lets d pass by the store's clock.
	Advance func(d time.Duration)
	// Away puts the store out of reach until the returned function is called.
	Away func() (back func())
}

// Harness tells the suite about a driver.
type Harness struct {
	New   func(t *testing.T) Fixture
	Lacks []Feature
	// Unit is the time that cases about time count in; they let up to 8 of it
	// pass. Default: 1 minute, for clocks that the harness moves.
	Unit time.Duration
	// RealTime says that the store's clock is the wall clock, so that a case also
	// spends time that it did not ask for. A case that failed after more than
	// a third of a Unit of that proves nothing, and runs again on a new fixture,
	// up to 5 times.
	RealTime bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if f, lacks := c.lacking(h); lacks {
				t.Skipf("the driver declares that it lacks: %s", f)
			}
			for left := 5; ; left-- {
				failure, late := c.outcome(h.New(t), h.Unit)
				if failure == "" {
					return
				}
				if !h.RealTime || !late || left == 0 {
					t.Fatal(failure)
				}
				t.Logf("again, the machine was slow: %s", failure)
			}
		})
	}
}

// Skipped returns the names of the cases that the declared lacks skip.
func Skipped(h Harness) []string {
	var names []string
	for _, c := range cases {
		if _, lacks := c.lacking(h); lacks {
			names = append(names, c.name)
		}
	}
	return names
}

// Failing runs the suite, or only the cases with the given names, and returns
// the names of those that fail, for drivers that are broken on purpose.
func Failing(t *testing.T, h Harness, only ...string) []string {
	t.Helper()
	var names []string
	for _, c := range cases {
		if _, lacks := c.lacking(h); lacks || (len(only) > 0 && !slices.Contains(only, c.name)) {
			continue
		}
		if failure, _ := c.outcome(h.New(t), h.Unit); failure != "" {
			names = append(names, c.name)
		}
	}
	return names
}

type testCase struct {
	name  string
	needs []Feature
	run   func(c *C)
}

// outcome runs the case to its end or its first failure, and says whether it
// took more of the wall clock than it let pass.
func (tc testCase) outcome(f Fixture, unit time.Duration) (failure string, late bool) {
	c := newC(f, unit, nil)
	ended := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(ended)
		// The case ends at its first failure, as t.Fatal would end it.
		c.fail = func(msg string) { failure = msg; runtime.Goexit() }
		tc.run(c)
	}()
	<-ended
	return failure, time.Since(began)-c.passed > c.unit/3
}

func (tc testCase) lacking(h Harness) (Feature, bool) {
	for _, f := range tc.needs {
		if slices.Contains(h.Lacks, f) {
			return f, true
		}
	}
	return "", false
}

var cases = slices.Concat(claimCases, leaseCases, settleCases, transitionCases, resumeCases, keyCases, failureCases)

// C is one case at work. Its checks end the case at the first failure and
// belong on the case's own goroutine.
type C struct {
	Fixture
	unit   time.Duration
	passed time.Duration
	fail   func(string)
}

func newC(f Fixture, unit time.Duration, fail func(string)) *C {
	if unit == 0 {
		unit = time.Minute
	}
	return &C{Fixture: f, unit: unit, fail: fail}
}

var background = context.Background()

// long outlasts every case.
const long = 24 * time.Hour

var theKey = idemstore.Key{Handler: "shop/stock", ID: "order-1"}

func (c *C) fatalf(format string, args ...any) { c.fail(fmt.Sprintf(format, args...)) }

// try claims theKey for a lease that outlasts the case.
func try(token string) idemstore.Claim {
	return idemstore.Claim{Key: theKey, Token: token, Lease: long, Retention: long}
}

// brief is try with a lease of some units.
func (c *C) brief(token string, units int) idemstore.Claim {
	claim := try(token)
	claim.Lease = time.Duration(units) * c.unit
	return claim
}

func (c *C) pass(units float64) {
	d := time.Duration(units * float64(c.unit))
	c.passed += d
	c.Advance(d)
}

func (c *C) claim(cl idemstore.Claim) idemstore.Record {
	rec, err := c.Store.Claim(background, cl)
	if err != nil {
		c.fatalf("claim with token %q: %v", cl.Token, err)
	}
	return rec
}

// want claims and checks verdict and attempt.
func (c *C) want(cl idemstore.Claim, verdict idemstore.Verdict, attempt int64) idemstore.Record {
	rec := c.claim(cl)
	if rec.Verdict != verdict || rec.Attempt != attempt {
		c.fatalf("claim with token %q: verdict %v, attempt %d; want verdict %v, attempt %d", cl.Token, rec.Verdict, rec.Attempt, verdict, attempt)
	}
	return rec
}

func (c *C) complete(token string, result []byte) {
	c.is("complete", c.Store.Complete(background, theKey, token, result, long), nil)
}

func (c *C) release(token string) { c.is("release", c.Store.Release(background, theKey, token), nil) }

func (c *C) move(t idemstore.Transition) {
	c.is("transition", c.Store.Transition(background, theKey, t), nil)
}

// is checks an error: nil, or one that wraps the sentinel.
func (c *C) is(what string, err, want error) {
	if !matches(err, want) {
		c.fatalf("%s: error %v, want %v", what, err, want)
	}
}

// powerless checks that token can do nothing to theKey.
func (c *C) powerless(token string) {
	c.is("extend", c.Store.Extend(background, theKey, token, long), idemstore.ErrLeaseLost)
	c.is("complete", c.Store.Complete(background, theKey, token, []byte("stale"), long), idemstore.ErrLeaseLost)
	c.is("release", c.Store.Release(background, theKey, token), idemstore.ErrLeaseLost)
}
