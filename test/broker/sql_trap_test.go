package broker_test

import (
	"strings"
	"testing"
	"time"

	wmsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// sqlPair is a stock publisher and subscriber of watermill-sql, or ours.
type sqlPair struct {
	name   string
	pub    message.Publisher
	member func(t *testing.T) message.Subscriber // of one group
}

func (s *sqlServer) stockPair(t *testing.T, topic string) sqlPair {
	t.Helper()
	adapter, offsets := wmsql.DefaultPostgreSQLSchema{}, wmsql.DefaultPostgreSQLOffsetsAdapter{}
	t.Cleanup(func() {
		for _, table := range []string{"watermill_" + topic, "watermill_offsets_" + topic} {
			_, _ = s.db.Exec("DROP TABLE IF EXISTS " + s.dialect.Quote(table))
		}
	})
	pub, err := wmsql.NewPublisher(s.db, wmsql.PublisherConfig{SchemaAdapter: adapter, AutoInitializeSchema: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pub.Close() })
	return sqlPair{name: "stock", pub: pub, member: func(t *testing.T) message.Subscriber {
		t.Helper()
		sub, err := wmsql.NewSubscriber(s.db, wmsql.SubscriberConfig{
			ConsumerGroup: "stock", PollInterval: 10 * time.Millisecond, ResendInterval: 10 * time.Millisecond,
			SchemaAdapter: adapter, OffsetsAdapter: offsets, InitializeSchema: true,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sub.Close() })
		return sub
	}}
}

func (s *sqlServer) ourPair(t *testing.T) sqlPair {
	t.Helper()
	b := s.open(t, "nack_delay=10ms&nack_delay_max=10ms")
	return sqlPair{name: "ours", pub: b, member: func(*testing.T) message.Subscriber { return b.Group("stock") }}
}

func (p sqlPair) publish(t *testing.T, topic string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		msg := message.NewMessage(id, []byte(`{}`)) // their columns take JSON alone
		msg.Metadata.Set(header.Key, id)
		if err := p.pub.Publish(topic, msg); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrapAFailingMessageBlocksAllOthersOnTheStockSQLSubscriber(t *testing.T) {
	s := newSQLServer(t, "POSTGRES_URL")
	topic := strings.ReplaceAll(unique("trap"), "-", "_")
	for _, p := range []sqlPair{s.stockPair(t, topic), s.ourPair(t)} {
		ch := subscribe(t, p.member(t), topic)
		p.publish(t, topic, "bad", "good")
		came := false
		for deadline := time.After(2 * time.Second); !came; {
			select {
			case msg := <-ch:
				if came = msg.UUID == "good"; came {
					msg.Ack()
				} else {
					msg.Nack()
				}
				continue
			case <-deadline:
			}
			break
		}
		if came != (p.name == "ours") {
			t.Errorf("%s: the message behind the failing one came: %t", p.name, came)
		}
	}
}

func TestTrapASecondMemberOfAGroupStandsByOnTheStockSQLSubscriber(t *testing.T) {
	s := newSQLServer(t, "POSTGRES_URL")
	topic := strings.ReplaceAll(unique("trap"), "-", "_")
	for _, p := range []sqlPair{s.stockPair(t, topic), s.ourPair(t)} {
		first, second := subscribe(t, p.member(t), topic), subscribe(t, p.member(t), topic)
		p.publish(t, topic, "1", "2", "3", "4")
		held := 0
		for deadline := time.After(2 * time.Second); held < 4; held++ {
			select {
			case <-first:
				continue
			case <-second:
				continue
			case <-deadline:
			}
			break
		}
		if want := map[string]int{"stock": 1, "ours": 4}[p.name]; held != want {
			t.Errorf("%s: %d messages are under way, want %d", p.name, held, want)
		}
	}
}

func TestTrapAnOpenWriteTransactionStallsTheStockSQLSubscriberOnPostgreSQL(t *testing.T) {
	s := newSQLServer(t, "POSTGRES_URL")
	topic := strings.ReplaceAll(unique("trap"), "-", "_")
	for _, p := range []sqlPair{s.stockPair(t, topic), s.ourPair(t)} {
		ch := subscribe(t, p.member(t), topic)
		tx, err := s.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("CREATE TEMPORARY TABLE elsewhere (id INTEGER)"); err != nil {
			t.Fatal(err)
		}
		p.publish(t, topic, "1")
		stalled := !comes(ch, time.Second)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if stalled != (p.name == "stock") {
			t.Errorf("%s: stalled by a transaction that has nothing to do with it: %t", p.name, stalled)
		}
	}
}
