package storetest

import (
	"strings"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

var keyCases = []testCase{
	{"keys that look alike are different records", nil, func(c *C) {
		prefix := strings.Repeat("k", 300)
		keys := []idemstore.Key{
			{Handler: "a:b", ID: "c"}, {Handler: "a", ID: "b:c"}, {Handler: "a", ID: "b"}, {Handler: "a:b:c", ID: "d"},
			{Handler: "h", ID: "Case"}, {Handler: "h", ID: "case"}, {Handler: "h", ID: "case "}, {Handler: "H", ID: "case"},
			{Handler: "h", ID: "é"}, {Handler: "h", ID: "e\u0301"}, {Handler: "h", ID: "e"},
			{Handler: "h", ID: "nul\x00"}, {Handler: "h", ID: "nul"}, {Handler: "h", ID: "\xff"}, {Handler: "h", ID: "\xfe"},
			{Handler: "h", ID: prefix + "1"}, {Handler: "h", ID: prefix + "2"}, {Handler: "h", ID: prefix[:255]},
			{Handler: "1", ID: "1:1"}, {Handler: "1:1", ID: "1"}, {Handler: "h", ID: "'; DROP TABLE x; --"}, {Handler: "h", ID: "%s{tag}*"},
		}
		for i, k := range keys {
			cl := try("a")
			cl.Key = k
			if rec := c.claim(cl); rec.Verdict != idemstore.Won {
				c.fatalf("key %d of %d: verdict %v, want won: it is taken for an earlier one", i, len(keys), rec.Verdict)
			}
			c.is("complete", c.Store.Complete(background, k, "a", nil, long), nil)
		}
		for i, k := range keys {
			cl := try("b")
			cl.Key = k
			if rec := c.claim(cl); rec.Verdict != idemstore.Finished {
				c.fatalf("key %d of %d: verdict %v, want finished: it is not found again", i, len(keys), rec.Verdict)
			}
		}
	}},
	{"a normalized key is the same record", nil, func(c *C) {
		k := idemstore.Key{Handler: "h", ID: strings.Repeat("long", 100)}
		short, err := k.Normalize()
		c.is("normalize", err, nil)
		cl := try("a")
		cl.Key = k
		c.want(cl, idemstore.Won, 1)
		c.is("complete", c.Store.Complete(background, short, "a", nil, long), nil)
		cl.Key, cl.Token = short, "b"
		c.want(cl, idemstore.Finished, 1)
	}},
	{"namespaces do not share records", nil, func(c *C) {
		if c.Other == nil {
			return // the driver has no namespaces but the keys' own
		}
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", nil)
		rec, err := c.Other.Claim(background, try("b"))
		c.is("claim elsewhere", err, nil)
		if rec.Verdict != idemstore.Won || rec.Attempt != 1 {
			c.fatalf("verdict %v, attempt %d elsewhere; want won, 1", rec.Verdict, rec.Attempt)
		}
		c.is("complete elsewhere", c.Other.Complete(background, theKey, "b", nil, long), nil)
	}},
	{"what cannot be stored is refused and changes nothing", nil, func(c *C) {
		for _, k := range []idemstore.Key{{Handler: "h"}, {ID: "x"}, {}, {Handler: strings.Repeat("h", 256), ID: "x"}, {Handler: "h\x00", ID: "x"}} {
			cl := try("a")
			cl.Key = k
			_, err := c.Store.Claim(background, cl)
			c.is("claim", err, idemstore.ErrInvalid)
			c.is("extend", c.Store.Extend(background, k, "a", long), idemstore.ErrInvalid)
			c.is("complete", c.Store.Complete(background, k, "a", nil, long), idemstore.ErrInvalid)
			c.is("release", c.Store.Release(background, k, "a"), idemstore.ErrInvalid)
			c.is("transition", c.Store.Transition(background, k, idemstore.Transition{From: from(idemstore.Absent), To: idemstore.Dead}), idemstore.ErrInvalid)
		}
		for name, spoil := range map[string]func(*idemstore.Claim){
			"long fingerprint":   func(cl *idemstore.Claim) { cl.Fingerprint = strings.Repeat("f", 65) },
			"negative retention": func(cl *idemstore.Claim) { cl.Retention = -1 },
			"negative attempt":   func(cl *idemstore.Claim) { cl.Attempt = -1 },
		} {
			cl := try("a")
			spoil(&cl)
			if _, err := c.Store.Claim(background, cl); !matches(err, idemstore.ErrInvalid) {
				c.fatalf("%s: error %v, want %v", name, err, idemstore.ErrInvalid)
			}
		}
		c.want(try("a"), idemstore.Won, 1)
		c.is("extend by nothing", c.Store.Extend(background, theKey, "a", 0), idemstore.ErrInvalid)
		c.is("complete for nothing", c.Store.Complete(background, theKey, "a", nil, 0), idemstore.ErrInvalid)
		c.complete("a", nil)
	}},
	{"a claim without a token or a lease, or with a long token, is refused", []Feature{Leases}, func(c *C) {
		cl := try("")
		_, err := c.Store.Claim(background, cl)
		c.is("claim without a token", err, idemstore.ErrInvalid)
		_, err = c.Store.Claim(background, try(strings.Repeat("t", 65)))
		c.is("claim with a long token", err, idemstore.ErrInvalid)
		cl = try("a")
		cl.Lease = 0
		_, err = c.Store.Claim(background, cl)
		c.is("claim without a lease", err, idemstore.ErrInvalid)
		c.want(try("a"), idemstore.Won, 1)
	}},
}
