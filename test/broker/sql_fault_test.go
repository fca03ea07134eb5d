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
	fmt.Fprintln(os.Stdout, "took", msg.UUID)
	select {}
}

func TestSQLAKilledConsumersMessagesComeAgain(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		const lease = 2 * time.Second
		b := s.open(t, "lease=2s")
		topic, group := unique("orders"), unique("stock")
		publishKeyed(t, b, topic, "first")
		child := exec.Command(os.Args[0], "-test.run=^TestSQLConsumer$", "-test.v")
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
