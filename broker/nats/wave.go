package nats

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// noStream is how often, and after which waits, messages that no stream answered
// for are sent again: one that was just made or changed is known a moment before
// it listens.
var noStream = backoff.Policy{Initial: 20 * time.Millisecond, Max: 500 * time.Millisecond, Multiplier: 2}

const noStreamTries = 6

// sendWaves sends msgs in waves that hold one message of a topic and key each,
// so that none is on its way before its predecessor was stored. Messages
// without a key are all in the first. It returns an error where a message has
// failed other than for good; no later one of its key was sent then.
func (p *publisher) sendWaves(ctx context.Context, msgs []outgoing) error {
	var failed error
	broken := map[lane]bool{}
	unheard := 0
	for left := msgs; len(left) > 0; {
		wave, later := nextWave(left)
		p.sendWave(ctx, wave)
		again := later[:0:0]
		for _, m := range wave {
			err := *m.result
			switch {
			case err == nil || failure.IsPermanent(err):
			case errors.Is(err, errNoStream) && unheard < noStreamTries:
				again = append(again, m)
			default:
				failed = err
				broken[m.lane()] = m.key != ""
			}
		}
		if len(again) > 0 {
			unheard++
			if failed = p.listenAgain(ctx, again, unheard); failed != nil {
				return p.giveUp(ctx, later, failed)
			}
			later = append(again, later...) // a message that comes first of its key comes first again
		}
		left = later[:0:0]
		for _, m := range later {
			if broken[m.lane()] {
				*m.result = p.explain(ctx, "publish", errNotSent)
			} else {
				left = append(left, m)
			}
		}
	}
	return failed
}

// listenAgain waits and makes sure that the streams of msgs exist.
func (p *publisher) listenAgain(ctx context.Context, msgs []outgoing, tries int) error {
	if err := backoff.Wait(ctx, noStream.Delay(tries)); err != nil {
		return err
	}
	js, err := p.link.get(ctx)
	if err != nil {
		return err
	}
	topics := map[string]bool{}
	for _, m := range msgs {
		if topic := m.msg.Subject; !topics[topic] {
			topics[topic] = true
			if _, err := p.ensureStream(ctx, js, topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// giveUp leaves msgs unsent. What was sent has its result.
func (p *publisher) giveUp(ctx context.Context, msgs []outgoing, err error) error {
	for _, m := range msgs {
		*m.result = p.explain(ctx, "publish", errNotSent)
	}
	return err
}

// deepest returns how many waves msgs are.
func deepest(msgs []outgoing) (most int) {
	count := make(map[lane]int, len(msgs))
	for _, m := range msgs {
		n := 1
		if m.key != "" {
			n = count[m.lane()] + 1
			count[m.lane()] = n
		}
		most = max(most, n)
	}
	return most
}

// nextWave splits msgs, whose order it keeps.
func nextWave(msgs []outgoing) (wave, later []outgoing) {
	seen := map[lane]bool{}
	for _, m := range msgs {
		if l := m.lane(); m.key != "" && seen[l] {
			later = append(later, m)
		} else {
			seen[l] = true
			wave = append(wave, m)
		}
	}
	return wave, later
}

// lane is what has an order.
type lane struct{ topic, key string }

func (m outgoing) lane() lane { return lane{m.msg.Subject, m.key} }

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
		*m.result = nil // what has no answer is settled below
		sent++
	}
	answered := make([]bool, sent)
	for left := sent; left > 0; {
		a := f.await(wait)
		switch {
		case a.index < 0: // nothing more will come
			for i := range answered {
				if !answered[i] {
					p.settle(ctx, msgs[i:i+1], a.err)
				}
			}
			return
		case a.index >= sent || answered[a.index]:
			continue
		}
		answered[a.index] = true
		left--
		if a.err != nil {
			p.settle(ctx, msgs[a.index:a.index+1], a.err)
		}
	}
}
