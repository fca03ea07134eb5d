package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// tell sends what the jobs have to tell, as one notification, and saves that. It
// reserves a place for it where id, of a reservation, is empty.
func (l *lane) tell(ctx context.Context, s State, jobs []*job, id string) error {
	note := jobs[0].note
	if len(jobs) > 1 {
		note = digestOf(l.channel.name, jobs)
	}
	if id == "" {
		id = jobs[0].token
		if l.channel.NoResolved && note.Status == Resolved {
			return l.settle(ctx, jobs, result{told: true})
		}
		p, err := l.n.reserve(ctx, s, l.channel, id, false)
		if err != nil || !p.granted() {
			return errors.Join(err, l.settle(ctx, jobs, result{permit: p}))
		}
	}
	err := l.send(ctx, note)
	if err != nil && ctx.Err() != nil {
		// It was interrupted: whether it arrived, nobody knows. What is left is
		// the drain's, or another replica's.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, relErr := l.n.release(after, s, l.channel, id, ending{err: err})
		return errors.Join(relErr, l.settle(after, jobs, result{}))
	}
	until, relErr := l.n.release(ctx, s, l.channel, id, ending{err: err})
	if err == nil {
		l.n.count(func(s *Stats) {
			s.Sent++
			if len(jobs) > 1 {
				s.Digested += int64(len(jobs))
			}
		})
		return errors.Join(relErr, l.settle(ctx, jobs, result{told: true}))
	}
	l.n.plan.cfg.Logger.Warn("alert channel failed", "channel", l.channel.name, "alert", note.Name, "error", err)
	return errors.Join(relErr, l.settle(ctx, jobs, result{err: err, permit: permit{until: until}}))
}

func (l *lane) send(ctx context.Context, note Notification) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.n.plan.cfg.SendTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("channel %s panicked with a %T", l.channel.name, r) // whose text may hold a secret
		}
	}()
	if err := l.channel.Sender.Send(ctx, note); err != nil {
		return fmt.Errorf("send alert %s: %w", note.Name, err)
	}
	return nil
}

// result is how telling ended. The zero value gives the leases back.
type result struct {
	told   bool
	err    error  // of the Sender
	permit permit // where it was not granted, or the Sender said until when
}

var pause = backoff.Policy{Initial: time.Second, Max: time.Minute, Multiplier: 2}

// settle writes how it ended, again and again as long as the leases last: what
// was sent and is not saved would be sent twice.
func (l *lane) settle(ctx context.Context, jobs []*job, r result) error {
	ctx, cancel := context.WithTimeout(ctx, l.n.lease())
	defer cancel()
	jobs = slices.Clone(jobs)
	for try := 1; ; try++ {
		var last error
		jobs = slices.DeleteFunc(jobs, func(j *job) bool {
			gaveUp := false
			err := l.n.changeGroup(ctx, j.state, j.id, func(g *group, now time.Time) (write bool) {
				write, gaveUp = l.apply(g, j, r, now)
				return write
			})
			last = errors.Join(last, err)
			if gaveUp && err == nil {
				l.n.count(func(s *Stats) { s.Failed++ })
			}
			return err == nil
		})
		if last == nil {
			return nil
		}
		if backoff.Wait(ctx, pause.Delay(try)) != nil {
			return last
		}
	}
}

// apply writes the result of j into its group, if it still holds the lease, and
// says whether that gave the notification up.
func (l *lane) apply(g *group, j *job, r result, now time.Time) (write, gaveUp bool) {
	o := g.Outlet[l.channel.name]
	if o == nil || o.Lease != j.token {
		return false, false
	}
	o.Lease, o.LeaseUntil = "", time.Time{}
	v := verdictOf(r.err)
	switch {
	case r.told:
		count := j.count
		if !g.Begun.Equal(j.began) {
			count = 0
		}
		*o = outlet{At: now, Firing: j.firing, Severity: j.severity, Count: count}
	case r.permit.broken, r.err != nil && v.Permanent:
		o.Failing, o.Attempts, o.NotBefore, gaveUp = true, 0, latest(r.permit.until, now), r.err != nil
	case !r.permit.granted():
		o.Deferred, o.NotBefore = true, r.permit.until
	case r.err == nil: // interrupted: neither told nor refused
	case !v.Retryable: // not this one, but others may be
		o.Failing, o.Attempts, o.NotBefore, gaveUp = true, 0, now.Add(l.channel.Repeat), true
	case o.Attempts+1 >= l.n.plan.cfg.MaxAttempts:
		o.Failing, o.Attempts, o.NotBefore, gaveUp = true, 0, now.Add(l.channel.GroupInterval), true
	default:
		o.Attempts++
		o.NotBefore = now.Add(pause.Delay(o.Attempts))
	}
	return true, gaveUp
}
