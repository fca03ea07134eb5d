package kafka

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
)

type fakeSession struct {
	sarama.ConsumerGroupSession
	ctx context.Context

	mu     sync.Mutex
	marked int64
}

func (s *fakeSession) Context() context.Context { return s.ctx }

func (s *fakeSession) MarkOffset(_ string, _ int32, offset int64, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = offset
}

func (s *fakeSession) at() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marked
}

type fakeClaim struct {
	sarama.ConsumerGroupClaim
	records chan *sarama.ConsumerMessage
}

func (c *fakeClaim) Topic() string                            { return "t" }
func (c *fakeClaim) Partition() int32                         { return 0 }
func (c *fakeClaim) Messages() <-chan *sarama.ConsumerMessage { return c.records }

// claimed runs a claim of records with the offsets from 10 on.
func claimed(t *testing.T, records, concurrency int) (s *fakeSession, out chan *message.Message, revoke func(), ended chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s = &fakeSession{ctx: ctx}
	claim := &fakeClaim{records: make(chan *sarama.ConsumerMessage, records)}
	for i := range records {
		claim.records <- &sarama.ConsumerMessage{Topic: "t", Offset: int64(10 + i), Value: []byte{byte(i)}}
	}
	out = make(chan *message.Message)
	h := &handler{subscription: &subscription{
		driver: newDriver(options{
			backoff:   redelivery.Backoff{First: time.Second, Max: time.Hour},
			consumer:  consumer{concurrency: concurrency, limits: wide},
			producers: 1,
		}, slog.New(slog.DiscardHandler)),
		out: out, logger: slog.New(slog.DiscardHandler),
	}}
	session, done := s, make(chan struct{})
	go func() {
		defer close(done)
		if err := h.ConsumeClaim(session, claim); err != nil {
			t.Error(err)
		}
	}()
	return s, out, cancel, done
}

func TestAnOffsetIsMarkedAfterTheAckAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out, revoke, ended := claimed(t, 2, 1)
		first := <-out
		synctest.Wait()
		if s.at() != 0 {
			t.Fatalf("marked %d before the ack", s.at())
		}
		first.Ack()
		second := <-out
		if s.at() != 11 {
			t.Fatalf("marked %d, want 11", s.at())
		}
		second.Ack()
		synctest.Wait()
		if s.at() != 12 {
			t.Fatalf("marked %d, want 12", s.at())
		}
		revoke()
		<-ended
	})
}

func TestARevokedPartitionIsLetGoOfAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out, revoke, ended := claimed(t, 2, 1)
		msg := <-out
		revoke()
		<-ended
		if msg.Context().Err() == nil {
			t.Error("the context of the message is alive")
		}
		msg.Ack()
		synctest.Wait()
		if s.at() != 0 {
			t.Errorf("a late ack marked %d", s.at())
		}
	})
}

func TestTheWaitAfterANackEndsWithTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out, revoke, ended := claimed(t, 1, 1)
		var waits []time.Duration
		msg := <-out
		for range 3 {
			msg.Nack()
			start := time.Now()
			msg = <-out
			waits = append(waits, time.Since(start))
		}
		for i, want := range []time.Duration{1, 2, 4} {
			want *= time.Second
			if waits[i] < want/2 || waits[i] > want {
				t.Errorf("wait %d was %s", i+1, waits[i])
			}
		}
		msg.Nack()
		synctest.Wait()
		start := time.Now()
		revoke()
		<-ended
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the claim was held for %s more", waited)
		}
		if s.at() != 0 {
			t.Errorf("marked %d", s.at())
		}
	})
}

func TestNobodyTakingAMessageHoldsNoRevokedPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, revoke, ended := claimed(t, 1, 1)
		synctest.Wait()
		revoke()
		<-ended
	})
}
