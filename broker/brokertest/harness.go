package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker"
)

// T is the part of testing.TB that the cases use.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Header is a record header as raw bytes.
type Header struct{ Key, Value []byte }

// Harness says how a driver is reached.
type Harness struct {
	// URL returns the URL for one case. All brokers that the case opens at it
	// share their messages. Topics and groups have random names, so that it
	// may be the same server each time.
	URL func(t T) string
	// Declared is what the driver must declare, without Guarantee and Driver's
	// limits that depend on the server.
	Declared broker.Capabilities
	// Foreign writes a record as another program would. Nil where the broker
	// has no other senders; the cases that need it are then skipped, which
	// is an error for a Persistent driver.
	Foreign func(t T, topic string, key, value []byte, headers []Header)

	// Used, where it is given, is told each topic and group before it is used,
	// so that a harness can delete them after the test.
	Used func(topic, group string)

	// Patience is how long what must happen may take. Default 10 s.
	Patience time.Duration
	// Quiet is how long nothing must happen before it counts as not
	// happening. Default 100 ms.
	Quiet time.Duration
	// MinNackDelay is the least wait before a first redelivery. Default 1 ms.
	MinNackDelay time.Duration
}

func (h Harness) withDefaults() Harness {
	if h.Used == nil {
		h.Used = func(string, string) {}
	}
	if h.Patience == 0 {
		h.Patience = 10 * time.Second
	}
	if h.Quiet == 0 {
		h.Quiet = 100 * time.Millisecond
	}
	if h.MinNackDelay == 0 {
		h.MinNackDelay = time.Millisecond
	}
	return h
}

// Case is one guarantee.
type Case struct {
	Name string
	// Needs reports whether a driver with these capabilities must pass. Nil
	// means all must.
	Needs func(h Harness) bool
	// Run checks it.
	Run func(t T, h Harness)
}

// Run runs every case as a subtest.
func Run(t *testing.T, h Harness) {
	h = h.withDefaults()
	if h.Declared.Persistent && h.Foreign == nil {
		t.Error("Harness.Foreign is missing: a persistent broker has other senders")
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Needs != nil && !c.Needs(h) {
				t.Skip("not declared by this driver")
			}
			c.Run(t, h)
		})
	}
}

// Cases returns all cases.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{declarationCases, publishCases, deliveryCases, orderCases, contentCases, lifecycleCases} {
		all = append(all, part...)
	}
	return all
}
