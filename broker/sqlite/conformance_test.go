package sqlite_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	_ "github.com/sluicegate/sluicegate/broker/sqlite"
)

func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	brokertest.Run(t, brokertest.Harness{
		URL: func(brokertest.T) string { return "sqlite://" + path + "?nack_delay=20ms&nack_delay_max=200ms" },
		Declared: broker.Capabilities{
			Driver: "sqlite", Order: broker.OrderByKey, Groups: true, KeyConcurrency: true, OldMessages: true,
			Persistent: true, RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
		},
		Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
			foreign(t, path, topic, key, value, headers)
		},
		MinNackDelay: 10 * time.Millisecond,
	})
}

// foreign writes a message as another program does, by the recipe in doc.go.
func foreign(t brokertest.T, path, topic string, key, value []byte, headers []brokertest.Header) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer func() { _ = db.Close() }()
	list := []byte{'{'}
	for i, h := range headers {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(append(append(append(append(list, '"'), h.Key...), `":"`...), h.Value...), '"')
	}
	list = append(list, '}')
	if key == nil {
		key = []byte{}
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, step := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO sluicegate_queue_topic (name) VALUES (?) ON CONFLICT DO NOTHING", []any{topic}},
		{"INSERT INTO sluicegate_queue_message (topic_id, message_key, payload, headers) SELECT id, ?, ?, ? FROM sluicegate_queue_topic WHERE name = ?", []any{key, value, list, topic}},
		{"INSERT INTO sluicegate_queue_pending (group_id, shard, message_id, key_hash) SELECT g.id, m.shard, m.id, m.key_hash " +
			"FROM sluicegate_queue_message m JOIN sluicegate_queue_group g ON g.topic_id = m.topic_id WHERE m.id = last_insert_rowid()", nil},
	} {
		if _, err := tx.Exec(step.query, step.args...); err != nil {
			t.Fatalf("foreign message: %v", err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func TestWatermillsOwnSuite(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			brokertest.Watermill(t, "sqlite://"+path+"?nack_delay_max=100ms", tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				Persistent:          true,
				ForceShort:          true,
			})
		})
	}
}
