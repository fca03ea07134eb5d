package amqp

import (
	"context"
	"time"
)

// sendAll sends items in their order, after one message for each topic that is
// not known to have a queue: where one is bound while a batch is under way,
// the group would otherwise begin in the middle of a key.
func (d *driver) sendAll(ctx context.Context, p *publisher, items []*item) error {
	probes, rest, waves := d.plan(items)
	if len(probes) > 0 {
		if err := p.send(ctx, probes, !d.drop, waves); err != nil {
			return err
		}
		rest = refuse(rest, nil, func(it *item) bool {
			_, returned := p.returned[it.topic]
			return returned || waves && blocked(probes, it)
		})
	}
	if !waves {
		if len(rest) == 0 {
			return nil
		}
		return p.send(ctx, rest, !d.drop, false)
	}
	for len(rest) > 0 {
		var wave []*item
		wave, rest = nextWave(rest)
		if err := p.send(ctx, wave, !d.drop, true); err != nil {
			return err
		}
		rest = refuse(rest, nil, func(it *item) bool { return blocked(wave, it) })
	}
	return nil
}

// waryFor is how long a topic is published in waves after a refusal: a queue
// that was full may well be full again.
const waryFor = time.Minute

// plan takes the first message of each topic without a known queue out of
// items. Waves is true where a topic has refused something lately.
func (d *driver) plan(items []*item) (probes, rest []*item, waves bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rest = items
	probed := map[string]struct{}{}
	for i, it := range items {
		if len(d.wary) > 0 && !waves {
			refused, ever := d.wary[it.topic]
			waves = ever && time.Since(refused) < waryFor
		}
		_, probing := probed[it.topic]
		if probe := !probing && !d.topics[it.topic]; probe {
			if probes == nil {
				rest = append([]*item(nil), items[:i]...)
			}
			probed[it.topic] = struct{}{}
			probes = append(probes, it)
		} else if probes != nil {
			rest = append(rest, it)
		}
	}
	return probes, rest, waves
}

// nextWave takes the first message of each key, and all without a key.
func nextWave(items []*item) (wave, rest []*item) {
	taken := map[topicName]struct{}{}
	for _, it := range items {
		key := topicName{it.topic, it.key}
		if _, behind := taken[key]; behind && it.key != "" {
			rest = append(rest, it)
			continue
		}
		taken[key] = struct{}{}
		wave = append(wave, it)
	}
	return wave, rest
}

// blocked reports whether a message of it's key in the wave was refused.
func blocked(wave []*item, it *item) bool {
	for _, sent := range wave {
		if sent.err != nil && it.key != "" && sent.key == it.key && sent.topic == it.topic {
			return true
		}
	}
	return false
}
