package sluicegate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/middleware/circuit"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/park"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// ParkConfig says when what the immediate attempts could not do is tried again.
// The zero value is ready for use.
type ParkConfig struct {
	// Off has what the immediate attempts could not do become a dead letter at
	// once, and what met an outage go back to the broker. Default: it is parked.
	Off bool
	// Policy is that of every handler without one of its own. Default: 4 minutes
	// after the failure, then every minute, 50 attempts in all. For days:
	// park.Policy{Schedule: park.Days()}.
	Policy park.Policy
	// Handlers has the policies of single handlers, by name. Default none.
	Handlers map[string]park.Policy
	// Concurrency is how many parked messages are at work at a time, in addition
	// to those of the broker. Default 16, and three quarters of it for one handler.
	Concurrency int
	// PollMax is how long what another process has parked may be late. Default 5 s.
	PollMax time.Duration
	// Now is the clock of the parked messages, for tests. Default: the database's
	// for their times, and time.Now for ages and windows.
	Now func() time.Time
}

// parkLease is how long a parked message stays with a process that died. It
// outlasts a drain, in which it is not renewed.
func (c Config) parkLease() time.Duration { return max(time.Minute, 2*c.DrainTimeout) }

// openPark prepares the table of parked messages.
func (s *Stack) openPark(db *sql.DB) (err error) {
	c := s.cfg.Park
	if db == nil || c.Off {
		return nil
	}
	s.table, err = park.SQL(db, park.TableConfig{Dialect: s.cfg.Dialect, Schema: s.cfg.Schema, Prefix: s.cfg.Prefix, Now: c.Now})
	if err != nil {
		return fmt.Errorf("parked messages: %w", err)
	}
	key := s.cfg.Key
	if key == nil {
		key = idempotency.DefaultKey()
	}
	immediate := s.cfg.Retry.MaxAttempts
	if immediate == 0 {
		immediate = retry.DefaultMaxAttempts
	}
	cfg := park.Config{
		Policy: c.Policy, Handlers: c.Handlers, Immediate: max(immediate, 0), Key: key,
		Retryable: s.cfg.retryable(), Excusable: excusable, Paused: s.paused, Put: s.putParked,
		Concurrency: c.Concurrency, PollMax: c.PollMax, Lease: s.cfg.parkLease(), Now: c.Now,
		Retain: s.cfg.Retain.Parked, RetainDead: s.cfg.Retain.GivenUp,
		Observe: s.observe, Logger: s.cfg.Logger,
	}
	if s.inbox == nil {
		cfg.Decided = s.decided // putParked sees it in the inbox
	}
	if s.parker, err = park.New(s.table, cfg); err != nil {
		return fmt.Errorf("Config.Park: %w", err)
	}
	return nil
}

// retryable is what retry goes by: where it has made its last attempt, it has asked.
func (c Config) retryable() func(error) bool {
	can := c.Retry.Retryable
	if can == nil {
		return nil
	}
	return func(err error) bool {
		var exhausted *retry.ExhaustedError
		return errors.As(err, &exhausted) || can(err)
	}
}

// excusable says which outages may be waited for in the table: those that the
// handler met. Where the message has not got as far as that, because another
// delivery is at work or our own database or store is away, it goes back to the
// broker, which has room for all that follow. So does one that only has outputs
// left to publish.
func excusable(ctx context.Context, err error) bool {
	d := delivery.From(ctx)
	attempts := d.Attempts()
	if n := len(attempts); n > 0 && attempts[n-1].Err == "" {
		return false // the effect is there, and its outputs are not published yet
	}
	var begin *dbtx.BeginError
	return d.Attempt() > 0 && !errors.As(err, &begin) &&
		!errors.Is(err, idempotency.ErrBusy) && !errors.Is(err, idempotency.ErrLeaseLost) && !errors.Is(err, idempotency.ErrContended)
}

// paused says that the circuit of a handler is open and no probe of it is due: its
// parked messages would only wait before it.
func (s *Stack) paused(scope string) bool {
	for _, c := range s.Circuits() {
		if c.Handler == scope && c.Dependency == "" && c.State == circuit.Open && time.Now().Before(c.Next) {
			return true
		}
	}
	return false
}

// register has the handler's parked messages come in by its chain. A batch lets them
// pass, so that they run singly.
func (s *Stack) register(name string, chained message.HandlerFunc) {
	if s.parker == nil {
		return
	}
	scope := (&delivery.Delivery{Consumer: s.cfg.Consumer, Handler: name}).Scope()
	s.parker.Register(context.Background(), scope, chained)
}

// RunParked gives parked messages to their handlers when their time has come, until
// ctx ends: for those who run the router themselves, since Run does it by itself. It
// then takes none any more, and returns when those at work have ended, for
// which they have Config.DrainTimeout. Without parked messages it waits for ctx.
func (s *Stack) RunParked(ctx context.Context) error {
	if s.parker == nil {
		<-ctx.Done()
		return nil
	}
	return s.parker.Run(ctx) //nolint:wrapcheck // it says what it is
}

// Parked counts the parked messages in the database, whoever parked them.
func (s *Stack) Parked(ctx context.Context) (park.Counts, error) {
	if s.parker == nil {
		return park.Counts{}, nil
	}
	return s.parker.Counts(ctx) //nolint:wrapcheck // it says what it did
}

// Proceed decides about a dead letter behind which later messages of its ordering key
// wait (park.Await): they go on without it. A redrive, in place of that, has it run
// again before them. key is the idempotency key of the dead one. The error wraps
// park.ErrNotParked where nothing waits for that.
func (s *Stack) Proceed(ctx context.Context, handler, key string) error {
	if s.parker == nil {
		return park.ErrNotParked
	}
	scope := (&delivery.Delivery{Consumer: s.cfg.Consumer, Handler: handler}).Scope()
	return s.parker.Proceed(ctx, scope, key) //nolint:wrapcheck // it says what it did
}

// parked runs RunParked beside a router.
type parkedRun struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func (s *Stack) startParked(ctx context.Context) *parkedRun {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &parkedRun{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		if err := s.RunParked(ctx); err != nil {
			s.cfg.Logger.Error("parked messages are not resumed", "error", err)
		}
	}()
	return p
}

// wait reports whether those at work have ended and been settled.
func (p *parkedRun) wait(ctx context.Context) bool {
	p.cancel()
	select {
	case <-p.ended:
		return true
	case <-ctx.Done():
		return false
	}
}
