package nats

import (
	"context"
	"strconv"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// sendWaves sends msgs in waves that hold one message of a topic and key each,
// so that none is on its way before its predecessor was stored. Messages
// without a key are all in the first. It returns an error where a message has
// failed other than for good; no later one of its key was sent then.
func (p *publisher) sendWaves(ctx context.Context, msgs []outgoing) error {
	var failed error
	broken := map[lane]bool{}
	for left := msgs; len(left) > 0; {
		var wave, later []outgoing
		seen := map[lane]bool{}
		for _, m := range left {
			l := lane{m.msg.Subject, m.key}
			switch {
			case broken[l]:
				*m.result = p.explain(ctx, "publish", errNotSent)
			case m.key != "" && seen[l]:
				later = append(later, m)
			default:
				seen[l] = true
				wave = append(wave, m)
			}
		}
		if len(wave) == 0 {
			break
		}
		p.sendWave(ctx, wave)
		for _, m := range wave {
			if err := *m.result; err != nil && !failure.IsPermanent(err) {
				failed = err
				if m.key != "" {
					broken[lane{m.msg.Subject, m.key}] = true
				}
			}
		}
		left = later
	}
	return failed
}

// lane is what has an order.
type lane struct{ topic, key string }

// sendWave sends msgs side by side and writes the result of each.
func (p *publisher) sendWave(ctx context.Context, msgs []outgoing) {
	wait, cancel := context.WithTimeoutCause(ctx, p.publishTimeout, errTimeout)
	defer cancel()
	f, nc, err := p.takeOff(wait, len(msgs))
	if err != nil {
		p.settle(ctx, msgs, err)
		return
	}
	defer p.land(f)
	replies := p.replies(f)
	sent := 0
	for i, m := range msgs {
		m.msg.Reply = replies + strconv.Itoa(i)
		if err := nc.PublishMsg(m.msg); err != nil {
			p.settle(ctx, msgs[i:], err)
			break
		}
		*m.result = errLost // until it is acknowledged
		sent++
	}
	var open []outgoing
	for range sent {
		a := f.await(wait)
		if a.index < 0 { // nothing more will come
			for _, m := range msgs[:sent] {
				if *m.result == errLost { //nolint:errorlint // the mark itself
					open = append(open, m)
				}
			}
			p.settle(ctx, open, a.err)
			return
		}
		if a.index >= sent {
			continue
		}
		if a.err == nil {
			*msgs[a.index].result = nil
		} else {
			p.settle(ctx, msgs[a.index:a.index+1], a.err)
		}
	}
}
