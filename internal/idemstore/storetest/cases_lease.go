package storetest

import "github.com/sluicegate/sluicegate/internal/idemstore"

var leaseCases = []testCase{
	{"a claim on a running record is busy and learns what is left of the lease", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 4), idemstore.Won, 1)
		c.pass(1)
		rec := c.want(try("b"), idemstore.Busy, 1)
		if rec.RetryIn > 3*c.unit || rec.RetryIn < c.unit {
			c.fatalf("%v are left of the lease, want about %v", rec.RetryIn, 3*c.unit)
		}
		if rec.State != idemstore.Processing {
			c.fatalf("state %q, want processing", rec.State)
		}
	}},
	{"a losing claim leaves the lease as it is", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 2), idemstore.Won, 1)
		c.pass(0.5)
		c.want(c.brief("b", 8), idemstore.Busy, 1)
		c.pass(2)
		c.want(try("c"), idemstore.Takeover, 2)
	}},
	{"a losing claim does not keep a finished record alive", nil, func(c *C) {
		cl := try("a")
		cl.Retention = 2 * c.unit
		c.want(cl, idemstore.Won, 1)
		c.is("complete", c.Store.Complete(background, theKey, "a", nil, cl.Retention), nil)
		c.pass(1)
		c.want(try("b"), idemstore.Finished, 1)
		c.pass(1.5)
		c.want(try("c"), idemstore.Won, 1)
		c.release("c")
	}},
	{"after the lease the next claim takes over with the next attempt", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 2), idemstore.Won, 1)
		c.pass(1)
		c.want(try("b"), idemstore.Busy, 1)
		c.pass(1.5)
		c.want(try("b"), idemstore.Takeover, 2)
		c.want(try("c"), idemstore.Busy, 2)
	}},
	{"an extended lease keeps others away, and ends", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 2), idemstore.Won, 1)
		c.pass(1)
		c.is("extend", c.Store.Extend(background, theKey, "a", 3*c.unit), nil)
		c.pass(1.5)
		c.want(try("b"), idemstore.Busy, 1)
		c.pass(2)
		c.want(try("b"), idemstore.Takeover, 2)
	}},
	{"an extension does not shorten a lease", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 6), idemstore.Won, 1)
		c.is("extend", c.Store.Extend(background, theKey, "a", c.unit), nil)
		c.pass(2)
		c.want(try("b"), idemstore.Busy, 1)
	}},
	{"an extended record lives on past its first retention", []Feature{Leases}, func(c *C) {
		cl := c.brief("a", 2)
		cl.Retention = c.unit
		c.want(cl, idemstore.Won, 1)
		for range 4 {
			c.pass(1.5)
			c.is("extend", c.Store.Extend(background, theKey, "a", 2*c.unit), nil)
		}
		c.complete("a", nil)
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"a lease that ended can be extended and completed while nobody has claimed", []Feature{Leases}, func(c *C) {
		c.want(c.brief("a", 1), idemstore.Won, 1)
		c.pass(2)
		c.is("extend", c.Store.Extend(background, theKey, "a", c.unit), nil)
		c.pass(2)
		c.complete("a", nil)
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"after a takeover the former owner can neither extend, complete nor release", []Feature{Leases, Results}, func(c *C) {
		c.want(c.brief("a", 1), idemstore.Won, 1)
		c.pass(2)
		c.want(try("b"), idemstore.Takeover, 2)
		c.powerless("a")
		c.want(try("c"), idemstore.Busy, 2)
		c.complete("b", []byte("good"))
		c.powerless("a")
		if rec := c.want(try("c"), idemstore.Finished, 2); string(rec.Result) != "good" {
			c.fatalf("result %q, want that of the owner", rec.Result)
		}
	}},
	{"an unfinished record keeps its attempt for the retention, and is then forgotten", []Feature{Leases}, func(c *C) {
		cl := c.brief("a", 1)
		cl.Retention = 3 * c.unit
		c.want(cl, idemstore.Won, 1)
		c.pass(2)
		cl.Token = "b"
		c.want(cl, idemstore.Takeover, 2)
		c.pass(4.5)
		c.powerless("b")
		c.want(try("c"), idemstore.Won, 1)
	}},
}
