package park

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/text"
)

// ErrProduced says that the handler of a parked message returned messages: there
// is no router that would publish them. Put middleware outputs inside of this one.
var ErrProduced = errors.New("handler of a parked message returned messages, which nobody would publish")

// forGood is the wait of what waits for a person.
const forGood = 50 * 365 * day

// repair is the wait of a task that this program cannot work on.
const repair = time.Hour

// broken is what becomes of a task whose chain panicked: the message is as it was.
func (p *Parker) broken(t schedule.Task, err error) schedule.Outcome {
	return schedule.Outcome{Status: schedule.Waiting, Delay: repair, Attempts: t.Attempts, Error: err.Error()}
}

// work gives one parked message to its chain.
func (p *Parker) work(ctx context.Context, t schedule.Task) schedule.Outcome {
	p.mu.RLock()
	in, known := p.entries[t.Target]
	p.mu.RUnlock()
	if !known { // the worker asks for those that are
		return schedule.Outcome{Status: schedule.Waiting, Delay: time.Minute, Attempts: t.Attempts, Error: t.Error}
	}
	box, err := parked.Decode(t.Payload)
	s, stateErr := decodeState(t.State)
	if err = errors.Join(err, stateErr); err != nil {
		p.cfg.Logger.Error("parked message cannot be read; it stays", "task", t.ID, "handler", t.Target, "error", err)
		return p.broken(t, err)
	}
	d := &delivery.Delivery{Consumer: box.Consumer, Handler: box.Handler, Topic: box.Topic}
	d.Resume(t.Attempts)
	d.SetKey(box.Key)
	if len(s.Attempts) == 0 {
		s.note(box.Attempts)
	}
	s.tell(d)
	r := &resumption{p: p, task: t, state: s, policy: p.cfg.policy(box.Handler), uuid: box.UUID, d: d}
	of := in.route
	of.handler, of.topic, of.subscriber = box.Handler, box.Topic, box.Subscriber
	msg := box.Message()
	own := context.WithValue(delivery.With(parked.With(of.with(ctx), &box), d), resumptionKey{}, r)
	msg.SetContext(own)
	r.emit(event.Resumed, t.Attempts+1, 0, nil)
	defer msg.Ack() // who counts messages until they are settled need not wait for this one, also where its chain panics
	_, err = in.handle(msg)
	return r.settle(own, err)
}

type resumptionKey struct{}

func resumptionOf(ctx context.Context) *resumption {
	r, _ := ctx.Value(resumptionKey{}).(*resumption)
	return r
}

// resumption is a parked message on its way through its chain.
type resumption struct {
	p      *Parker
	task   schedule.Task
	state  state
	policy *Policy
	uuid   string
	d      *delivery.Delivery

	reached bool             // the chain has come as far as this layer
	outcome schedule.Outcome // what that says
	reason  string           // why the message is to be set aside
}

// handle is the layer, for a parked message. It returns an error where the message
// is to be set aside for good, or where it was cut off.
func (r *resumption) handle(next message.HandlerFunc, msg *message.Message, d *delivery.Delivery) error {
	r.reached, r.outcome = true, schedule.Outcome{Status: schedule.Waiting, Attempts: r.task.Attempts, Error: r.task.Error}
	if r.state.Doomed != "" {
		r.outcome.Status = schedule.Dead
		return &doomedError{r.state.Doomed}
	}
	ctx, start, before := msg.Context(), time.Now(), len(d.Attempts())
	out, err := next(msg)
	if err == nil && len(out) > 0 {
		err = failure.Permanent(ErrProduced)
	}
	switch {
	case err == nil:
		r.outcome.Status, r.outcome.Error = schedule.Done, ""
		if d.Expired() {
			r.outcome.Status = schedule.Expired
		}
		if len(d.Attempts()) > before {
			r.outcome.Attempts++
		}
		return nil
	case ctx.Err() != nil:
		return err
	}
	now := r.p.cfg.Now()
	unavailable := failure.IsUnavailable(err)
	if unavailable && r.state.excuse(now) <= r.policy.MaxExcuse {
		return r.again(r.policy.excused(err, r.state.Excuses-1), 0, err)
	}
	r.state.attempted(now)
	n := r.task.Attempts + 1
	if len(d.Attempts()) == before { // nobody inside counts, or it does not count as unavailable any more
		d.Add(n, start, time.Since(start), err)
	}
	r.state.note(d.Attempts())
	r.outcome.Attempts = n
	if unavailable {
		err = &OverdueError{For: r.state.Excused, Err: err}
	}
	f := failed{attempts: n, waits: r.state.Waits, age: now.Sub(r.state.Since), now: now}
	wait, ok := r.policy.wait(err, f)
	switch {
	case !ok, failure.IsPermanent(err), r.p.cfg.Retryable != nil && !unavailable && !r.p.cfg.Retryable(err):
		r.outcome.Status, r.reason = schedule.Dead, text.Short("given up: "+err.Error(), maxReason)
		return err
	case n < r.p.cfg.Immediate:
		wait = 0
	default:
		r.state.Waits++
	}
	return r.again(wait, n, err)
}

// again has the message wait. A state that cannot be written is an error of this
// program: the task then stays as it was.
func (r *resumption) again(wait time.Duration, attempt int, reason error) error {
	encoded, err := r.state.encode()
	if err != nil {
		return failure.Unavailable(err)
	}
	r.outcome.State, r.outcome.Delay, r.outcome.Error = encoded, wait, reason.Error()
	r.outcome.Spent = true // also where a drain lets the handler end after its worker
	r.outcome.Tell = func() { r.emit(event.Parked, attempt, wait, reason) }
	return nil
}

// settle says what becomes of the task now that the whole chain has returned.
func (r *resumption) settle(ctx context.Context, err error) schedule.Outcome {
	o := r.outcome
	as := schedule.Outcome{Status: schedule.Waiting, Attempts: r.task.Attempts, Error: r.task.Error}
	switch {
	case err == nil && !r.reached: // a layer outside did not want it to be handled
		return schedule.Outcome{Status: schedule.Done, Attempts: r.task.Attempts}
	case err == nil && o.Status == schedule.Dead:
		return r.dead(o)
	case err == nil:
		return o
	case ctx.Err() != nil && o.Status != schedule.Dead:
		return as // cut off: nothing was spent
	case o.Status != schedule.Dead:
		as.Delay, as.Error = r.policy.excused(err, 0), err.Error()
		return as
	}
	// It could not be set aside. The handler is not called again for that.
	if r.state.Doomed == "" {
		r.state.Doomed = r.reason
	}
	encoded, encodeErr := r.state.encode()
	if encodeErr == nil {
		o.State = encoded
	}
	o.Status, o.Delay, o.Error, o.Spent = schedule.Waiting, r.policy.excused(nil, 0), err.Error(), true
	return o
}

// dead is the end, or where others wait behind the message, what a person ends.
func (r *resumption) dead(o schedule.Outcome) schedule.Outcome {
	o.Error = r.task.Error
	await := r.policy.AfterDead == Await && r.task.Group != ""
	r.state.Awaiting, r.state.Doomed = await, ""
	if encoded, err := r.state.encode(); err == nil {
		o.State = encoded
	}
	if !await {
		return o
	}
	o.Status, o.Delay, o.Spent = schedule.Waiting, forGood, true
	return o
}

func (r *resumption) emit(kind event.Kind, attempt int, wait time.Duration, err error) {
	r.p.cfg.Observe.Emit(event.Event{
		Kind: kind, Handler: r.task.Target, Topic: r.d.Topic, Key: r.task.Key, MessageID: r.uuid,
		Attempt: attempt, Delay: wait, Err: err,
	})
}

// OverdueError says that a message was excused for longer than the policy allows:
// its dependency is still unavailable, and that counts as a failed attempt now.
type OverdueError struct {
	For time.Duration // how long it was excused
	Err error         // not unwrapped, since it is marked as unavailable
}

func (e *OverdueError) Error() string {
	return fmt.Sprintf("unavailable for %s: %v", e.For.Round(time.Second), e.Err)
}

// maxReason is how many bytes of the reason are kept until it is in a dead letter.
const maxReason = 4 << 10

// doomedError is the failure of an attempt that was made in an earlier run.
type doomedError struct{ reason string }

func (e *doomedError) Error() string { return e.reason }
