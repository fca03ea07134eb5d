package forwarder

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// readAhead is a read of the rows after a full batch, made while that one is
// published. It may be: nothing can come to light below a position any more, or
// it would not have been reached.
type readAhead struct {
	from position
	done chan struct{}
	rows []foreign
	err  error
}

func (r *takeoverRun) readAhead(ctx context.Context, from position) *readAhead {
	a := &readAhead{from: from, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.rows, a.err = r.read(ctx, from)
	}()
	return a
}

// next returns the rows after the position, from a read ahead where there is one
// for it.
func (r *takeoverRun) next(ctx context.Context) ([]foreign, error) {
	a := r.ahead
	r.ahead = nil
	if a != nil {
		<-a.done
		if a.from == r.at {
			return a.rows, a.err
		}
	}
	return r.read(ctx, r.at)
}

// read reads a batch and unwraps it.
func (r *takeoverRun) read(ctx context.Context, from position) ([]foreign, error) {
	rows, err := r.tables.read(ctx, r.outbox.db, from, r.cfg.Relay.BatchSize)
	for i := range rows {
		rows[i].unwrap()
	}
	return rows, err
}

// unwrap makes the message that was given to their publisher. It leaves none
// where the row is no envelope.
func (f *foreign) unwrap() {
	e, err := decodeEnvelope(f.payload)
	if err != nil {
		return
	}
	f.topic, f.msg = e.DestinationTopic, message.NewMessage(e.UUID, e.Payload)
	if e.Metadata != nil {
		f.msg.Metadata = e.Metadata
	}
}
