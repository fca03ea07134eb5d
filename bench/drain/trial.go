// Package drain measures how fast a relay carries a full outbox to a broker:
// the table is filled, the relay is started in a process of its own, and the
// clock stops when the broker holds every message. Then the broker is read and
// checked.
package drain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
	"github.com/sluicegate/sluicegate/bench/workload"
)

const (
	chunk   = 1000 // messages that one transaction writes
	writers = 2    // connections that fill the outbox
)

// trial is one relay at one amount of work.
type trial struct {
	contender string
	databases server.Databases
	topics    server.Topics
	messages  int
	payload   int
	// meanwhile, if not nil, goes on while the relay drains, until its context
	// ends, and returns how many messages it has written.
	meanwhile func(ctx context.Context, f *filler) (int, error)
}

// warmUpShare is which part of the work the warm-up does.
const warmUpShare = 10

func (t trial) run(ctx context.Context, warmUp bool) (sample work.Sample, err error) {
	n := t.messages
	if warmUp {
		n = max(chunk, n/warmUpShare)
	}
	c, err := contender.Of(t.contender)
	if err != nil {
		return sample, err
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	db, err := t.databases.Scratch(ctx)
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, db.Drop(cleanup)) }()
	topic, err := t.topics.Scratch(ctx)
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, topic.Drop(cleanup)) }()

	place := contender.Place{Name: t.contender, DatabaseKind: db.Kind, DatabaseURL: db.URL, BrokerURL: topic.URL, Topic: topic.Name, Messages: n, Payload: t.payload}
	f := &filler{db: db.DB, outbox: c.Outbox(place), payload: t.payload}
	if err := f.outbox.Prepare(ctx, db.DB); err != nil {
		return sample, fmt.Errorf("prepare: %w", err)
	}
	if err := f.fill(ctx, n); err != nil {
		return sample, fmt.Errorf("fill: %w", err)
	}
	if err := db.Analyze(ctx); err != nil {
		return sample, err
	}
	m, err := t.timed(ctx, place, topic, f)
	if err != nil {
		return sample, err
	}
	a := workload.NewAudit(m.total)
	if err := topic.Read(ctx, a.Add); err != nil {
		return sample, err
	}
	if err := a.Verdict(c.Ordered); err != nil {
		return sample, err
	}
	sample = work.Value(float64(n) / m.elapsed.Seconds())
	sample.CPU = m.usage.CPUSeconds / float64(m.total) * 1e6
	sample.Memory = m.usage.PeakMB()
	sample.Note = a.Note(c.Ordered)
	return sample, nil
}

// measured is what the timed part of a trial showed.
type measured struct {
	elapsed time.Duration // until the messages of the start had arrived
	total   int           // messages in all
	usage   child.Usage
}

func (t trial) timed(ctx context.Context, place contender.Place, topic *server.Topic, f *filler) (m measured, err error) {
	p, err := child.Start(ctx, contender.Job, place)
	if err != nil {
		return m, err
	}
	defer p.Kill()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	defer close(watched)
	go func() { // a child that fails ends the waiting for what will never arrive
		select {
		case line := <-p.Ended():
			cancel(p.Failure(line))
		case <-watched:
		}
	}()

	meanwhile, stopMeanwhile := context.WithCancel(ctx)
	defer stopMeanwhile()
	written := make(chan int, 1)
	var others errgroup.Group
	if t.meanwhile == nil {
		written <- 0
	} else {
		others.Go(func() error {
			n, err := t.meanwhile(meanwhile, f)
			written <- n
			return err
		})
	}
	start := time.Now()
	if err := p.Begin(); err != nil {
		return m, err
	}
	err = topic.Await(ctx, int64(place.Messages))
	m.elapsed = time.Since(start)
	stopMeanwhile()
	if err == nil {
		m.total = place.Messages + <-written
		err = topic.Await(ctx, int64(m.total))
	}
	if err := errors.Join(context.Cause(ctx), err, others.Wait()); err != nil {
		return m, err
	}
	select {
	case watched <- struct{}{}: // from here on it is asked
	case <-ctx.Done():
		return m, context.Cause(ctx)
	}
	m.usage, err = p.Stop(ctx, nil)
	return m, err
}

// filler writes messages through a contender's outbox.
type filler struct {
	db      *sql.DB
	outbox  contender.Outbox
	payload int
	next    int // place of the next message
}

// fill writes n messages in transactions of chunk. Those of one key are written
// by one connection, in their order.
func (f *filler) fill(ctx context.Context, n int) error {
	first := f.next
	f.next += n
	g, ctx := errgroup.WithContext(ctx)
	for w := range writers {
		g.Go(func() error {
			msgs := make([]workload.Keyed, 0, chunk)
			for seq := first; seq < first+n; seq++ {
				if workload.KeyOf(seq)%writers != w {
					continue
				}
				m, err := workload.New(seq, f.payload)
				if err != nil {
					return err
				}
				if msgs = append(msgs, m); len(msgs) < chunk {
					continue
				}
				if err := f.write(ctx, msgs); err != nil {
					return err
				}
				msgs = msgs[:0]
			}
			return f.write(ctx, msgs)
		})
	}
	return g.Wait()
}

func (f *filler) write(ctx context.Context, msgs []workload.Keyed) error {
	if len(msgs) == 0 {
		return nil
	}
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f.outbox.Write(ctx, tx, msgs); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
