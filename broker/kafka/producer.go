package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// errNotSent is the result of messages behind one that failed.
var errNotSent = errors.New("not sent: a message before it failed")

// producer sends one batch at a time as an idempotent producer: the brokers
// number its record batches for each partition, store none twice and none out
// of turn. It is used up by the first failure that leaves open what was stored.
type producer struct {
	fence  *fence
	client sarama.Client
	config *sarama.Config
	hash   func(key []byte) int32
	id     int64
	epoch  int16
	// sequence is the number of the next record of a partition.
	sequence map[place]int32
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

func (o *options) newProducer(ctx context.Context) (*producer, error) {
	config, f := o.fenced()
	defer context.AfterFunc(ctx, f.cut)()
	client, err := sarama.NewClient(o.addrs, config)
	if err != nil {
		f.cut()
		return nil, err
	}
	p := &producer{fence: f, client: client, config: config, hash: o.hash, sequence: map[place]int32{}}
	granted, err := p.number(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		f.cut()
		p.close()
		return nil, fmt.Errorf("begin an idempotent producer: %w", err)
	}
	p.id, p.epoch = granted.ProducerID, granted.ProducerEpoch
	return p, nil
}

// number asks for a producer id, again while the brokers have only just started.
func (p *producer) number(ctx context.Context) (*sarama.InitProducerIDResponse, error) {
	for tries := 1; ; tries++ {
		granted, err := p.client.InitProducerID()
		if err == nil && granted.Err != sarama.ErrNoError {
			err = granted.Err
		}
		starting := errors.Is(err, sarama.ErrOffsetsLoadInProgress) || errors.Is(err, sarama.ErrConsumerCoordinatorNotAvailable) ||
			errors.Is(err, sarama.ErrNotCoordinatorForConsumer) || errors.Is(err, sarama.ErrConcurrentTransactions)
		if !starting || backoff.Wait(ctx, min(time.Duration(tries)*50*time.Millisecond, 500*time.Millisecond)) != nil {
			return granted, err
		}
	}
}

func (p *producer) close() {
	_ = p.client.Close() // what it can say is of no use any more
	p.fence.cut()
}

// send sends items in their order and puts the error of each that was not
// stored into results. Whole is false where the outcome of some is not known:
// the producer must then be retired.
//
// A record batch that may be stored or not is sent again, under the numbers it
// had, until the brokers have said which. When ctx ends first, the connections
// are cut, so that nothing is sent after it was reported as failed.
func (p *producer) send(ctx context.Context, items []item, results []error) (whole bool) {
	stop := context.AfterFunc(ctx, p.fence.cut)
	defer stop()
	streams := p.streams(items, results)
	whole = true
	for tries := 0; ; {
		open := streams[:0:0]
		for _, s := range streams {
			if !s.done() {
				open = append(open, s)
			}
		}
		if len(open) == 0 {
			return whole && !p.fence.isCut()
		}
		progress := p.wave(open)
		for _, s := range open {
			if s.failed != nil {
				whole = s.abandon(results) && whole
			}
		}
		if progress {
			tries = 0
			continue
		}
		tries++
		if backoff.Wait(ctx, min(time.Duration(tries)*50*time.Millisecond, 500*time.Millisecond)) != nil {
			for _, s := range open {
				s.failed = errors.Join(s.trouble, ctx.Err())
				_ = s.abandon(results)
			}
			return false
		}
	}
}

// wave sends the next record batch of each stream, as one request to each
// broker, and reports whether anything was settled.
func (p *producer) wave(streams []*stream) (progress bool) {
	byLeader := map[int32]*request{}
	var requests []*request
	for _, s := range streams {
		leader, err := p.client.Leader(s.topic, s.partition)
		if err != nil {
			p.trouble(s, err)
			progress = progress || s.failed != nil
			continue
		}
		r := byLeader[leader.ID()]
		if r == nil {
			r = &request{leader: leader}
			byLeader[leader.ID()] = r
			requests = append(requests, r)
		}
		r.add(p, s)
	}
	answers := make(chan struct{}, len(requests))
	for _, r := range requests[min(1, len(requests)):] {
		go func() {
			r.do()
			answers <- struct{}{}
		}()
	}
	if len(requests) > 0 {
		requests[0].do()
		answers <- struct{}{}
	}
	for range requests {
		<-answers
	}
	for _, r := range requests {
		if r.err != nil {
			_ = r.leader.Close() // the next wave connects anew
		}
		for _, s := range r.streams {
			progress = p.judge(s, r) || progress
		}
	}
	return progress
}

// judge notes what a broker has said of the record batch of s.
func (p *producer) judge(s *stream, r *request) (settled bool) {
	err := r.err
	if err == nil {
		switch block := r.response.GetBlock(s.topic, s.partition); {
		case block == nil:
			err = sarama.ErrIncompleteResponse
		case block.Err != sarama.ErrNoError && block.Err != sarama.ErrDuplicateSequenceNumber:
			err = block.Err
		}
	}
	if err == nil { // stored now, or by an earlier request whose answer was lost
		p.sequence[s.place] = following(p.sequence[s.place], s.under)
		s.advance()
		return true
	}
	s.unsure = s.unsure || r.err != nil || !stateless(err)
	p.trouble(s, err)
	return s.failed != nil
}

// following returns the number that is n after sequence. Kafka counts on from 0
// after the highest one, and refuses a negative one as an invalid record.
func following(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

// trouble notes an error: a failure, or the reason for another try.
func (p *producer) trouble(s *stream, err error) {
	s.trouble = err
	switch {
	case p.fence.isCut() || !passing(err):
		s.failed = err
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		if s.missing++; s.missing > 20 {
			s.failed = err
		}
		fallthrough
	default:
		_ = p.client.RefreshMetadata(s.topic) // where it fails, the next try says so
	}
}

// passing reports whether another try of the same request can help.
func passing(err error) bool {
	var code sarama.KError
	if !errors.As(err, &code) {
		return !errors.Is(err, sarama.ErrClosedClient) && !errors.As(err, new(sarama.PacketEncodingError))
	}
	switch code {
	case sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrUnknownTopicOrPartition,
		sarama.ErrRequestTimedOut, sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend,
		sarama.ErrNetworkException, sarama.ErrReplicaNotAvailable, sarama.ErrBrokerNotAvailable,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch,
		sarama.ErrThrottlingQuotaExceeded, sarama.ErrConcurrentTransactions:
		return true
	default:
		return false
	}
}

// stateless reports whether err says for sure that nothing was stored and that
// the numbering goes on as it was.
func stateless(err error) bool {
	return contentRefused(err) || errors.Is(err, sarama.ErrTopicAuthorizationFailed) ||
		errors.Is(err, sarama.ErrClusterAuthorizationFailed) || errors.Is(err, sarama.ErrNotLeaderForPartition) ||
		errors.Is(err, sarama.ErrLeaderNotAvailable) || errors.Is(err, sarama.ErrUnknownTopicOrPartition) ||
		errors.Is(err, sarama.ErrNotEnoughReplicas)
}
