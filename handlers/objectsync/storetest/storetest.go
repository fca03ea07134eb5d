// Package storetest is the conformance suite of objectsync.Store. The name of each case
// is a guarantee. A store joins with a Harness:
//
//	storetest.Run(t, storetest.Harness{New: func(t *testing.T) objectsync.Store { … }})
package storetest

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// Harness tells the suite about a store.
type Harness struct {
	// New returns an empty store.
	New func(t *testing.T) objectsync.Store
	// Metadata says that the store keeps an object's version, Conditional that it is an
	// objectsync.Conditional: a case that needs what is not declared is not run, and
	// a store that can do what is not declared fails.
	Metadata, Conditional bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range cases {
		if !c.wanted(h) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if failure := c.outcome(t, h); failure != "" {
				t.Fatal(failure)
			}
		})
	}
}

// Failing runs the suite and returns the names of the cases that fail, for stores that are
// broken on purpose.
func Failing(t *testing.T, h Harness) (names []string) {
	t.Helper()
	for _, c := range cases {
		if c.wanted(h) && c.outcome(t, h) != "" {
			names = append(names, c.name)
		}
	}
	return names
}

// Names returns the names of all cases.
func Names() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

type testCase struct {
	name  string
	needs string // "metadata" or "conditional"
	run   func(c *C)
}

func (tc testCase) wanted(h Harness) bool {
	return tc.needs == "" || tc.needs == "metadata" && h.Metadata || tc.needs == "conditional" && h.Conditional
}

// outcome runs one case and returns why it failed, or nothing.
func (tc testCase) outcome(t *testing.T, h Harness) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := &C{Store: h.New(t), h: h, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tc.run(c)
	}()
	<-done
	return c.failure
}

// C is one case at work.
type C struct {
	objectsync.Store
	h       Harness
	ctx     context.Context
	failure string
}

// Fatalf ends the case.
func (c *C) Fatalf(format string, args ...any) {
	c.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (c *C) must(err error) {
	if err != nil {
		c.Fatalf("%v", err)
	}
}

func blob(body string, version int64) objectsync.Blob {
	return objectsync.Blob{Body: []byte(body), ContentType: "application/json", Version: version, Hash: objectsync.Hash([]byte(body))}
}

func (c *C) put(key, body string, version int64) objectsync.Info {
	info, err := c.Put(c.ctx, key, blob(body, version))
	c.must(err)
	return info
}

// holds fails unless the object has these bytes.
func (c *C) holds(key, body string) {
	b, info, err := c.Get(c.ctx, key)
	c.must(err)
	if string(b.Body) != body || info.Size != int64(len(body)) {
		c.Fatalf("%q holds %q, of %d bytes, want %q", key, b.Body, info.Size, body)
	}
}
