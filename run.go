package sluicegate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrDrain says that handlers were still at work when Config.DrainTimeout had
// passed. Their messages were not acked and are delivered again.
var ErrDrain = errors.New("handlers were still at work at the drain deadline")

// Run runs router until ctx ends, then stops in the order that loses nothing:
// no new message is taken, the handlers at work end (for at most
// Config.DrainTimeout), and only then is the router closed. It returns nil after
// a clean stop, ErrDrain where handlers were cut off, and what the router
// returned where it could not start. A handler of the stack whose subscription
// ends while the others go on stops all of them likewise, with
// ErrHandlerStopped; so does a router that somebody else closes.
//
// Where the database answers and tables are missing (see Migrate), the router is
// not run. A Stack drains once: after Run has returned, it handles nothing more.
func (s *Stack) Run(ctx context.Context, router *message.Router) error {
	if router.IsRunning() {
		return errors.New("run router: it is running already")
	}
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	ended := make(chan error, 1)
	// Not ctx: Watermill's router cancels the contexts of messages with its own.
	routerCtx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	go func() { ended <- router.Run(routerCtx) }()

	// A router that is closed before it runs would never return from Close. One
	// that cannot start, because a subscriber waits for its broker, is given up
	// when ctx ends.
	stopGivingUp := context.AfterFunc(ctx, unlessClosed(router.Running(), giveUp))
	select {
	case <-router.Running():
		stopGivingUp()
	case err := <-ended:
		return s.endedByItself(ctx, err, nil)
	}
	stopped, unwatch := s.stopped(router)
	defer unwatch()
	resumed := s.startParked(ctx)
	defer resumed.cancel()
	defer s.startRetention(ctx)()
	var cause error
	select {
	case err := <-ended:
		return s.endedByItself(ctx, err, resumed)
	case cause = <-stopped:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		cause = nil // it was asked for, whatever was heard of first
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	if !s.drainAll(deadline, resumed) {
		cause = errors.Join(cause, ErrDrain)
	}
	s.gate.hurry()
	return errors.Join(cause, router.Close(), <-ended)
}

// drainAll drains what came from the broker and what was parked.
func (s *Stack) drainAll(ctx context.Context, resumed *parkedRun) bool {
	if resumed != nil {
		resumed.cancel() // it takes nothing any more; those at work have their grace
	}
	ok := s.gate.drain(ctx)
	if resumed == nil {
		return ok
	}
	if resumed.wait(ctx) {
		return ok
	}
	// The grace is over: what was cut off gives its message back.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
	defer cancel()
	resumed.wait(grace)
	return false
}

// releaseWait is how long those who were cut off have to give their messages back.
const releaseWait = 2 * time.Second

// unlessClosed wraps act to do nothing once done is closed. A router that runs
// is never given up, even where ctx ends before Run has seen it running: its
// messages would lose their contexts, and their acks would mean nothing.
func unlessClosed(done <-chan struct{}, act func()) func() {
	return func() {
		select {
		case <-done:
		default:
			act()
		}
	}
}

// endedByItself drains what is left and says that nobody asked for the end.
func (s *Stack) endedByItself(ctx context.Context, err error, resumed *parkedRun) error {
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	s.drainAll(deadline, resumed)
	if err != nil {
		return fmt.Errorf("run router: %w", err)
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w: the router was closed", ErrHandlerStopped)
}

// Drain is the first half of Run's stop, for those who run the router
// themselves: it keeps new messages out and waits until the handlers at work
// have ended, or ctx has, which is ErrDrain. Close the router afterwards.
func (s *Stack) Drain(ctx context.Context) error {
	start := time.Now()
	if !s.gate.drain(ctx) {
		return fmt.Errorf("%w after %v", ErrDrain, time.Since(start).Round(time.Millisecond))
	}
	return nil
}
