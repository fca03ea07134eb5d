package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// A batch is sent in rounds of at most so much, which bounds how long the
// server is busy with one transaction and what it has to hold.
const (
	roundMessages = 2000
	roundBytes    = 8 << 20
)

var (
	errNotSent = errors.New("the message was not sent")
	errBehind  = errors.New("an earlier message of its topic was not stored")
)

// PublishBatch sends msgs as one pipeline, with the messages of a topic in one
// transaction, so that none is stored after one that was not.
func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.ctx, func() { cancel(broker.ErrClosed) })()

	results := make([]error, len(msgs))
	rounds := d.rounds(msgs, results)
	if len(rounds) > 0 {
		d.publish(ctx, rounds, results)
	}
	for _, err := range results {
		if err != nil {
			return results
		}
	}
	return nil
}

func (d *driver) publish(ctx context.Context, rounds []*round, results []error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
	}
	l := d.takeLine()
	defer d.returnLine(l)
	failed := map[string]error{}
	for _, r := range rounds {
		if ctx.Err() != nil {
			r.fail(results, d.away(ctx, errNotSent))
			continue
		}
		r.drop(failed, results)
		if len(r.topics) > 0 {
			r.send(ctx, l, failed, results)
		}
	}
}

func (d *driver) takeLine() *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.idle); n > 0 {
		l := d.idle[n-1]
		d.idle = d.idle[:n-1]
		return l
	}
	l := d.newLine(replyTimeout + d.waitTimeout)
	return l
}

func (d *driver) returnLine(l *line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		l.close()
		return
	}
	d.idle = append(d.idle, l)
}

// round is what is sent at once.
type round struct {
	d      *driver
	topics []*run
	byName map[string]*run
}

// run are the messages of one topic in a round, in their order.
type run struct {
	topic string
	index []int // in the batch
	cmds  []goredis.Cmder
	exec  *goredis.SliceCmd
}

// rounds divides a batch. What can never be sent gets its result here.
func (d *driver) rounds(msgs []broker.Outgoing, results []error) []*round {
	var rounds []*round
	var r *round
	messages, size := 0, 0
	metadata := 0
	for i, m := range msgs {
		if err := check(m.Message, d.maxBytes); err != nil {
			results[i] = failure.Permanent(err)
			continue
		}
		metadata += metadataSize(m.Message.Metadata)
	}
	buf := make([]byte, 0, metadata)
	args := make([]any, 0, 11*len(msgs))
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
		args = r.add(i, m, buf[start:len(buf):len(buf)], args)
	}
	return rounds
}

// add appends the command for a message, whose arguments it takes from the end
// of args.
func (r *round) add(i int, m broker.Outgoing, metadata []byte, args []any) []any {
	t := r.byName[m.Topic]
	if t == nil {
		t = &run{topic: m.Topic}
		r.byName[m.Topic] = t
		r.topics = append(r.topics, t)
	}
	start := len(args)
	args = append(args, "xadd", t.topic)
	if r.d.maxlen > 0 {
		args = append(args, "maxlen", "~", r.d.maxlen)
	}
	args = append(args, "*", fieldUUID, m.Message.UUID, fieldMetadata, metadata)
	if m.Message.Payload != nil {
		args = append(args, fieldPayload, []byte(m.Message.Payload))
	}
	t.index = append(t.index, i)
	t.cmds = append(t.cmds, goredis.NewStatusCmd(context.Background(), args[start:len(args):len(args)]...))
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

// send sends the round and writes the results of its messages.
func (r *round) send(ctx context.Context, l *line, failed map[string]error, results []error) {
	var wait *goredis.IntCmd
	err := l.do(ctx, func(c *goredis.Client) error {
		pipe := c.Pipeline()
		for _, t := range r.topics {
			_ = pipe.Process(ctx, goredis.NewStatusCmd(ctx, "multi"))
			for _, cmd := range t.cmds {
				_ = pipe.Process(ctx, cmd)
			}
			t.exec = goredis.NewSliceCmd(ctx, "exec")
			_ = pipe.Process(ctx, t.exec)
		}
		last := goredis.Cmder(r.topics[len(r.topics)-1].exec)
		if r.d.waitReplicas > 0 {
			wait = goredis.NewIntCmd(ctx, "wait", r.d.waitReplicas, r.d.waitTimeout.Milliseconds())
			_ = pipe.Process(ctx, wait)
			last = wait
		}
		_, _ = pipe.Exec(ctx)
		// Replies come in order: if the last has one, all have. What each says
		// is read below.
		if err := last.Err(); err != nil && !isReply(err) {
			return err
		}
		return nil
	})
	for _, t := range r.topics {
		if err == nil || t.answered() {
			t.read(ctx, r.d, failed, results)
			continue
		}
		// Nobody knows whether it was stored.
		t.fail(results, err)
		failed[t.topic] = err
	}
	r.d.inspectOnce()
	if wait != nil {
		r.confirm(err, wait, failed, results)
	}
}

// answered reports whether the server has said what became of the run.
func (t *run) answered() bool {
	if t.exec == nil { // the connection could not be made
		return false
	}
	if err := t.exec.Err(); err != nil {
		return isReply(err)
	}
	return t.exec.Val() != nil
}

// read writes what the server has said.
func (t *run) read(ctx context.Context, d *driver, failed map[string]error, results []error) {
	if err := t.exec.Err(); err != nil {
		// Nothing was stored. The command that was refused says why.
		for _, cmd := range t.cmds {
			if cmd.Err() != nil {
				err = cmd.Err()
				break
			}
		}
		err = t.refused(d.judge(ctx, err))
		t.fail(results, err)
		failed[t.topic] = err
		return
	}
	for j, reply := range t.exec.Val() {
		if err, bad := reply.(error); bad {
			results[t.index[j]] = t.refused(d.judge(ctx, err))
			failed[t.topic] = results[t.index[j]]
		}
	}
}

func (t *run) refused(err error) error {
	if failure.IsUnavailable(err) {
		return err
	}
	return fmt.Errorf("redis refused to store in stream %q: %w", t.topic, err)
}

// confirm takes back what fewer replicas than asked for have confirmed.
func (r *round) confirm(err error, wait *goredis.IntCmd, failed map[string]error, results []error) {
	switch {
	case err != nil:
	case wait.Err() != nil:
		err = failure.Unavailable(fmt.Errorf("wait for replicas: %w", wait.Err()))
	case wait.Val() < int64(r.d.waitReplicas):
		err = failure.Unavailable(fmt.Errorf("%d of %d replicas have confirmed within %s", wait.Val(), r.d.waitReplicas, r.d.waitTimeout))
	default:
		return
	}
	for _, t := range r.topics {
		for _, i := range t.index {
			if results[i] == nil {
				results[i] = err
			}
		}
		failed[t.topic] = err
	}
}
