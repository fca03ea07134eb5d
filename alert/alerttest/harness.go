package alerttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// T is the part of testing.TB that the cases use.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Fault is how a service behaves.
type Fault string

// The faults. What an error must then say stands with each.
const (
	Healthy     Fault = "healthy"     // accepts
	Unreachable Fault = "unreachable" // nobody listens: retryable
	Silent      Fault = "silent"      // takes the message and never answers
	Cut         Fault = "cut"         // closes the connection instead of answering: retryable
	Busy        Fault = "busy"        // says that it may work later: retryable
	Limited     Fault = "limited"     // says to wait: Until
	Broken      Fault = "broken"      // says that the account or token is wrong: permanent
	Refused     Fault = "refused"     // takes no such message: none of them
	Garbage     Fault = "garbage"     // answers what it never should: retryable
	Endless     Fault = "endless"     // answers without an end: retryable
	Redirect    Fault = "redirect"    // sends the message elsewhere: permanent, and not followed
	Leaking     Fault = "leaking"     // fails on the way with an error that quotes everything: retryable
)

// faults are all but Healthy and Silent, in the order in which they are tried.
var faults = []Fault{Cut, Busy, Limited, Broken, Refused, Garbage, Endless, Redirect, Leaking, Unreachable}

// Service is what a Sender under test sends to.
type Service struct {
	Sender alert.Sender
	// Received returns the texts of the messages that were accepted, as people
	// read them: titles and texts, without the encoding around them.
	Received func() []string
	// Behave changes how it behaves from now on.
	Behave func(f Fault)
}

// Harness says how a Sender is reached.
type Harness struct {
	// Open starts a service that is Healthy, and a Sender to it. The service ends
	// with t. A Silent one must let go of its connections then.
	Open func(t T) Service
	// Lacks are faults that this service cannot have.
	Lacks []Fault
	// Secrets are what nobody may see: tokens, passwords, keys. The service
	// quotes them in its answers wherever it can.
	Secrets []string
	// MaxText is how long a text may be, and Size what that counts. Default: no
	// limit; bytes.
	MaxText int
	Size    func(string) int
	// Brief senders, a short message for example, leave out what does not fit
	// and tell of samples and digests by number only.
	Brief bool

	// Patience is how long what must happen may take. Default 5 s.
	Patience time.Duration
}

func (h Harness) withDefaults() Harness {
	if h.Size == nil {
		h.Size = func(s string) int { return len(s) }
	}
	if h.Patience == 0 {
		h.Patience = 5 * time.Second
	}
	return h
}

func (h Harness) has(f Fault) bool { return !slices.Contains(h.Lacks, f) }

// Case is one guarantee.
type Case struct {
	Name string
	Run  func(t T, h Harness)
}

// Run runs every case as a subtest.
func Run(t *testing.T, h Harness) {
	if len(h.Secrets) == 0 {
		t.Error("Harness.Secrets: a service without secrets proves nothing about them; use at least a name that is none")
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, h) })
	}
}

// Cases are all guarantees.
func Cases() []Case {
	cases := []Case{
		{"a notification arrives and names handler, topic, key, error, count and link", arrives},
		{"a resolved notification says so", resolved},
		{"a digest tells what it stands for", digest},
		{"a text stays within its limit and is whole", limited},
		{"no value writes a line of its own or breaks the encoding", hostile},
		{"a notification is not changed", unchanged},
		{"Send returns when its context ends", cancelled},
		{"nothing is sent on a context that has ended", dead},
		{"an error says what to do next", classified},
		{"what failed can be offered again and then arrives once", again},
		{"no secret is in an error, in what the sender prints, or in a log", secret},
		{"many goroutines may send", concurrent},
	}
	for i, c := range cases {
		cases[i].Run = func(t T, h Harness) { c.Run(t, h.withDefaults()) }
	}
	return cases
}
