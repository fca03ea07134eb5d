package storetest

import (
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// resuming is claim as made by who holds the task of a parked message.
func resuming(claim idemstore.Claim) idemstore.Claim {
	claim.Resume = true
	return claim
}

func (c *C) park() {
	c.move(idemstore.Transition{From: from(idemstore.Absent, idemstore.Released), To: idemstore.Parked})
}

// parked checks that a duplicate finds the record parked, and does not run.
func (c *C) parked() {
	if rec := c.claim(try("duplicate")); rec.Verdict != idemstore.Finished || rec.State != idemstore.Parked {
		c.fatalf("a duplicate: verdict %v, state %q; want finished, parked", rec.Verdict, rec.State)
	}
}

var resumeCases = []testCase{
	{"a parked record is won by who resumes it, and is done then", nil, func(c *C) {
		c.park()
		c.parked()
		cl := resuming(try("a"))
		cl.Attempt = 7
		c.want(cl, idemstore.Won, 7)
		c.complete("a", nil)
		for _, cl := range []idemstore.Claim{try("b"), resuming(try("b"))} {
			if rec := c.want(cl, idemstore.Finished, 7); rec.State != idemstore.Done {
				c.fatalf("state %q, want done", rec.State)
			}
		}
	}},
	{"a resumed record that is released is parked again", nil, func(c *C) {
		c.park()
		for range 2 {
			if rec := c.claim(resuming(try("a"))); rec.Verdict != idemstore.Won {
				c.fatalf("verdict %v, want won", rec.Verdict)
			}
			c.release("a")
			c.parked()
		}
		c.move(idemstore.Transition{From: from(idemstore.Parked), To: idemstore.Dead})
		if rec := c.claim(resuming(try("a"))); rec.Verdict != idemstore.Finished || rec.State != idemstore.Dead {
			c.fatalf("verdict %v, state %q; want finished, dead", rec.Verdict, rec.State)
		}
	}},
	{"resuming counts the attempts on", []Feature{AttemptKept}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
		c.park()
		c.want(resuming(try("a")), idemstore.Won, 2)
		c.release("a")
		c.want(resuming(try("a")), idemstore.Won, 3)
	}},
	{"a duplicate does not run while a record is resumed, nor after the lease of that", []Feature{Leases}, func(c *C) {
		c.park()
		c.want(resuming(c.brief("a", 2)), idemstore.Won, 1)
		c.parked()
		c.want(resuming(try("b")), idemstore.Busy, 1)
		c.pass(2.5)
		c.parked()
		c.want(resuming(try("b")), idemstore.Takeover, 2)
		c.powerless("a")
		c.parked()
	}},
	{"of many that resume a parked record one wins", nil, func(c *C) {
		c.park()
		manyOf(c, true)
	}},
	{"what is not parked is resumed as it is claimed, and parked by a release", []Feature{Leases, AttemptKept}, func(c *C) {
		c.want(resuming(try("a")), idemstore.Won, 1)
		c.release("a")
		c.parked()
		c.move(idemstore.Transition{From: from(idemstore.Parked), To: idemstore.Released})
		c.want(resuming(try("a")), idemstore.Won, 2)
		c.release("a")
		c.parked()
		c.move(idemstore.Transition{From: from(idemstore.Parked), To: idemstore.Released})
		c.want(c.brief("a", 1), idemstore.Won, 3)
		c.want(resuming(try("b")), idemstore.Busy, 3)
		c.pass(1.5)
		c.want(resuming(try("b")), idemstore.Takeover, 4)
		c.release("b")
		c.parked()
	}},
	{"a resumed record is its owner's: claimed again with the token, extended and completed by no other", []Feature{OwnToken, Leases}, func(c *C) {
		c.park()
		c.want(resuming(c.brief("a", 1)), idemstore.Won, 1)
		c.powerless("stranger")
		c.want(resuming(c.brief("a", 1)), idemstore.Mine, 1)
		c.is("extend", c.Store.Extend(background, theKey, "a", 4*c.unit), nil)
		c.pass(2)
		c.want(resuming(try("b")), idemstore.Busy, 1)
		c.complete("a", nil)
		c.powerless("b")
		if rec := c.want(try("b"), idemstore.Finished, 1); rec.State != idemstore.Done {
			c.fatalf("state %q, want done", rec.State)
		}
	}},
	{"a resumed record is not moved before its lease ends, and then as a parked or a running one", []Feature{Leases}, func(c *C) {
		for _, state := range from(idemstore.Parked, idemstore.Processing) {
			c.move(idemstore.Transition{From: from(idemstore.Absent, idemstore.Dead), To: idemstore.Parked})
			if rec := c.claim(resuming(c.brief("a", 2))); rec.Verdict != idemstore.Won {
				c.fatalf("verdict %v, want won", rec.Verdict)
			}
			t := idemstore.Transition{From: from(state), To: idemstore.Dead}
			c.is("transition", c.Store.Transition(background, theKey, t), idemstore.ErrConflict)
			c.pass(2.5)
			c.is("transition", c.Store.Transition(background, theKey, idemstore.Transition{From: from(idemstore.Released, idemstore.Done), To: idemstore.Dead}), idemstore.ErrConflict)
			c.move(t)
			c.powerless("a")
		}
	}},
	{"a parked record does not live shorter for having been resumed", nil, func(c *C) {
		for _, kept := range []time.Duration{0, 6 * c.unit} {
			c.move(idemstore.Transition{From: from(idemstore.Absent, idemstore.Parked), To: idemstore.Parked, Retention: kept})
			cl := resuming(c.brief("a", 1))
			cl.Retention = c.unit
			for range 2 {
				if rec := c.claim(cl); rec.Verdict != idemstore.Won {
					c.fatalf("verdict %v, want won", rec.Verdict)
				}
				c.release("a")
			}
			c.pass(4)
			c.parked()
		}
		c.pass(3)
		if rec := c.claim(try("a")); rec.Verdict != idemstore.Won {
			c.fatalf("verdict %v after the retention, want won", rec.Verdict)
		}
		c.release("a")
	}},
	{"a resumed record is compared by its fingerprint", nil, func(c *C) {
		c.park()
		cl := resuming(try("a"))
		cl.Fingerprint = "one"
		if rec := c.claim(cl); rec.Verdict != idemstore.Won {
			c.fatalf("verdict %v, want won", rec.Verdict)
		}
		c.complete("a", nil)
		cl.Fingerprint = "two"
		if rec := c.claim(cl); rec.Verdict != idemstore.Mismatch {
			c.fatalf("verdict %v, want mismatch", rec.Verdict)
		}
	}},
}
