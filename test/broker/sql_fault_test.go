package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// sqlChild is the variable that makes this program a consumer to be killed.
const sqlChild = "SLUICEGATE_TEST_SQL_CONSUMER"

// TestSQLConsumer is the child of TestSQLAKilledConsumersMessagesComeAgain. It
// takes one message and never acks it.
func TestSQLConsumer(t *testing.T) {
	where := strings.Fields(os.Getenv(sqlChild))
	if len(where) != 3 {
		t.Skip("is run by another test as a process of its own")
	}
	b, err := broker.Open(context.Background(), where[0], broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := b.Group(where[2]).Subscribe(context.Background(), where[1])
	if err != nil {
		t.Fatal(err)
	}
	msg := <-ch
	fmt.Println("took", msg.UUID)
	select {}
}

func TestSQLAKilledConsumersMessagesComeAgain(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		const lease = 2 * time.Second
		b := s.open(t, "lease=2s")
		topic, group := unique("orders"), unique("stock")
		publishKeyed(t, b, topic, "first")
		child := exec.Command(os.Args[0], "-test.run=^TestSQLConsumer$", "-test.v") //nolint:gosec // this program
		child.Env = append(os.Environ(), sqlChild+"="+s.url("lease=2s")+" "+topic+" "+group)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "took "); {
		}
		ch := subscribe(t, b.Group(group), topic)
		if comes(ch, lease+lease/2) {
			t.Fatal("the message went to another one while its handler was at work")
		}
		killed := time.Now()
		_ = child.Process.Kill()
		_ = child.Wait()
		if first := next(t, ch); string(first.Payload) != "first" {
			t.Errorf("then came %q", first.Payload)
		} else {
			first.Ack()
		}
		if took := time.Since(killed); took > lease+lease/2 {
			t.Errorf("the takeover took %s, the lease is %s", took, lease)
		}
	})
}

// steal gives every shard to another owner, as if this one had been frozen for
// longer than its lease.
func (s *sqlServer) steal(t *testing.T) {
	t.Helper()
	s.exec(t, "UPDATE "+s.table(schema.Lease)+" SET owner = 'thief', fence = fence + 1, expires_at = "+s.dialect.Now()+" + 3000000 WHERE name LIKE '%/part/%'")
}

func TestSQLAStaleOwnerDeletesNothing(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		b := s.open(t, "lease=1m") // long, so that only the fencing number can tell
		topic, group := unique("orders"), unique("stock")
		publishKeyed(t, b, topic, "first")
		stale := b.Group(group)
		ch := subscribe(t, stale, topic)
		msg := next(t, ch)
		s.steal(t)
		msg.Ack()
		select { // the subscription learns of it when it wants to delete
		case <-time.After(500 * time.Millisecond):
		case msg := <-ch:
			t.Fatalf("%q came while another owner has the shard", msg.Payload)
		}
		if n := s.count(t, "SELECT COUNT(*) FROM "+s.table(schema.QueuePending)); n != 1 {
			t.Fatalf("%d rows are pending after a stale Ack, want 1", n)
		}
		_ = stale.Close()
		second := s.open(t, "lease=2s")
		if again := next(t, subscribe(t, second.Group(group), topic)); string(again.Payload) != "first" {
			t.Errorf("then came %q", again.Payload)
		} else {
			again.Ack()
		}
	})
}

func TestSQLAStolenShardCancelsWhatIsUnderWay(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		b := s.open(t, "lease=2s")
		topic := unique("orders")
		publishKeyed(t, b, topic, "first")
		ch := subscribe(t, b.Group(unique("stock")), topic)
		msg := next(t, ch)
		s.steal(t)
		select {
		case <-msg.Context().Done():
		case <-time.After(5 * time.Second):
			t.Fatal("the context of a message outlives the claim")
		}
		if msg.Ack() {
			t.Error("an Ack after the claim was taken")
		}
		next(t, ch).Ack() // the thief never renews
	})
}

func TestSQLAnOpenWriteTransactionElsewhereStallsNothing(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		b := s.open(t, "")
		topic := unique("orders")
		ch := subscribe(t, b.Group(unique("stock")), topic)
		publishKeyed(t, b, topic, "before")
		next(t, ch).Ack()
		s.exec(t, "CREATE TABLE "+s.table("elsewhere")+" (id INTEGER PRIMARY KEY)")
		t.Cleanup(func() { _, _ = s.db.Exec("DROP TABLE " + s.table("elsewhere")) })
		tx, err := s.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec("INSERT INTO " + s.table("elsewhere") + " VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		publishKeyed(t, b, topic, "meanwhile")
		next(t, ch).Ack()
		newcomer := next(t, subscribe(t, b.Group(unique("late")), topic))
		if took := time.Since(start); took > 2*time.Second || string(newcomer.Payload) != "before" {
			t.Errorf("it took %s, the new group got %q", took, newcomer.Payload)
		}
	})
}

// A publisher is held between its INSERT and its COMMIT, as a slow one is, while
// later numbers are committed and delivered.
func TestSQLAMessageThatCommitsLateIsDelivered(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		b := s.open(t, "")
		topic := unique("orders")
		ch := subscribe(t, b.Group(unique("stock")), topic)
		publishKeyed(t, b, topic, "before")
		next(t, ch).Ack()
		tx, err := s.db.BeginTx(t.Context(), s.dialect.TxOptions())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		insert := "INSERT INTO " + s.table(schema.QueueMessage) + " (topic_id, message_key, message_uuid, payload, headers, created_at) SELECT topic_id, 'late', 'late', payload, headers, created_at FROM " +
			s.table(schema.QueueMessage)
		var id int64
		if s.dialect == sqldialect.PostgreSQL {
			err = tx.QueryRow(insert + " RETURNING id").Scan(&id)
		} else if res, execErr := tx.Exec(insert); execErr == nil {
			id, err = res.LastInsertId()
		} else {
			err = execErr
		}
		if err == nil {
			_, err = tx.Exec(s.dialect.Bind("INSERT INTO "+s.table(schema.QueuePending)+" (group_id, shard, message_id, key_hash) SELECT id, 0, ?, 0 FROM "+s.table(schema.QueueGroup)), id)
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := range 50 { // every shard is read beyond the late number
			publishKeyed(t, b, topic, fmt.Sprint(n))
			next(t, ch).Ack()
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		// What its writer publishes next does not come before it.
		s.foreign(t, topic, []byte("late"), []byte("after"), nil)
		for _, want := range []string{"late", "after"} {
			msg := next(t, ch)
			if msg.UUID != want && string(msg.Payload) != want {
				t.Errorf("%q came, want %q", msg.Payload, want)
			}
			msg.Ack()
		}
	})
}

func TestSQLMigrationsAtOnceFromSeveralBrokers(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		topic := unique("orders")
		var wg sync.WaitGroup
		for n := range 4 {
			b := s.open(t, fmt.Sprint("pool_max_conns=", 2+n)) // pools of their own, as processes have
			wg.Go(func() {
				if err := b.Publish(topic, message.NewMessage(fmt.Sprint(n), nil)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.count(t, "SELECT COUNT(*) FROM "+s.table(schema.QueueTopic)); n != 1 {
			t.Errorf("the topic was made %d times", n)
		}
		ch := subscribe(t, s.open(t, "").Group(unique("stock")), topic)
		for range 4 {
			next(t, ch).Ack()
		}
	})
}

// A group that is made while others publish gets each message once: from its
// publisher, or as backlog.
func TestSQLAGroupThatIsMadeDuringPublishingMissesNothing(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		b, topic := s.open(t, ""), unique("orders")
		const publishers, each, groups = 4, 100, 8
		var publishing, consuming sync.WaitGroup
		for p := range publishers {
			publishing.Go(func() {
				for n := range each {
					if err := b.Publish(topic, message.NewMessage(fmt.Sprintf("%d/%d", p, n), nil)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for g := range groups {
			<-time.After(20 * time.Millisecond)
			ch := subscribe(t, b.Group(fmt.Sprint(g)), topic)
			consuming.Go(func() {
				seen := map[string]int{}
				for deadline := time.After(patience); len(seen) < publishers*each; {
					select {
					case msg := <-ch:
						msg.Ack()
						if seen[msg.UUID]++; seen[msg.UUID] > 1 {
							t.Errorf("group %d got %s twice", g, msg.UUID)
						}
					case <-deadline:
						t.Errorf("group %d got %d of %d messages", g, len(seen), publishers*each)
						return
					}
				}
			})
		}
		publishing.Wait()
		consuming.Wait()
	})
}

func TestSQLWithoutMigrateTheLackOfTablesIsSaid(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		err := s.open(t, "migrate=false").Publish("t", message.NewMessage("1", nil))
		if err == nil || !strings.Contains(err.Error(), "schema is outdated") {
			t.Errorf("got %v", err)
		}
	})
}

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
					msg := message.NewMessage(fmt.Sprintf("%d/%d", k, n), []byte(fmt.Sprint(n)))
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
