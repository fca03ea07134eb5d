package amqp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	if !slices.ContainsFunc(items, tooLarge) {
		return items
	}
	return refuse(items, failure.Permanent(fmt.Errorf("message is too large for rabbitmq: metadata must fit into a frame of %d bytes, "+
		"and payloads into max_message_size", frame)), tooLarge)
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
