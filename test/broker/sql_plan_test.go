package broker_test

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// planMessages is how many messages lie in the queue while plans are looked at.
const planMessages = 100_000

// fillQueue puts them there for a group, in a topic, by the database.
func (s *sqlServer) fillQueue(t *testing.T, topic string) {
	t.Helper()
	series := fmt.Sprintf("generate_series(1, %d) n", planMessages)
	if s.dialect == sqldialect.MySQL {
		series = fmt.Sprintf("(SELECT seq AS n FROM seq_1_to_%d) s", planMessages)
	}
	s.exec(t, "INSERT INTO "+s.table(schema.QueueMessage)+" (topic_id, shard, key_hash, message_key, message_uuid, payload, headers, created_at)"+
		" SELECT t.id, n % 32, n, 'k', CAST(n AS CHAR(10)), 'x', '{}', "+s.dialect.Now()+" FROM "+s.table(schema.QueueTopic)+" t, "+series+" WHERE t.name = ?", topic)
	s.exec(t, "INSERT INTO "+s.table(schema.QueuePending)+" (group_id, shard, message_id, key_hash) SELECT g.id, m.shard, m.id, m.key_hash FROM "+
		s.table(schema.QueueMessage)+" m JOIN "+s.table(schema.QueueGroup)+" g ON g.topic_id = m.topic_id")
}

// work has a group consume and a publisher publish, with the tables full.
func (s *sqlServer) work(t *testing.T, b *broker.Broker, group message.Subscriber, topic string) {
	t.Helper()
	ch := subscribe(t, group, topic)
	for range 5_000 {
		(<-ch).Ack()
	}
	publishKeyed(t, b, topic, "a", "b", "c")
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
}

// PostgreSQL counts itself what it read without an index.
func TestSQLTheQueueIsReadByIndexesOnPostgreSQL(t *testing.T) {
	s := newSQLServer(t, "POSTGRES_URL")
	b, topic := s.open(t, ""), unique("orders")
	group := b.Group(unique("stock"))
	publishKeyed(t, b, topic, "first") // plans of a small table are made here
	warmUp(t, group, topic)
	s.fillQueue(t, topic)
	read := func() (n int) {
		s.exec(t, "SELECT pg_stat_clear_snapshot()")
		return s.count(t, "SELECT SUM(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = ? AND relname LIKE 'sluicegate_queue_%'", s.names.Schema)
	}
	before := read()
	s.work(t, b, b.Group("again"), topic) // a new group: its backlog is handed over too
	again := b.Group("again")
	s.work(t, b, again, topic)
	// Handing the backlog to a new group reads all of it, in whatever way.
	if n := read() - before; n > planMessages*3/2 {
		t.Errorf("%d rows were read one after the other", n)
	}
}

func warmUp(t *testing.T, group message.Subscriber, topic string) {
	t.Helper()
	next(t, subscribe(t, group, topic)).Ack()
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
}

// wiretap passes connections on to a MySQL server and notes the statements,
// which are text since the driver puts the values in.
type wiretap struct {
	listener net.Listener
	mu       sync.Mutex
	queries  map[string]string // by shape
}

var numbers = regexp.MustCompile(`-?\d+(,\s*-?\d+)*`)

func newWiretap(t *testing.T, server string) *wiretap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{listener: l, queries: map[string]string{}}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		passing.Wait()
	})
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			passing.Go(func() {
				_, _ = io.Copy(client, upstream)
				_ = client.Close()
			})
			passing.Go(func() {
				w.pass(client, upstream)
				_ = upstream.Close()
			})
		}
	})
	return w
}

func (w *wiretap) pass(client io.Reader, server io.Writer) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32([]byte{head[0], head[1], head[2], 0}))
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if len(body) > 0 && body[0] == 3 && head[3] == 0 { // COM_QUERY
			query := string(body[1:])
			w.mu.Lock()
			w.queries[numbers.ReplaceAllString(query, "#")] = query
			w.mu.Unlock()
		}
		if _, err := server.Write(append(head[:], body...)); err != nil {
			return
		}
	}
}

func TestSQLTheQueueIsReadByIndexesOnMariaDB(t *testing.T) {
	s := newSQLServer(t, "MYSQL_URL")
	u, err := url.Parse(os.Getenv("MYSQL_URL"))
	if err != nil {
		t.Fatal(err)
	}
	tap := newWiretap(t, u.Host)
	b, err := broker.Open(t.Context(), strings.Replace(s.url("retain=0s"), u.Host, tap.listener.Addr().String(), 1), broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	topic := unique("orders")
	group := b.Group("stock")
	publishKeyed(t, b, topic, "first")
	warmUp(t, group, topic)
	s.fillQueue(t, topic)
	s.exec(t, "ANALYZE TABLE "+s.table(schema.QueueMessage)+", "+s.table(schema.QueuePending))
	s.work(t, b, b.Group("again"), topic)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, query := range tap.queries {
		verb, _, _ := strings.Cut(query, " ")
		if !strings.Contains(query, "queue_") || verb == "CREATE" || strings.Contains(query, "VALUES") && !strings.Contains(query, "SELECT") {
			continue
		}
		seen[strings.Trim(verb, "(")]++
		for _, step := range s.explain(t, query) {
			rows, _ := strconv.Atoi(step["rows"])
			if walk := step["type"] == "ALL" || step["type"] == "index"; walk && rows > planMessages/10 || strings.Contains(step["Extra"], "filesort") && rows > planMessages/10 {
				t.Errorf("%.300s\n%v", query, step)
			}
		}
	}
	for _, verb := range []string{"SELECT", "INSERT", "DELETE"} {
		if seen[verb] == 0 {
			t.Errorf("no %s was seen: this run shows nothing", verb)
		}
	}
}

// explain returns the steps of a query's plan.
func (s *sqlServer) explain(t *testing.T, query string) (steps []map[string]string) {
	t.Helper()
	rows, err := s.db.Query("EXPLAIN " + query)
	if err != nil {
		t.Fatalf("explain %.200s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		step := map[string]string{}
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			step[columns[i]] = v.String
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
