package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// round is what is sent at once.
type round struct {
	d       *driver
	topics  []*run
	byName  map[string]*run
	replies sink
}

// run are the messages of one topic in a round, in their order.
type run struct {
	topic string
	index []int // in the batch
	cmds  []goredis.Cmder
}

// blob is sent without a copy.
type blob []byte

// MarshalBinary is go-redis's way to take bytes from behind a pointer.
func (b *blob) MarshalBinary() ([]byte, error) { return *b, nil }

// rounds divides a batch. What can never be sent gets its result here.
func (d *driver) rounds(msgs []broker.Outgoing, results []error) []*round {
	metadata := 0
	for i, m := range msgs {
		if err := check(m.Message, d.maxBytes); err != nil {
			results[i] = failure.Permanent(err)
			continue
		}
		metadata += metadataSize(m.Message.Metadata)
	}
	var rounds []*round
	var r *round
	messages, size := 0, 0
	buf := make([]byte, 0, metadata)
	blobs := make([]blob, len(msgs))
	width := 9
	if d.maxlen > 0 {
		width = 12
	}
	args := make([]any, 0, width*len(msgs))
	for i, m := range msgs {
		if results[i] != nil {
			continue
		}
		if r == nil || messages == roundMessages || size >= roundBytes {
			r = &round{d: d, byName: map[string]*run{}}
			rounds = append(rounds, r)
			messages, size = 0, 0
		}
		messages++
		size += len(m.Message.Payload)
		start := len(buf)
		buf = appendMetadata(buf, m.Message.Metadata)
		blobs[i] = buf[start:len(buf):len(buf)]
		args = r.add(i, m, &blobs[i], args)
	}
	return rounds
}

// add appends the command for a message, whose arguments it takes from the end
// of args.
func (r *round) add(i int, m broker.Outgoing, metadata *blob, args []any) []any {
	t := r.byName[m.Topic]
	if t == nil {
		t = &run{topic: m.Topic}
		r.byName[m.Topic] = t
		r.topics = append(r.topics, t)
	}
	start := len(args)
	args = append(args, "xadd", &t.topic)
	if r.d.maxlen > 0 {
		args = append(args, "maxlen", "~", r.d.maxlen)
	}
	args = append(args, "*", fieldUUID, &m.Message.UUID, fieldMetadata, metadata)
	if m.Message.Payload != nil {
		args = append(args, fieldPayload, (*blob)(&m.Message.Payload))
	}
	t.index = append(t.index, i)
	t.cmds = append(t.cmds, goredis.NewRawWriteToCmd(context.Background(), &r.replies, args[start:len(args):len(args)]...))
	return args
}

// fail gives err to every message of the round.
func (r *round) fail(results []error, err error) {
	for _, t := range r.topics {
		t.fail(results, err)
	}
}

func (t *run) fail(results []error, err error) {
	for _, i := range t.index {
		results[i] = err
	}
}

// drop takes out the topics of which an earlier round has not stored all.
func (r *round) drop(failed map[string]error, results []error) {
	if len(failed) == 0 {
		return
	}
	kept := r.topics[:0]
	for _, t := range r.topics {
		if err, behind := failed[t.topic]; behind {
			if failure.IsUnavailable(err) {
				t.fail(results, failure.Unavailable(fmt.Errorf("%w: %w", errBehind, err)))
			} else {
				t.fail(results, fmt.Errorf("%w: %w", errBehind, err))
			}
			continue
		}
		kept = append(kept, t)
	}
	r.topics = kept
}
