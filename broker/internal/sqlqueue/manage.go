package sqlqueue

import (
	"context"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
)

// leaseGroup names the group in the table of leases, and its signal in the hub.
func leaseGroup(id int64) string { return "queue" + strconv.FormatInt(id, 10) }

// lobby is where the members of the group in this process hear of each other.
func (s *subscription) lobby() string { return s.store.tables.lease + leaseGroup(s.groupID) }

const (
	// closingPoll is how often it is looked whether a closing claim is done.
	closingPoll = 20 * time.Millisecond
	// joiningPoll is how often a member without a shard looks for one.
	joiningPoll = 500 * time.Millisecond
)

// manage keeps the leases and makes the claims fit them, until ctx ends.
func (s *subscription) manage(ctx context.Context) {
	changed, stop := s.hub.await(s.lobby())
	defer stop()
	failures, next := 0, time.Time{}
	joined := false
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(next) {
			before := s.leases.Count()
			err := s.tick(ctx)
			if ctx.Err() != nil {
				return
			}
			s.health.report("renewing", err)
			next = now.Add(s.lease / 4)
			if failures++; err == nil {
				failures = 0
				if !joined || s.leases.Count() < before { // somebody has come, or something is free
					joined = true
					s.hub.signal(s.lobby(), changed)
				}
				if s.leases.Count() == 0 {
					next = now.Add(min(s.lease/4, joiningPoll))
				}
			} else {
				next = time.Now().Add(min(s.lease/4, reconnect.Delay(failures)))
			}
		}
		returned, wait := s.reconcile()
		if returned {
			next = time.Time{} // the next tick gives them back
			continue
		}
		timer := time.NewTimer(min(wait, max(time.Until(next), 0)))
		select {
		case <-timer.C:
		case <-s.kick: // a lease is lost: are the others?
			next = time.Time{}
		case <-changed:
			next = time.Time{}
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (s *subscription) tick(ctx context.Context) error {
	tickCtx, cancel := context.WithTimeout(ctx, s.lease/2)
	defer cancel()
	err := s.store.retried(tickCtx, func() error {
		_, err := s.leases.Tick(s.store.unbroken(tickCtx))
		return err
	})
	return s.store.mark(tickCtx, "renew the leases", err)
}

// reconcile opens, closes and ends claims as their leases are by now. It reports
// whether any was returned, and how long nothing will change by itself.
func (s *subscription) reconcile() (returned bool, wait time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = s.lease
	for shard, c := range s.claims {
		until := s.leases.Until(c.held)
		switch {
		case !until.After(now):
			s.end(c)
		case c.state == open && s.leases.Leaving(c.held):
			c.state, c.since = closing, now
		}
		wait = min(wait, max(until.Sub(now), 0))
		switch {
		case c.state == closing && now.Sub(c.since) > s.lease:
			s.end(c) // a handler that takes that long does not keep others waiting
			fallthrough
		case c.state == dead, c.state == closing && !c.busy():
			s.end(c)
			delete(s.claims, shard)
			s.leases.Return([]lease.Held{c.held})
			returned = true
		case c.state == closing:
			wait = min(wait, closingPoll)
		}
	}
	gained := s.leases.Borrow(func(int) bool { return true }, s.lease/10)
	for _, h := range gained {
		s.claims[h.Part] = newClaim(h)
		wait = min(wait, time.Until(h.Until))
	}
	if len(gained) > 0 {
		poke(s.room)
	}
	return returned, max(wait, time.Millisecond)
}

// end makes a claim dead: what is under way is cancelled, and its Ack is none
// any more. The mutex is held.
func (s *subscription) end(c *claim) {
	if c.state == dead {
		return
	}
	c.state = dead
	for _, i := range c.items {
		if i.state == out {
			// The dispatcher offers it again, and the gate drops it. Who sees that the
			// context has ended can Ack no more.
			i.msg.Nack()
			i.release()
		}
	}
	poke(s.toFlush) // what was acked of it is given up
}
