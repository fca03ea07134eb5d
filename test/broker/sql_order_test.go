package broker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schema"
)

// orderOf notes per key what was delivered first, and what is under way.
type orderOf struct {
	mu       sync.Mutex
	last     map[string]int
	seen     map[string]bool
	underWay map[string]*message.Message
	again    int
}

func (o *orderOf) note(t *testing.T, msg *message.Message) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := msg.Metadata.Get(header.Key)
	if other := o.underWay[key]; other != nil && other.Context().Err() == nil {
		t.Errorf("key %s: %s is under way beside %s", key, msg.UUID, other.UUID)
	}
	o.underWay[key] = msg
	if o.seen[msg.UUID] {
		o.again++
		return false
	}
	o.seen[msg.UUID] = true
	var n int
	_, _ = fmt.Sscan(string(msg.Payload), &n)
	if n != o.last[key]+1 {
		t.Errorf("key %s: %d came after %d", key, n, o.last[key])
	}
	o.last[key] = n
	return true
}

func TestSQLMembersThatComeAndGoKeepTheOrderOfEachKey(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		const keys, each = 40, 60
		publisher := s.open(t, "")
		topic, group := unique("orders"), unique("stock")
		o := &orderOf{last: map[string]int{}, seen: map[string]bool{}, underWay: map[string]*message.Message{}}
		total, all := 0, make(chan struct{})
		deliver := func(ch <-chan *message.Message) {
			var handlers sync.WaitGroup
			defer handlers.Wait()
			for msg := range ch {
				handlers.Go(func() {
					first := o.note(t, msg)
					select { // some work
					case <-time.After(20 * time.Millisecond):
					case <-msg.Context().Done():
					}
					o.mu.Lock()
					defer o.mu.Unlock()
					if o.underWay[msg.Metadata.Get(header.Key)] == msg {
						delete(o.underWay, msg.Metadata.Get(header.Key))
					}
					if first {
						if total++; total == keys*each {
							close(all)
						}
					}
					msg.Ack()
				})
			}
		}
		var members sync.WaitGroup
		member := func(params string) message.Subscriber {
			// Of a pool of its own, so that the members hear of each other by the table alone.
			g := s.open(t, "lease=2s&concurrency=8&"+params).Group(group)
			ch := subscribe(t, g, topic)
			members.Go(func() { deliver(ch) })
			return g
		}
		first := member("pool_max_conns=5")
		publishing := make(chan struct{})
		go func() {
			defer close(publishing)
			for n := 1; n <= each; n++ {
				batch := make([]broker.Outgoing, keys)
				for k := range batch {
					msg := message.NewMessage(fmt.Sprintf("%d/%d", k, n), fmt.Append(nil, n))
					msg.Metadata.Set(header.Key, fmt.Sprint(k))
					batch[k] = broker.Outgoing{Topic: topic, Message: msg}
				}
				for _, err := range publisher.PublishBatch(t.Context(), batch) {
					if err != nil {
						t.Error(err)
						return
					}
				}
				<-time.After(50 * time.Millisecond)
			}
		}()
		owners := "SELECT COUNT(DISTINCT owner) FROM " + s.table(schema.Lease) + " WHERE name LIKE '%/part/%' AND owner <> ''"
		reach := func(want int) {
			t.Helper()
			for deadline := time.Now().Add(patience); s.count(t, owners) != want; <-time.After(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the shards have %d owners, want %d", s.count(t, owners), want)
				}
			}
		}
		second := member("pool_max_conns=6")
		reach(2)
		third := member("pool_max_conns=7")
		reach(3)
		o.mu.Lock()
		if o.again > 0 {
			t.Errorf("%d messages came again because members joined", o.again)
		}
		o.mu.Unlock()
		_ = first.Close()
		reach(2)
		_ = second.Close()
		reach(1)
		<-publishing
		select {
		case <-all:
		case <-time.After(patience):
			t.Errorf("%d of %d messages came", len(o.seen), keys*each)
		}
		_ = third.Close()
		members.Wait()
	})
}
