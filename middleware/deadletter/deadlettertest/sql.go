// Package deadlettertest proves deadletter.SQLStore on a database.
package deadlettertest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// Harness is a database with the tables of this module, empty.
type Harness struct {
	DB     *sql.DB
	Config deadletter.SQLConfig
}

// Run runs the suite; open is called for each case.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *deadletter.SQLStore, *sql.DB){
		"a letter comes back as it was put":                            comesBack,
		"what a database would refuse for ever is stored all the same": hostile,
		"a letter of a rolled back transaction is not there":           rolledBack,
		"pages follow the id and filters select":                       pages,
		"a letter that is not there is told":                           notFound,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			store, err := deadletter.SQL(h.DB, h.Config)
			if err != nil {
				t.Fatal(err)
			}
			test(t, store, h.DB)
		})
	}
}

func letter(n int) deadletter.Letter {
	msg := message.NewMessage(fmt.Sprint("uuid-", n), []byte("\x00\x01\xff"+strconv.Itoa(n)))
	msg.Metadata.Set("customer", "42 错")
	return deadletter.Letter{
		Consumer: "shop", Handler: fmt.Sprint("handler-", n%2), Topic: fmt.Sprint("topic-", n%3), Key: fmt.Sprint("key-", n),
		Message: msg, Reason: "boom 错",
		Attempts: []deadletter.Attempt{
			{Number: 1, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Duration: time.Second, Err: "first"},
			{Number: 2, StartedAt: time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC), Duration: time.Millisecond, Err: "boom 错"},
		},
	}
}

func put(t *testing.T, s *deadletter.SQLStore, l deadletter.Letter) deadletter.Letter {
	t.Helper()
	if err := s.Put(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context(), deadletter.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)-1]
}

func comesBack(t *testing.T, s *deadletter.SQLStore, _ *sql.DB) {
	t.Helper()
	want := letter(1)
	listed := put(t, s, want)
	got, err := s.Get(t.Context(), listed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID == 0 || got.Consumer != want.Consumer || got.Handler != want.Handler || got.Topic != want.Topic || got.Key != want.Key || got.Reason != want.Reason {
		t.Errorf("%+v", got)
	}
	if !got.Message.Equals(want.Message) {
		t.Errorf("message %+v", got.Message)
	}
	if len(got.Attempts) != 2 || got.Attempts[0] != want.Attempts[0] || got.Attempts[1] != want.Attempts[1] {
		t.Errorf("attempts %+v", got.Attempts)
	}
	if age := time.Since(got.At); age < -time.Minute || age > time.Minute {
		t.Errorf("set aside %s ago by the database's clock", age)
	}
}

func hostile(t *testing.T, s *deadletter.SQLStore, _ *sql.DB) {
	t.Helper()
	l := letter(1)
	l.Message = &message.Message{Metadata: message.Metadata{"bytes": "a\x00\xff\xfe", `quote"'\`: `{"base64":"eA=="}`}}
	l.Reason = "nul \x00 and \xff " + strings.Repeat("错", 3000)
	l.Topic, l.Handler = strings.Repeat("错", 200), "h\x00\xff"
	l.Key = strings.Repeat("k", 256)
	got := put(t, s, l)
	if !maps.Equal(got.Message.Metadata, l.Message.Metadata) || got.Message.UUID != "" || len(got.Message.Payload) != 0 {
		t.Errorf("message %+v", got.Message)
	}
	if got.Reason != strings.ToValidUTF8(strings.ReplaceAll(l.Reason, "\x00", "\uFFFD"), "\uFFFD") || got.Handler != "h\uFFFD" && got.Handler != "h\uFFFD\uFFFD" {
		t.Errorf("handler %q, reason %.40q", got.Handler, got.Reason)
	}
	if len(got.Topic) > 255 || !strings.HasPrefix(got.Topic, "错错") || len(got.Key) > 255 {
		t.Errorf("topic %q, key %q", got.Topic, got.Key)
	}
	other := l
	other.Key = strings.Repeat("k", 255) + "l"
	if put(t, s, other).Key == got.Key {
		t.Error("two long keys must stay different")
	}
	if n, err := s.Count(t.Context(), deadletter.Filter{Topic: l.Topic, Handler: l.Handler}); err != nil || n != 2 {
		t.Errorf("the filter must find what was shortened: %d, %v", n, err)
	}
	big := letter(2)
	big.Message.Payload = bytes.Repeat([]byte{7}, 1<<20)
	if got := put(t, s, big); !bytes.Equal(got.Message.Payload, big.Message.Payload) {
		t.Error("a payload of 1 MiB must come back whole")
	}
}

func rolledBack(t *testing.T, s *deadletter.SQLStore, db *sql.DB) {
	t.Helper()
	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutTx(t.Context(), tx, letter(1)); err != nil {
			t.Fatal(err)
		}
		want, end := int64(0), tx.Rollback
		if commit {
			want, end = 1, tx.Commit
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Count(t.Context(), deadletter.Filter{}); err != nil || n != want {
			t.Fatalf("%d letters, %v; want %d", n, err, want)
		}
	}
}

func pages(t *testing.T, s *deadletter.SQLStore, _ *sql.DB) {
	t.Helper()
	for n := range 10 {
		if err := s.Put(t.Context(), letter(n)); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	filter := deadletter.Filter{Limit: 3}
	for {
		page, err := s.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			keys = append(keys, l.Key)
		}
		filter.After = page[len(page)-1].ID
	}
	if got := strings.Join(keys, " "); got != "key-0 key-1 key-2 key-3 key-4 key-5 key-6 key-7 key-8 key-9" {
		t.Errorf("pages give %s", got)
	}
	for want, f := range map[int64]deadletter.Filter{
		10: {Limit: 1}, 5: {Handler: "handler-1"}, 4: {Topic: "topic-0"}, 2: {Handler: "handler-0", Topic: "topic-0", Consumer: "shop"}, 0: {Consumer: "other"},
	} {
		if n, err := s.Count(t.Context(), f); err != nil || n != want {
			t.Errorf("%+v counts %d, %v; want %d", f, n, err, want)
		}
		f.Limit = 0
		if l, err := s.List(t.Context(), f); err != nil || int64(len(l)) != want {
			t.Errorf("%+v lists %d, %v; want %d", f, len(l), err, want)
		}
	}
	for _, limit := range []int{-1, deadletter.MaxLimit + 1} {
		if _, err := s.List(t.Context(), deadletter.Filter{Limit: limit}); err == nil {
			t.Errorf("limit %d must be refused", limit)
		}
	}
}

func notFound(t *testing.T, s *deadletter.SQLStore, _ *sql.DB) {
	t.Helper()
	if _, err := s.Get(t.Context(), 4711); !errors.Is(err, deadletter.ErrNotFound) {
		t.Fatal(err)
	}
}
