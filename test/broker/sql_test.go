package broker_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	_ "github.com/sluicegate/sluicegate/broker/mysql"
	_ "github.com/sluicegate/sluicegate/broker/postgres"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// sqlServer is a database with tables of one test alone.
type sqlServer struct {
	driver  string
	dialect sqldialect.Dialect
	raw     string // of the broker, with parameters
	db      *sql.DB
	names   sqldialect.Names
}

func (s *sqlServer) table(name string) string { return s.names.Table(s.dialect, name) }

// url returns the broker's URL with further parameters.
func (s *sqlServer) url(params string) string {
	if params == "" {
		return s.raw
	}
	return s.raw + "&" + params
}

func (s *sqlServer) open(t testing.TB, params string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), s.url(params), broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// exec runs a statement with ? as placeholders.
func (s *sqlServer) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := s.db.Exec(s.dialect.Bind(query), args...); err != nil {
		t.Fatalf("%.100s: %v", query, err)
	}
}

func (s *sqlServer) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := s.db.QueryRow(s.dialect.Bind(query), args...).Scan(&n); err != nil {
		t.Fatalf("%.100s: %v", query, err)
	}
	return n
}

// sqlServers runs a test on each server whose URL is set.
func sqlServers(t *testing.T, run func(t *testing.T, s *sqlServer)) {
	for name, variable := range sqlURLs {
		t.Run(name, func(t *testing.T) { run(t, newSQLServer(t, variable)) })
	}
}

func newSQLServer(t testing.TB, variable string) *sqlServer {
	t.Helper()
	raw := os.Getenv(variable)
	if raw == "" {
		t.Skip(variable + " is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	db, err := database.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := &sqlServer{driver: "mysql", dialect: sqldialect.MySQL, db: db}
	id := strings.ReplaceAll(unique("q"), "-", "_")
	own := "schema=" + id
	if variable == "POSTGRES_URL" {
		s.driver, s.dialect, s.names.Schema = "postgres", sqldialect.PostgreSQL, id
	} else {
		own, s.names.Prefix = "prefix="+id+"_", id+"_"
	}
	s.raw = raw + "?" + own
	if strings.Contains(raw, "?") {
		s.raw = raw + "&" + own
	}
	t.Cleanup(func() {
		if s.names.Schema != "" {
			_, _ = db.Exec("DROP SCHEMA IF EXISTS " + id + " CASCADE")
		} else {
			for _, table := range schema.Tables() {
				_, _ = db.Exec("DROP TABLE IF EXISTS " + s.table(table))
			}
		}
		_ = db.Close()
	})
	return s
}

func TestSQLKeepsItsGuarantees(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		brokertest.Run(t, brokertest.Harness{
			URL: func(brokertest.T) string { return s.url("nack_delay=20ms&nack_delay_max=200ms") },
			Declared: broker.Capabilities{
				Driver: s.driver, Order: broker.OrderByKey, Groups: true, KeyConcurrency: true, OldMessages: true,
				Persistent: true, SplitProcesses: true, RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
			},
			Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
				s.foreign(t, topic, key, value, headers)
			},
			Patience:     20 * time.Second,
			MinNackDelay: 10 * time.Millisecond,
		})
	})
}

// foreign writes a message as another program does, by the recipe of the
// drivers' doc.go.
func (s *sqlServer) foreign(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
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
	tx, err := s.db.Begin()
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer func() { _ = tx.Rollback() }()
	newTopic := "INSERT INTO " + s.table(schema.QueueTopic) + " (name) VALUES (?) ON CONFLICT DO NOTHING"
	if s.dialect == sqldialect.MySQL {
		newTopic = "INSERT IGNORE INTO " + s.table(schema.QueueTopic) + " (name) VALUES (?)"
	}
	pending := "INSERT INTO " + s.table(schema.QueuePending) + " (group_id, shard, message_id, key_hash) SELECT g.id, 0, ?, 0 FROM " +
		s.table(schema.QueueGroup) + " g JOIN " + s.table(schema.QueueTopic) + " t ON g.topic_id = t.id WHERE t.name = ?"
	insert := "INSERT INTO " + s.table(schema.QueueMessage) + " (topic_id, message_key, payload, headers, created_at) SELECT id, ?, ?, ?, " +
		s.dialect.Now() + " FROM " + s.table(schema.QueueTopic) + " WHERE name = ?"
	if _, err := tx.Exec(s.dialect.Bind(newTopic), topic); err != nil {
		t.Fatalf("foreign topic: %v", err)
	}
	var id int64
	if s.dialect == sqldialect.PostgreSQL {
		err = tx.QueryRow(s.dialect.Bind(insert+" RETURNING id"), key, value, list, topic).Scan(&id)
	} else {
		var res sql.Result
		if res, err = tx.Exec(insert, key, value, list, topic); err == nil {
			id, err = res.LastInsertId()
		}
	}
	if err == nil {
		_, err = tx.Exec(s.dialect.Bind(pending), id, topic)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		t.Fatalf("foreign message: %v", err)
	}
}

func TestSQLPassesWatermillsOwnSuite(t *testing.T) {
	sqlServers(t, func(t *testing.T, s *sqlServer) {
		for _, exactlyOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
				brokertest.Watermill(t, s.url("nack_delay_max=100ms"), tests.Features{
					ConsumerGroups:      true,
					ExactlyOnceDelivery: exactlyOnce,
					Persistent:          true,
					ForceShort:          true,
				})
			})
		}
	})
}
