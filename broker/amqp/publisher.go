package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// window is how many messages may be unconfirmed at once.
const window = 2048

var (
	// errNotSent is the result of messages behind one that failed.
	errNotSent = errors.New("not confirmed: a message before it failed")
	errNacked  = errors.New("a queue of the topic refused the message (is it full, or are its nodes away?)")
)

// item is one message of a batch.
type item struct {
	topic, key string
	message    amqp091.Publishing
	headers    int // bytes

	confirmed bool
	err       error // why it failed; nil where that is not known
}

// publisher sends one batch at a time on a connection of its own. It is used up
// by the first failure.
type publisher struct {
	link     *link
	ch       *amqp091.Channel
	confirms chan amqp091.Confirmation // in the order of sending
	returns  chan amqp091.Return
	closed   chan *amqp091.Error
	returned map[string]struct{} // topics that had no queue
}

func (d *driver) newPublisher(ctx context.Context) (*publisher, error) {
	l, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	ch, err := l.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		l.cut()
		l.leave()
		return nil, explain(ctx, "publisher confirms", err)
	}
	return &publisher{
		link: l, ch: ch,
		confirms: ch.NotifyPublish(make(chan amqp091.Confirmation, window)),
		returns:  ch.NotifyReturn(make(chan amqp091.Return, 16)),
		closed:   ch.NotifyClose(make(chan *amqp091.Error, 1)),
		returned: map[string]struct{}{},
	}, nil
}

// send publishes items and waits for their confirms. What RabbitMQ answered is
// noted in each; an error means that the publisher is used up, and that
// nothing more of items will be sent.
//
// Unless lenient, a refusal is such an error: a later message of its key may be
// on its way already, and the fewer the better.
func (p *publisher) send(ctx context.Context, items []*item, mandatory, lenient bool) error {
	stop := context.AfterFunc(ctx, p.link.cut)
	defer stop()
	next, done := 0, 0
	whole, refused := true, false
	for done < len(items) && whole && (lenient || !refused) {
		if next < len(items) && next-done < window {
			it := items[next]
			_, err := p.ch.PublishWithDeferredConfirm(it.topic, "", mandatory, false, it.message)
			if whole = err == nil; whole {
				next++
			}
			if len(p.confirms) == 0 && len(p.returns) == 0 {
				continue
			}
		}
		select {
		case c, open := <-p.confirms:
			if whole = open; open {
				refused = refused || !c.Ack
				items[done].answer(c.Ack)
				done++
			}
		case r, open := <-p.returns:
			p.note(r, open)
		}
	}
	if whole && (lenient || !refused) {
		p.noteAll()
		return nil
	}
	// The library reads on until the connection has ended, and needs to be
	// listened to: confirms that had come before are as good as any.
	p.link.cut()
	for open := true; open; {
		var c amqp091.Confirmation
		select {
		case c, open = <-p.confirms:
			if open {
				items[done].answer(c.Ack)
				done++
			}
		case r, open := <-p.returns:
			p.note(r, open)
		}
	}
	p.noteAll()
	if whole {
		return errNotSent
	}
	return p.cause(ctx)
}

func (it *item) answer(acked bool) {
	if it.confirmed = acked; !acked {
		it.err = errNacked
	}
}

// note keeps the topic of a message that no queue was bound for.
func (p *publisher) note(r amqp091.Return, open bool) {
	if !open {
		p.returns = nil
		return
	}
	p.returned[r.Exchange] = struct{}{}
}

// noteAll notes what has been returned: before the confirm of its message.
func (p *publisher) noteAll() {
	for p.returns != nil {
		select {
		case r, open := <-p.returns:
			p.note(r, open)
		default:
			return
		}
	}
}

// cause says why the channel has ended.
func (p *publisher) cause(ctx context.Context) error {
	reason := p.link.blocked.Load()
	exception := <-p.closed
	switch {
	case ctx.Err() != nil && reason != nil:
		return fmt.Errorf("%w; rabbitmq has blocked its publishers: %s", context.Cause(ctx), *reason)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case exception != nil:
		return exception
	}
	return amqp091.ErrClosed
}
