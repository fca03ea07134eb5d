package kafka

import (
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"
)

// maxRequestBytes bounds one request; a broker takes 100 MiB by default.
const maxRequestBytes = 32 << 20

// stream is what one batch has for one partition. Its record batches are sent
// one after the other.
type stream struct {
	place
	items  []item // not stored yet
	under  int    // how many of them the record batch under way has
	unsure bool   // that one may be stored or not
	// trouble is why it is tried again, failed why it is not.
	trouble, failed error
	missing         int // how often the partition was not there
}

// streams sorts items by partition.
func (p *producer) streams(items []item, results []error) []*stream {
	var out []*stream
	known := map[place]*stream{}
	counts := map[string]int32{}
	unknown := map[string]error{} // asked for once: none may go behind one that cannot
	anywhere := rand.Uint32()
	for _, it := range items {
		if err := unknown[it.topic]; err != nil {
			results[it.index] = err
			continue
		}
		n, ok := counts[it.topic]
		if !ok {
			partitions, err := p.client.Partitions(it.topic)
			if err != nil {
				unknown[it.topic], results[it.index] = err, err
				continue
			}
			n = int32(len(partitions)) //nolint:gosec // a topic has far fewer
			counts[it.topic] = n
		}
		at := place{it.topic, p.partition(it.record.Key, anywhere, n)}
		s := known[at]
		if s == nil {
			s = &stream{place: at}
			known[at] = s
			out = append(out, s)
		}
		s.items = append(s.items, it)
	}
	return out
}

func (s *stream) done() bool { return len(s.items) == 0 }

func (s *stream) advance() {
	s.items = s.items[s.under:]
	s.under, s.unsure, s.trouble = 0, false, nil
}

// abandon gives up what is not stored and reports whether it is sure that none
// of it is: the producer's numbering holds then.
func (s *stream) abandon(results []error) (sure bool) {
	under := max(s.under, 1)
	for i, it := range s.items {
		if i < under {
			results[it.index] = s.failed
		} else {
			results[it.index] = errNotSent
		}
	}
	s.items = nil
	return !s.unsure
}

// request is one produce request, with a record batch of each of its streams.
type request struct {
	leader   *sarama.Broker
	streams  []*stream
	produce  *sarama.ProduceRequest
	bytes    int
	response *sarama.ProduceResponse
	err      error
}

// add takes the next record batch of s, unless the request is full. One that
// was under way is taken as it was, so that the broker can tell that it knows it.
func (r *request) add(p *producer, s *stream) {
	if r.produce == nil {
		r.produce = &sarama.ProduceRequest{
			RequiredAcks: p.config.Producer.RequiredAcks, Version: 7,
			Timeout: int32(p.config.Producer.Timeout / time.Millisecond), //nolint:gosec // ten seconds
		}
	}
	left := maxRequestBytes - r.bytes
	if len(r.streams) == 0 {
		left = max(left, s.items[0].size) // or no request would ever take it
	}
	if s.under > 0 {
		for _, it := range s.items[:s.under] {
			r.bytes += it.size
		}
	} else if s.under = p.batch(s.items, left, &r.bytes); s.under == 0 {
		return // the next wave takes it
	}
	r.streams = append(r.streams, s)
	records := make([]*sarama.Record, s.under)
	for i := range records {
		records[i] = s.items[i].record
		records[i].OffsetDelta = int64(i)
	}
	now := time.Now().Truncate(time.Millisecond)
	r.produce.AddBatch(s.topic, s.partition, &sarama.RecordBatch{
		Version: 2, Codec: p.config.Producer.Compression, CompressionLevel: p.config.Producer.CompressionLevel,
		ProducerID: p.id, ProducerEpoch: p.epoch, FirstSequence: p.sequence[s.place],
		FirstTimestamp: now, MaxTimestamp: now,
		LastOffsetDelta: int32(s.under - 1), //nolint:gosec // bounded by the size of a request
		Records:         records,
	})
}

// batch returns how many of items make one record batch of at most left bytes,
// and adds what they have to size.
func (p *producer) batch(items []item, left int, size *int) (n int) {
	left = min(left, p.config.Producer.MaxMessageBytes)
	for _, it := range items {
		if it.size > left {
			break
		}
		left -= it.size
		*size += it.size
		n++
	}
	return n
}

func (r *request) do() { r.response, r.err = r.leader.Produce(r.produce) }
