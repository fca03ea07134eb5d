package latency

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// producers are how many connections commit.
const producers = 16

// deliveryPatience is how long the last messages may take.
const deliveryPatience = 30 * time.Second

// trial is one relay at one pace; a pace without messages is idleness.
type trial struct {
	servers
	contender string
	pace      pace
	payload   int
	history   bool // count what is over in the history
	old       int  // rows that are put there, over already
}

func (t trial) run(ctx context.Context, _ bool) (sample work.Sample, err error) {
	err = t.placed(ctx, t.contender, t.fill, func(ctx context.Context, db *server.Database, topic *server.Topic, outbox contender.Outbox, p *child.Process) error {
		var times *Times
		if t.pace.perSecond == 0 {
			if err := errors.Join(pause(ctx, t.pace.settle), p.Mark(), pause(ctx, t.pace.duration)); err != nil {
				return err
			}
		} else if times, err = t.messages(ctx, db.DB, topic, outbox, p); err != nil {
			_, childErr := p.Stop(ctx, nil) // perhaps it knows why
			return errors.Join(err, childErr)
		}
		usage, err := p.Stop(ctx, nil)
		if err != nil {
			return err
		}
		sample.Values = map[string]float64{metricCPU: usage.CPUShare()}
		sample.Memory = usage.PeakMB()
		if t.history {
			if sample.Values[metricLeft], err = t.left(ctx, db.DB); err != nil {
				return err
			}
		}
		if times != nil {
			sample.Values[metricP50], sample.Values[metricP95], sample.Values[metricP99] = times.Percentile(50), times.Percentile(95), times.Percentile(99)
		}
		return nil
	})
	return sample, err
}

// placed makes the clean place of a trial, filled by fill, with a relay that runs
// there, and takes it away again after do.
func (s servers) placed(ctx context.Context, name string, fill func(context.Context, *sql.DB) error, do func(ctx context.Context, db *server.Database, topic *server.Topic, outbox contender.Outbox, p *child.Process) error) (err error) {
	c, err := contender.Of(name)
	if err != nil {
		return err
	}
	// What is taken away has its time from then on: a trial may be long.
	drop := func(fn func(context.Context) error) error {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Minute)
		defer cancel()
		return fn(cleanup)
	}
	db, err := s.pg.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop(db.Drop)) }()
	topic, err := s.kafka.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop(topic.Drop)) }()
	if _, err := db.DB.ExecContext(ctx, "CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer TEXT NOT NULL, amount BIGINT NOT NULL)"); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	place := contender.Place{Name: name, DatabaseKind: db.Kind, DatabaseURL: db.URL, BrokerURL: topic.URL, Topic: topic.Name}
	outbox := c.Outbox(place)
	if err := outbox.Prepare(ctx, db.DB); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := fill(ctx, db.DB); err != nil {
		return err
	}
	p, err := child.Start(ctx, contender.Job, place)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := p.Begin(); err != nil {
		return err
	}
	return do(ctx, db, topic, outbox, p)
}

// nothing fills nothing.
func nothing(context.Context, *sql.DB) error { return nil }

func (t trial) count() int { return int(float64(t.pace.perSecond) * t.pace.duration.Seconds()) }

// messages commits at the pace, with a subscriber that is there already, and
// returns how long each message took.
func (t trial) messages(ctx context.Context, db *sql.DB, topic *server.Topic, outbox contender.Outbox, p *child.Process) (*Times, error) {
	n := t.count()
	committed, delivered := make([]time.Time, n), make([]time.Time, n)
	missing := n
	followCtx, stop := context.WithCancel(ctx)
	defer stop()
	arrived := make(chan struct{})
	var follower errgroup.Group
	subscribed := make(chan struct{})
	follower.Go(func() error {
		return t.kafka.Follow(followCtx, topic.Name, subscribed, func(payload []byte) {
			seq, ok := workload.Seq(payload)
			if !ok || seq < 0 || seq >= n || !delivered[seq].IsZero() {
				return // a duplicate, or not ours
			}
			delivered[seq] = time.Now()
			if missing--; missing == 0 {
				close(arrived)
			}
		})
	})
	select {
	case <-subscribed:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), follower.Wait())
	}
	marked := time.AfterFunc(t.pace.settle, func() { _ = p.Mark() }) // it has ended: Stop says so
	defer marked.Stop()
	err := t.produce(ctx, db, outbox, committed)
	if err == nil {
		select {
		case <-arrived:
		case <-time.After(deliveryPatience):
			err = errors.New("not all messages were delivered")
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	stop()
	if err := errors.Join(err, follower.Wait()); err != nil {
		return nil, err
	}
	times := &Times{}
	for seq := int(float64(t.pace.perSecond) * t.pace.settle.Seconds()); seq < n; seq++ {
		// A message may arrive before its writer has heard of the commit.
		times.Add(max(0, delivered[seq].Sub(committed[seq])))
	}
	return times, nil
}

// produce commits each message in a transaction with a business row of its own,
// when it is due, and notes when the commit had returned.
func (t trial) produce(ctx context.Context, db *sql.DB, outbox contender.Outbox, committed []time.Time) error {
	db.SetMaxOpenConns(producers)
	db.SetMaxIdleConns(producers)
	var next atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range producers {
		g.Go(func() error {
			for {
				seq := int(next.Add(1)) - 1
				if seq >= len(committed) {
					return nil
				}
				due := start.Add(time.Duration(seq) * time.Second / time.Duration(t.pace.perSecond))
				if err := pause(ctx, time.Until(due)); err != nil {
					return err
				}
				m, err := workload.New(seq, t.payload)
				if err != nil {
					return err
				}
				if err := order(ctx, db, outbox, m); err != nil {
					return err
				}
				committed[seq] = time.Now()
			}
		})
	}
	return g.Wait()
}

// order writes a business row and, where outbox is not nil, a message, and
// commits.
func order(ctx context.Context, db *sql.DB, outbox contender.Outbox, m workload.Keyed) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO orders (customer, amount) VALUES ($1, $2)", m.Key, 4200)
	if err == nil && outbox != nil {
		err = outbox.Write(ctx, tx, []workload.Keyed{m})
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if w, ok := outbox.(contender.Committer); ok {
		w.Committed()
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
