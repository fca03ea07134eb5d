package storetest

import (
	"errors"
	"sync"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

func from(states ...idemstore.State) []idemstore.State { return states }

var transitionCases = []testCase{
	{"a parked or dead record does not run", nil, func(c *C) {
		for _, to := range from(idemstore.Parked, idemstore.Dead) {
			c.move(idemstore.Transition{From: from(idemstore.Absent, idemstore.Parked), To: to})
			if rec := c.claim(try("a")); rec.Verdict != idemstore.Finished || rec.State != to || rec.Result != nil {
				c.fatalf("verdict %v, state %q, %d bytes; want finished, %q, none", rec.Verdict, rec.State, len(rec.Result), to)
			}
		}
	}},
	{"a missing record is moved only where that is allowed", nil, func(c *C) {
		all := from(idemstore.Processing, idemstore.Released, idemstore.Done, idemstore.Parked, idemstore.Dead)
		c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{From: all, To: idemstore.Dead}), idemstore.ErrConflict)
		c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{From: from(idemstore.Absent), To: idemstore.Dead, Epoch: 1}), idemstore.ErrConflict)
		if rec := c.claim(try("a")); rec.Verdict != idemstore.Won {
			c.fatalf("verdict %v, want won", rec.Verdict)
		}
		c.release("a")
	}},
	{"a done record is moved only where that is allowed", nil, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", []byte("result"))
		t := idemstore.Transition{From: from(idemstore.Absent, idemstore.Processing, idemstore.Released), To: idemstore.Dead}
		c.is("transition", c.Store.Transition(background, theKey, t), idemstore.ErrConflict)
		if rec := c.want(try("b"), idemstore.Finished, 1); rec.State != idemstore.Done {
			c.fatalf("state %q, want done", rec.State)
		}
		t.From = from(idemstore.Done)
		c.move(t)
		if rec := c.want(try("b"), idemstore.Finished, 1); rec.State != idemstore.Dead || rec.Result != nil {
			c.fatalf("state %q, %d bytes of result; want dead, none", rec.State, len(rec.Result))
		}
	}},
	{"a running record is not moved before its lease ends", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 2), idemstore.Won, 1)
		t := idemstore.Transition{From: from(idemstore.Processing), To: idemstore.Dead}
		c.is("transition", c.Store.Transition(background, theKey, t), idemstore.ErrConflict)
		c.want(try("b"), idemstore.Busy, 1)
		c.pass(2.5)
		c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{From: from(idemstore.Released), To: idemstore.Dead}), idemstore.ErrConflict)
		c.move(t)
		c.powerless("a")
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"a redrive begins the next epoch and runs again with the next attempt", []Feature{AttemptKept}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
		c.move(idemstore.Transition{From: from(idemstore.Released), To: idemstore.Dead})
		c.move(idemstore.Transition{From: from(idemstore.Dead), To: idemstore.Released, NextEpoch: true})
		if rec := c.want(try("b"), idemstore.Won, 2); rec.Epoch != 1 {
			c.fatalf("epoch %d, want 1", rec.Epoch)
		}
		c.complete("b", nil)
		if rec := c.want(try("c"), idemstore.Finished, 2); rec.Epoch != 1 {
			c.fatalf("epoch %d, want 1", rec.Epoch)
		}
	}},
	{"a redriven record runs, and is done then", nil, func(c *C) {
		c.move(idemstore.Transition{From: from(idemstore.Absent), To: idemstore.Parked})
		c.move(idemstore.Transition{From: from(idemstore.Parked), To: idemstore.Released, NextEpoch: true})
		rec := c.claim(try("a"))
		if rec.Verdict != idemstore.Won || rec.Epoch != 1 {
			c.fatalf("verdict %v, epoch %d; want won, 1", rec.Verdict, rec.Epoch)
		}
		c.complete("a", nil)
		if rec := c.claim(try("b")); rec.Verdict != idemstore.Finished || rec.State != idemstore.Done || rec.Epoch != 1 {
			c.fatalf("verdict %v, state %q, epoch %d; want finished, done, 1", rec.Verdict, rec.State, rec.Epoch)
		}
	}},
	{"of many redrives of one epoch one happens", nil, manyRedrive},
	{"a transition of a former epoch is refused", nil, func(c *C) {
		c.move(idemstore.Transition{From: from(idemstore.Absent), To: idemstore.Dead})
		c.move(idemstore.Transition{From: from(idemstore.Dead), To: idemstore.Released, NextEpoch: true})
		again := idemstore.Transition{From: from(idemstore.Released), To: idemstore.Dead}
		c.is("transition", c.Store.Transition(background, theKey, again), idemstore.ErrConflict)
		again.Epoch = 1
		c.move(again)
	}},
	{"a moved record lives for its retention, and without one until it is moved", nil, func(c *C) {
		cl := try("a")
		cl.Retention = 2 * c.unit
		c.want(cl, idemstore.Won, 1)
		c.is("complete", c.Store.Complete(background, theKey, "a", nil, cl.Retention), nil)
		c.move(idemstore.Transition{From: from(idemstore.Done), To: idemstore.Dead})
		c.pass(5)
		c.want(try("b"), idemstore.Finished, 1)
		c.move(idemstore.Transition{From: from(idemstore.Dead), To: idemstore.Parked, Retention: 2 * c.unit})
		c.pass(1)
		c.want(try("b"), idemstore.Finished, 1)
		c.pass(1.5)
		c.want(try("b"), idemstore.Won, 1)
		c.release("b")
	}},
	{"a transition to what only a claim may do is refused", nil, func(c *C) {
		for _, to := range from(idemstore.Absent, idemstore.Processing, idemstore.Done, "other") {
			c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{From: from(idemstore.Absent), To: to}), idemstore.ErrInvalid)
		}
		c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{To: idemstore.Dead}), idemstore.ErrInvalid)
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
	}},
}

func manyRedrive(c *C) {
	c.move(idemstore.Transition{From: from(idemstore.Absent), To: idemstore.Dead})
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		moved   int
		strange []error
	)
	for range 16 {
		wg.Go(func() {
			t := idemstore.Transition{From: from(idemstore.Dead), To: idemstore.Released, NextEpoch: true}
			var err error
			for range 20 {
				if err = c.Store.Transition(background, theKey, t); !errors.Is(err, idemstore.ErrContended) {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				moved++
			case !errors.Is(err, idemstore.ErrConflict):
				strange = append(strange, err)
			}
		})
	}
	wg.Wait()
	if moved != 1 || len(strange) > 0 {
		c.fatalf("%d redrives happened, want 1; errors: %v", moved, errors.Join(strange...))
	}
}
