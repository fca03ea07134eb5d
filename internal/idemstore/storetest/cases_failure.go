package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// operations are the five, each on theKey with token.
func (c *C) operations(ctx context.Context, token string) map[string]error {
	_, claim := c.Store.Claim(ctx, try(token))
	return map[string]error{
		"claim":      claim,
		"extend":     c.Store.Extend(ctx, theKey, token, long),
		"complete":   c.Store.Complete(ctx, theKey, token, []byte("x"), long),
		"release":    c.Store.Release(ctx, theKey, token),
		"transition": c.Store.Transition(ctx, theKey, idemstore.Transition{From: from(idemstore.Absent, idemstore.Released), To: idemstore.Dead}),
	}
}

var failureCases = []testCase{
	{"a store that is away says so and changes nothing", []Feature{Outage}, func(c *C) {
		c.want(try("a"), idemstore.Won, 1)
		back := c.Away()
		for verb, err := range c.operations(background, "a") {
			if !failure.IsUnavailable(err) || errors.Is(err, idemstore.ErrLeaseLost) || errors.Is(err, idemstore.ErrConflict) {
				c.fatalf("%s while away: error %v, want one marked as unavailable", verb, err)
			}
		}
		back()
		c.want(try("b"), idemstore.Busy, 1)
		c.complete("a", nil)
		c.want(try("b"), idemstore.Finished, 1)
	}},
	{"an ended context is an error of its own and changes nothing", nil, func(c *C) {
		cancelled, cancel := context.WithCancel(background)
		cancel()
		late, cancel := context.WithDeadline(background, time.Unix(1, 0))
		defer cancel()
		for _, ctx := range []context.Context{cancelled, late} {
			for verb, err := range c.operations(ctx, "a") {
				// That nothing is claimed can be known without the store.
				if !errors.Is(err, ctx.Err()) && !errors.Is(err, idemstore.ErrLeaseLost) || failure.IsUnavailable(err) {
					c.fatalf("%s with an ended context: error %v, want %v", verb, err, ctx.Err())
				}
			}
		}
		c.want(try("b"), idemstore.Won, 1)
		c.complete("b", nil)
	}},
	{"a record that was never claimed can be neither extended, completed nor released", nil, func(c *C) {
		c.powerless("a")
		c.want(try("a"), idemstore.Won, 1)
		c.complete("a", nil)
	}},
}
