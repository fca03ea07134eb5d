package storetest

import (
	"bytes"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

var settleCases = []testCase{
	{"a released record is claimed by the next", nil, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
		if rec := c.claim(try("b")); rec.Verdict != idemstore.Won {
			c.fatalf("verdict %v, want won", rec.Verdict)
		}
		c.complete("b", nil)
	}},
	{"a release keeps the attempt number", []Feature{AttemptKept}, func(c *C) {
		for n := int64(1); n <= 4; n++ {
			c.want(try("a"), idemstore.Won, n)
			c.release("a")
		}
	}},
	{"a released record keeps its attempt number for the retention only", []Feature{AttemptKept}, func(c *C) {
		cl := c.brief("a", 1)
		cl.Retention = 3 * c.unit
		c.want(cl, idemstore.Won, 1)
		c.release("a")
		c.pass(2)
		cl.Token = "b"
		c.want(cl, idemstore.Won, 2)
		c.release("b")
		c.pass(4.5)
		c.want(try("c"), idemstore.Won, 1)
	}},
	{"a stranger can neither extend, complete nor release", nil, func(c *C) {
		c.powerless("stranger")
		c.want(try("a"), idemstore.Won, 1)
		c.powerless("stranger")
		c.powerless("")
		c.complete("a", nil)
		c.powerless("stranger")
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"who has released can neither extend, complete nor release", nil, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
		c.powerless("a")
		if rec := c.claim(try("b")); rec.Verdict != idemstore.Won {
			c.fatalf("verdict %v, want won", rec.Verdict)
		}
		c.powerless("a")
		c.complete("b", nil)
	}},
	{"completing again succeeds and keeps the first result", []Feature{OwnToken, Results}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", []byte("first"))
		c.complete("a", []byte("second"))
		if rec := c.want(try("b"), idemstore.Finished, 1); string(rec.Result) != "first" {
			c.fatalf("result %q, want the first", rec.Result)
		}
	}},
	{"a completed record can neither be extended nor released", nil, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", nil)
		c.is("extend", c.Store.Extend(background, theKey, "a", long), idemstore.ErrLeaseLost)
		c.is("release", c.Store.Release(background, theKey, "a"), idemstore.ErrLeaseLost)
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"a duplicate receives the result byte by byte, nil and empty apart", []Feature{Results}, func(c *C) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for name, result := range map[string][]byte{
			"nil": nil, "empty": {}, "every byte": all, "a megabyte": bytes.Repeat(all, 4096), "one zero": {0},
		} {
			cl := try("a")
			cl.Key.ID = name
			c.want(cl, idemstore.Won, 1)
			c.is("complete", c.Store.Complete(background, cl.Key, "a", result, long), nil)
			cl.Token = "b"
			rec := c.want(cl, idemstore.Finished, 1)
			if !bytes.Equal(rec.Result, result) || (rec.Result == nil) != (result == nil) {
				c.fatalf("result %q came back with %d bytes (nil: %v)", name, len(rec.Result), rec.Result == nil)
			}
		}
	}},
	{"a result is the store's own copy", []Feature{Results}, func(c *C) {
		result := []byte("good")
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", result)
		copy(result, "evil")
		copy(c.want(try("b"), idemstore.Finished, 1).Result, "evil")
		if rec := c.want(try("b"), idemstore.Finished, 1); string(rec.Result) != "good" {
			c.fatalf("result %q, want what was completed", rec.Result)
		}
	}},
	{"a finished record protects for its retention, and is then forgotten", nil, func(c *C) {
		cl := try("a")
		cl.Retention = 4 * c.unit
		c.want(cl, idemstore.Won, 1)
		c.is("complete", c.Store.Complete(background, theKey, "a", nil, cl.Retention), nil)
		c.pass(3)
		c.want(try("b"), idemstore.Finished, 1)
		c.pass(1.5)
		c.powerless("a")
		c.want(try("b"), idemstore.Won, 1)
		c.release("b")
	}},
	{"a finished record outlives the terms of its claim", []Feature{Leases}, func(c *C) {
		cl := c.brief("a", 1)
		cl.Retention = c.unit
		c.want(cl, idemstore.Won, 1)
		c.is("complete", c.Store.Complete(background, theKey, "a", nil, 5*c.unit), nil)
		c.pass(4)
		c.want(try("b"), idemstore.Finished, 1)
	}},
}
