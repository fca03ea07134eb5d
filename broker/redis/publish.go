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

// send sends the round and writes the results of its messages.
func (r *round) send(ctx context.Context, l *line, failed map[string]error, results []error) {
	var wait *goredis.IntCmd
	r.replies.guess = 128
	err := l.do(ctx, func(c *goredis.Client) error {
		pipe := c.Pipeline()
		for _, t := range r.topics {
			_ = pipe.Process(ctx, goredis.NewRawWriteToCmd(ctx, &r.replies, "multi"))
			for _, cmd := range t.cmds {
				_ = pipe.Process(ctx, cmd)
			}
			_ = pipe.Process(ctx, goredis.NewRawWriteToCmd(ctx, &r.replies, "exec"))
			r.replies.guess += 32 * len(t.cmds)
		}
		if r.d.waitReplicas > 0 {
			wait = goredis.NewIntCmd(ctx, "wait", r.d.waitReplicas, r.d.waitTimeout.Milliseconds())
			_ = pipe.Process(ctx, wait)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	replies := &reply{rest: r.replies.b}
	for _, t := range r.topics {
		t.read(ctx, l, replies, err, results)
		for _, i := range t.index {
			if results[i] != nil {
				failed[t.topic] = results[i]
				break
			}
		}
	}
	r.d.inspectOnce()
	if wait != nil {
		r.confirm(err, wait, failed, results)
	}
}

// read writes what the server has said of a run. broken is why replies may be
// missing: then nobody knows what was stored.
func (t *run) read(ctx context.Context, l *line, replies *reply, broken error, results []error) {
	replies.status() // of MULTI
	var refused error
	for range t.index {
		if err := replies.refusal(); err != nil {
			refused = first(refused, err)
			continue
		}
		replies.status()
	}
	if err := replies.refusal(); err != nil { // of EXEC: nothing was stored
		t.fail(results, t.refused(l.judge(ctx, first(refused, err))))
		return
	}
	if n := replies.array(); n != len(t.index) {
		replies.err = first(replies.err, errProtocol)
	}
	for _, i := range t.index {
		if err := replies.refusal(); err != nil {
			results[i] = t.refused(l.judge(ctx, err))
			continue
		}
		if _ = replies.text(); replies.err != nil {
			t.fail(results, first(broken, l.judge(ctx, replies.err)))
			return
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
