package alert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// MaxDigest is how many groups Notification.Digest names at most.
const MaxDigest = 20

var errElsewhere = errors.New("another replica is at it")

// digest tells of groups that were held back, in one notification. One replica
// does so at a time.
func (l *lane) digest(ctx context.Context, s State, items []item, force bool) error {
	id := uuid.NewString()
	p, err := l.n.reserve(ctx, s, l.channel, id, true)
	if p.busy {
		return errElsewhere // what it leaves is still due when we look again
	}
	if err != nil || !p.granted() {
		return errors.Join(err, l.postpone(ctx, items, p))
	}
	var jobs []*job
	for _, it := range items {
		j, claimErr := l.claim(ctx, it, force)
		err = errors.Join(err, claimErr)
		if j != nil && l.channel.NoResolved && j.note.Status == Resolved {
			err = errors.Join(err, l.settle(ctx, []*job{j}, result{told: true}))
			j = nil
		}
		if j != nil {
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 { // another was faster, or they are over
		_, relErr := l.n.release(ctx, s, l.channel, id, ending{unused: true})
		return errors.Join(err, relErr)
	}
	return errors.Join(err, l.tell(ctx, s, jobs, id))
}

// postpone has groups wait until a permit can be had.
func (l *lane) postpone(ctx context.Context, items []item, p permit) error {
	if p.granted() {
		return nil
	}
	var errs []error
	for _, it := range items {
		errs = append(errs, l.n.changeGroup(ctx, it.state, it.id, func(g *group, now time.Time) bool {
			o := g.Outlet[l.channel.name]
			if o == nil || o.LeaseUntil.After(now) {
				return false
			}
			o.NotBefore, o.Deferred = latest(o.NotBefore, p.until), true
			o.Failing = o.Failing || p.broken
			return true
		}))
	}
	return errors.Join(errs...)
}

func digestOf(channel string, jobs []*job) Notification {
	n := Notification{Status: Resolved, Name: DigestName, Severity: Info, At: jobs[0].note.At, Fingerprint: hash("digest/" + channel)}
	for i, j := range jobs {
		if j.note.Status == Firing {
			n.Status = Firing
		}
		n.Severity = higher(n.Severity, j.note.Severity)
		n.Count += j.note.New
		n.First, n.Last = earlier(n.First, j.note.First), latest(n.Last, j.note.Last)
		if i >= MaxDigest {
			n.Omitted++
			continue
		}
		n.Digest = append(n.Digest, Digest{
			Status: j.note.Status, Name: j.note.Name, Severity: j.note.Severity, Handler: j.note.Handler, Topic: j.note.Topic, Count: j.note.New,
		})
	}
	n.New = n.Count
	n.Summary = fmt.Sprintf("%d alerts came faster than this channel takes them.", len(jobs))
	return n
}
