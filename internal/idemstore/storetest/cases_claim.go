package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

func matches(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

var claimCases = []testCase{
	{"the first claim wins with attempt 1 in epoch 0", nil, func(c *C) {
		if rec := c.want(try("a"), idemstore.Won, 1); rec.Epoch != 0 {
			c.fatalf("epoch %d, want 0", rec.Epoch)
		}
		c.release("a")
	}},
	{"of many claims at the same time one wins", nil, manyClaim},
	{"of many claims at the same time on a released record one wins", nil, func(c *C) {
		c.want(try("first"), idemstore.Won, 1)
		c.release("first")
		manyClaim(c)
	}},
	{"of many claims at the same time on an ended lease one takes over", []Feature{Leases}, func(c *C) {
		c.want(c.brief("first", 1), idemstore.Won, 1)
		c.pass(1.5)
		manyClaim(c)
	}},
	{"a claim repeated with its token finds itself at the same attempt", []Feature{OwnToken}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.want(try("a"), idemstore.Mine, 1)
		c.want(try("b"), idemstore.Busy, 1)
		c.complete("a", nil)
	}},
	{"a claim repeated with its token after the lease is its own again and renewed", []Feature{OwnToken, Leases}, func(c *C) {
		c.want(c.brief("a", 1), idemstore.Won, 1)
		c.pass(1.5)
		c.want(try("a"), idemstore.Mine, 1)
		c.want(try("b"), idemstore.Busy, 1)
	}},
	{"a finished record is not claimed again, not even with its own token", nil, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", nil)
		for _, token := range []string{"a", "b"} {
			if rec := c.want(try(token), idemstore.Finished, 1); rec.State != idemstore.Done {
				c.fatalf("state %q, want done", rec.State)
			}
		}
	}},
	{"a claim gets at least the attempt that its caller has counted", nil, func(c *C) {
		cl := try("a")
		cl.Attempt = 7
		c.want(cl, idemstore.Won, 7)
		c.complete("a", nil)
		c.want(try("b"), idemstore.Finished, 7)
	}},
	{"another fingerprint is a mismatch on a finished record", nil, func(c *C) {
		cl := try("a")
		cl.Fingerprint = "one"
		c.want(cl, idemstore.Won, 1)
		c.complete("a", nil)
		cl.Token = "b"
		c.want(cl, idemstore.Finished, 1)
		cl.Fingerprint = "two"
		c.want(cl, idemstore.Mismatch, 1)
		cl.Fingerprint = ""
		c.want(cl, idemstore.Finished, 1)
	}},
	{"another fingerprint is a mismatch on a running or released record and changes nothing", []Feature{Leases, AttemptKept}, func(c *C) {
		cl, other := try("a"), try("b")
		cl.Fingerprint, other.Fingerprint = "one", "two"
		c.want(cl, idemstore.Won, 1)
		c.want(other, idemstore.Mismatch, 1)
		c.release("a")
		c.want(other, idemstore.Mismatch, 1)
		c.want(cl, idemstore.Won, 2)
	}},
	{"a record without a fingerprint takes the first that comes", []Feature{AttemptKept}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		c.release("a")
		cl := try("b")
		cl.Fingerprint = "one"
		c.want(cl, idemstore.Won, 2)
		c.release("b")
		cl.Fingerprint = "two"
		c.want(cl, idemstore.Mismatch, 2)
	}},
}

// manyClaim lets many claim theKey at once. The winner completes, so that
// drivers that make the others wait have an end to wait for.
func manyClaim(c *C) { manyOf(c, false) }

func manyOf(c *C, resume bool) {
	const many = 32
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		won     int
		strange []error
		start   = make(chan struct{})
	)
	for i := range many {
		wg.Go(func() {
			cl := try(fmt.Sprintf("many-%d", i))
			cl.Resume = resume
			<-start
			var rec idemstore.Record
			var err error
			for range 20 { // a lost race may be tried again
				if rec, err = c.Store.Claim(background, cl); !errors.Is(err, idemstore.ErrContended) {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				strange = append(strange, err)
			case rec.Verdict == idemstore.Won || rec.Verdict == idemstore.Takeover:
				won++
				if err := c.Store.Complete(background, theKey, cl.Token, nil, long); err != nil {
					strange = append(strange, err)
				}
			case rec.Verdict != idemstore.Busy && rec.Verdict != idemstore.Finished:
				strange = append(strange, errors.New("strange verdict"))
			}
		})
	}
	close(start)
	wg.Wait()
	if won != 1 || len(strange) > 0 {
		c.fatalf("%d of %d claims won, want 1; errors: %v", won, many, errors.Join(strange...))
	}
}
