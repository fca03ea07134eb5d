package kafka

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
)

// errNotSent is the result of messages behind one that failed.
var errNotSent = errors.New("not sent: a message before it failed")

// producer sends one batch at a time. It is used up by the first failure.
type producer struct {
	fence *fence
	async sarama.AsyncProducer
}

func (o *options) newProducer(ctx context.Context) (*producer, error) {
	config, f := o.fenced()
	stop := context.AfterFunc(ctx, f.cut)
	async, err := sarama.NewAsyncProducer(o.addrs, config)
	if err != nil {
		f.cut()
		stop()
		return nil, err
	}
	p := &producer{fence: f, async: async}
	if !stop() {
		p.close()
		return nil, ctx.Err()
	}
	return p, nil
}

func (p *producer) close() {
	_ = p.async.Close() // its errors are those of messages, and there are none
	p.fence.cut()
}

// send sends records in their order and returns the error of each, or nil. Whole
// is false where any failed: the producer must then be retired.
//
// The first failure cuts the connections. sarama would go on with the next
// record of the partition in a new epoch, and so let it overtake the one
// that failed. A record already on the wire cannot be called back, but the
// broker refuses it: its sequence number does not follow.
func (p *producer) send(ctx context.Context, records []*sarama.ProducerMessage) (results []error, whole bool) {
	stop := context.AfterFunc(ctx, p.fence.cut)
	results = make([]error, len(records))
	for i, record := range records {
		record.Metadata = i
	}
	next := 0
	for left := len(records); left > 0; {
		if next < len(records) && p.fence.isCut() {
			for i := next; i < len(records); i++ {
				results[i] = errNotSent
			}
			left -= len(records) - next
			next = len(records)
			continue
		}
		var input chan<- *sarama.ProducerMessage
		var record *sarama.ProducerMessage
		if next < len(records) {
			input, record = p.async.Input(), records[next]
		}
		select {
		case input <- record:
			next++
		case <-p.async.Successes():
			left--
		case failed := <-p.async.Errors():
			i, _ := failed.Msg.Metadata.(int) // as set above
			results[i] = failed.Err
			left--
			p.fence.cut()
		}
	}
	stop()
	return results, !p.fence.isCut()
}
