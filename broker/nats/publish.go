package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// fewWaves is how many waves are quicker than an atomic batch, which the server
// writes twice.
const fewWaves = 4

// chunk is how many messages are on their way at once in a call of
// PublishBatch, and the most that the server takes as an atomic batch.
const chunk = 1000

// PublishBatch publishes the messages of each stream as atomic batches or in
// waves, the streams side by side.
func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(broker.ErrClosed) })()

	results := make([]error, len(msgs))
	done := make(chan struct{})
	batches := d.prepare(ctx, msgs, results)
	for _, b := range batches {
		go func() {
			d.publishing.publish(ctx, b)
			done <- struct{}{}
		}()
	}
	for range batches {
		<-done
	}
	for _, err := range results {
		if err != nil {
			return results
		}
	}
	return nil
}

// outgoing is a message to be sent and where its result belongs.
type outgoing struct {
	msg    *nats.Msg
	key    string
	result *error
}

// outbox is what is to be published to one stream, in order.
type outbox struct {
	stream *streamRef
	msgs   []outgoing
}

// prepare makes messages of NATS' and finds their streams. What cannot be sent
// has its result already.
func (d *driver) prepare(ctx context.Context, msgs []broker.Outgoing, results []error) []*outbox {
	var boxes []*outbox
	byTopic := map[string]*outbox{}
	failed := map[string]error{}
	for i, m := range msgs {
		record, err := marshal(m.Topic, m.Message, d.maxMessageBytes, d.dedupe)
		if err != nil {
			results[i] = failure.Permanent(err)
			continue
		}
		box := byTopic[m.Topic]
		if box == nil && failed[m.Topic] == nil {
			if box, err = d.box(ctx, m.Topic, &boxes); err != nil {
				failed[m.Topic] = err
			} else {
				byTopic[m.Topic] = box
			}
		}
		if box == nil {
			results[i] = failed[m.Topic]
			continue
		}
		if limit := box.stream.maxMessage; limit > 0 && recordSize(record) > limit {
			results[i] = failure.Permanent(fmt.Errorf("message has %d bytes, more than stream %s takes, %d", recordSize(record), box.stream.name, limit))
			continue
		}
		box.msgs = append(box.msgs, outgoing{msg: record, key: m.Message.Metadata.Get(header.Key), result: &results[i]})
	}
	return boxes
}

// box returns the outbox of the stream of topic, a new one at the end of boxes
// if there is none yet.
func (d *driver) box(ctx context.Context, topic string, boxes *[]*outbox) (*outbox, error) {
	js, err := d.publishing.link.get(ctx)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, d.explain(ctx, "publish", errNotSent)
	}
	ref, err := d.ensureStream(ctx, js, topic)
	if err != nil {
		return nil, err
	}
	for _, b := range *boxes {
		if b.stream.name == ref.name {
			return b, nil
		}
	}
	b := &outbox{stream: ref}
	*boxes = append(*boxes, b)
	return b, nil
}

// recordSize is the size that the server compares with its limits.
func recordSize(m *nats.Msg) int {
	size := frame + len(m.Data)
	for name, values := range m.Header {
		size += len(name) + len(values[0]) + headerFrame
	}
	return size
}

// publish sends everything in b. After a chunk of which a message is in doubt,
// nothing more is sent.
func (p *publisher) publish(ctx context.Context, b *outbox) {
	for rest := b.msgs; len(rest) > 0; {
		part := rest[:min(chunk, len(rest))]
		rest = rest[len(part):]
		err := p.publishChunk(ctx, b.stream, part)
		if err == nil {
			continue
		}
		for _, m := range rest {
			*m.result = p.explain(ctx, "publish", errNotSent)
		}
		return
	}
}

// publishChunk returns an error where another result than a permanent one has
// failed.
func (p *publisher) publishChunk(ctx context.Context, stream *streamRef, msgs []outgoing) error {
	if msgs = p.dropTooLarge(msgs); len(msgs) == 0 {
		return nil
	}
	if stream.atomic && deepest(msgs) > fewWaves {
		err := p.sendAtomic(ctx, msgs)
		var api *jetstream.APIError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &api):
			p.settle(ctx, msgs, err)
			return err
		}
		if api.ErrorCode == codeNotAtomic {
			for _, m := range msgs {
				p.forget(m.msg.Subject) // the stream was changed
			}
		}
		// Nothing was stored. One by one tells for which message.
		p.logger.Debug("atomic batch refused, publishing in waves", "stream", stream.name, "messages", len(msgs), "err", err)
	}
	return p.sendWaves(ctx, msgs)
}

var errTimeout = errors.New("no acknowledgement within publish_timeout")

// dropTooLarge refuses what the server of this connection does not take.
func (p *publisher) dropTooLarge(msgs []outgoing) []outgoing {
	limit := p.link.maxPayload() - batchHeaders
	if limit >= p.maxMessageBytes {
		return msgs
	}
	kept := make([]outgoing, 0, len(msgs))
	for _, m := range msgs {
		if size := recordSize(m.msg); size > limit {
			*m.result = failure.Permanent(fmt.Errorf("message has %d bytes, more than the server's max_payload allows, %d", size, limit))
			continue
		}
		kept = append(kept, m)
	}
	return kept
}

// settle gives err to msgs.
func (p *publisher) settle(ctx context.Context, msgs []outgoing, err error) {
	if errors.Is(err, errNoStream) {
		for _, m := range msgs {
			p.forget(m.msg.Subject) // it may have been deleted
		}
	}
	err = p.classify(ctx, err)
	for _, m := range msgs {
		*m.result = err
	}
}

// classify: too large is for good, everything else is the server's state.
func (p *publisher) classify(ctx context.Context, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeTooLarge {
		return failure.Permanent(fmt.Errorf("the stream refused the message: %w", err))
	}
	return p.explain(ctx, "publish", err)
}

// Error codes of the server.
const (
	codeTooLarge  = 10054 // larger than the stream's max_msg_size
	codeNotAtomic = 10174 // the stream takes no atomic batches
)

// sendAtomic sends msgs as one atomic batch. Its error is that of all of them:
// one of JetStream's own means that none was stored.
func (p *publisher) sendAtomic(ctx context.Context, msgs []outgoing) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.publishTimeout, errTimeout)
	defer cancel()
	f, nc, err := p.takeOff(ctx, 1)
	if err != nil {
		return err
	}
	defer p.land(f)
	id := []string{nuid.Next()}
	for i, m := range msgs {
		record := *m.msg
		record.Header["Nats-Batch-Id"] = id
		record.Header["Nats-Batch-Sequence"] = batchNumbers[i]
		if i == len(msgs)-1 {
			record.Header["Nats-Batch-Commit"] = batchNumbers[0]
			record.Reply = p.replies(f) + "0"
		}
		err := nc.PublishMsg(&record)
		delete(record.Header, "Nats-Batch-Id")
		delete(record.Header, "Nats-Batch-Sequence")
		delete(record.Header, "Nats-Batch-Commit")
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	a := f.await(ctx)
	if a.err == nil && a.count != len(msgs) {
		return fmt.Errorf("the acknowledgement is for %d messages of %d", a.count, len(msgs))
	}
	return a.err
}

// await waits for the next acknowledgement.
func (f *flight) await(ctx context.Context) ack {
	select {
	case a := <-f.acks:
		return a
	default:
	}
	select {
	case a := <-f.acks:
		return a
	case <-f.cut:
		return ack{index: -1, err: errLost}
	case <-ctx.Done():
		return ack{index: -1, err: context.Cause(ctx)}
	}
}

// batchNumbers are header values: "1" to as many as a batch has.
var batchNumbers = func() (values [chunk][]string) {
	for i := range values {
		values[i] = []string{strconv.Itoa(i + 1)}
	}
	return values
}()
