package amqp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// frameSlack is what a header frame holds beside the headers.
const frameSlack = 64

// PublishBatch publishes msgs on one channel and then waits for the confirms.
func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(broker.ErrClosed) })()

	items := make([]item, len(msgs))
	open := make([]*item, 0, len(msgs))
	for i, m := range msgs {
		it := &items[i]
		it.topic, it.key = m.Topic, m.Message.Metadata.Get(header.Key)
		var err error
		if err = checkTopic(m.Topic); err == nil {
			it.message, it.headers, err = marshal(m.Message, d.maxBytes)
		}
		if err != nil {
			it.err = failure.Permanent(err)
			continue
		}
		open = append(open, it)
	}
	switch {
	case len(open) == 0:
	case !d.enter():
		refuse(open, failure.Unavailable(broker.ErrClosed), every)
	default:
		d.deliver(ctx, open)
		d.wg.Done()
	}
	return results(items)
}

// results gives each message its own, and none after a failure of its key.
func results(items []item) []error {
	var errs []error
	var failed map[topicName]struct{}
	for i := range items {
		it := &items[i]
		if it.confirmed && it.err == nil && failed == nil {
			continue
		}
		if errs == nil {
			errs = make([]error, len(items))
		}
		key := topicName{it.topic, it.key}
		if _, behind := failed[key]; behind && it.confirmed && it.key != "" {
			it.err = failure.Unavailable(errNotSent) // a duplicate later is better than a gap now
		}
		if errs[i] = it.err; it.err == nil || failure.IsPermanent(it.err) {
			continue
		}
		if failed == nil {
			failed = map[topicName]struct{}{}
		}
		failed[key] = struct{}{}
	}
	return errs
}

// refuse gives err to the items that pick chooses and returns the others.
func refuse(items []*item, err error, pick func(*item) bool) (rest []*item) {
	for _, it := range items {
		if pick(it) {
			it.err = err
		} else {
			rest = append(rest, it)
		}
	}
	return rest
}

func every(*item) bool { return true }

// deliver sends items and leaves each confirmed or with an error.
func (d *driver) deliver(ctx context.Context, items []*item) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		refuse(items, away(ctx, errNotSent), every)
		return
	}
	p, err := d.takePublisher(ctx)
	if err != nil {
		refuse(items, err, every)
		return
	}
	items = d.checkSizes(p, items)
	items = d.prepareTopics(ctx, p, items)
	err = d.sendAll(ctx, p, items)
	d.settle(ctx, p, items, err)
	d.giveBack(p, err == nil && ctx.Err() == nil)
}

// checkSizes refuses what the server of this connection cannot take.
func (d *driver) checkSizes(p *publisher, items []*item) []*item {
	d.mu.Lock()
	limit := d.limit
	d.mu.Unlock()
	frame := p.link.Config.FrameSize
	tooLarge := func(it *item) bool {
		return frame > 0 && it.headers > frame-frameSlack || limit > 0 && len(it.message.Body) > limit
	}
	for _, it := range items {
		if tooLarge(it) {
			err := failure.Permanent(fmt.Errorf("message is too large for rabbitmq: metadata must fit into a frame of %d bytes, and payloads into max_message_size", frame))
			return refuse(items, err, tooLarge)
		}
	}
	return items
}

// prepareTopics declares the topics that this driver has not used yet, and
// refuses the messages of those that it cannot.
func (d *driver) prepareTopics(ctx context.Context, p *publisher, items []*item) []*item {
	unknown := map[string]struct{}{}
	d.mu.Lock()
	for _, it := range items {
		if _, known := d.topics[it.topic]; !known {
			unknown[it.topic] = struct{}{}
		}
	}
	d.mu.Unlock()
	if len(unknown) == 0 {
		return items
	}
	defer context.AfterFunc(ctx, p.link.cut)()
	for topic := range unknown {
		if err := d.declareTopic(ctx, p.link, topic); err != nil {
			items = refuse(items, err, func(it *item) bool { return it.topic == topic })
			continue
		}
		d.mu.Lock()
		d.topics[topic] = d.drop
		d.mu.Unlock()
	}
	return items
}

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

var errNoGroup = failure.Unavailable(errors.New("no consumer group has been declared for the topic, so nobody would get the message: " +
	"subscribe first, name the groups in the parameter groups, or set unrouted=drop"))

// settle gives an error to what was not confirmed, and learns from what happened.
func (d *driver) settle(ctx context.Context, p *publisher, items []*item, err error) {
	reason := failure.Unavailable(errNotSent)
	if err != nil && !errors.Is(err, errNotSent) {
		reason = d.reason(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := d.limit
	for _, it := range items {
		_, returned := p.returned[it.topic]
		switch {
		case returned:
			// Which of the topic's messages came back is not told: all failed.
			it.err = errNoGroup
			delete(d.topics, it.topic)
		case it.confirmed && err == nil:
			d.topics[it.topic] = true
		case it.confirmed:
		case errors.Is(it.err, errNacked):
			it.err = failure.Unavailable(errNacked)
		case limit > 0 && len(it.message.Body) > limit:
			it.err = failure.Permanent(fmt.Errorf("message is larger than rabbitmq's max_message_size, %d bytes", limit))
		default:
			it.err = reason
			delete(d.topics, it.topic) // it may have been deleted
		}
	}
	for _, it := range items {
		if errors.Is(it.err, errNacked) {
			d.wary[it.topic] = time.Now()
		}
	}
}

var maxSize = regexp.MustCompile(`larger than configured max size (\d+)`)

// reason turns what ended a channel into an error for its messages.
func (d *driver) reason(ctx context.Context, err error) error {
	var exception *amqp091.Error
	if !errors.As(err, &exception) || ctx.Err() != nil {
		return away(ctx, err)
	}
	if found := maxSize.FindStringSubmatch(exception.Reason); found != nil {
		if limit, err := strconv.Atoi(found[1]); err == nil {
			d.mu.Lock()
			d.limit = limit
			d.mu.Unlock()
		}
		return failure.Unavailable(errNotSent)
	}
	if exception.Code == amqp091.AccessRefused {
		return fmt.Errorf("%w: rabbitmq does not let this user publish: %s", errSetup, exception.Reason)
	}
	return away(ctx, err)
}

// takePublisher returns one whose connection is open, as far as is known.
func (d *driver) takePublisher(ctx context.Context) (*publisher, error) {
	for {
		d.mu.Lock()
		n := len(d.idle)
		if n == 0 {
			d.mu.Unlock()
			return d.newPublisher(ctx)
		}
		p := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		if !p.ch.IsClosed() && !p.link.IsClosed() {
			clear(p.returned)
			return p, nil
		}
		d.retire(p)
	}
}

func (d *driver) giveBack(p *publisher, whole bool) {
	d.mu.Lock()
	keep := whole && !d.closed
	if keep {
		d.idle = append(d.idle, p)
	}
	d.mu.Unlock()
	if !keep {
		d.retire(p)
	}
}

// retire cuts a publisher's connection and waits for its end in the background.
func (d *driver) retire(p *publisher) {
	p.link.cut()
	d.wg.Go(p.link.leave)
}
