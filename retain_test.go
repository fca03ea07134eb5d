package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

const (
	hour = int64(time.Hour / time.Microsecond)
	now  = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
)

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestARunningStackRemovesWhatIsOverAndNothingElse(t *testing.T) {
	db := openDB(t)
	for _, row := range []struct {
		key  string
		over int64
	}{{"old", -hour}, {"young", hour}} {
		exec(t, db, "INSERT INTO sluicegate_inbox (handler, message_key, status, expires_at) VALUES ('stock', ?, 'done', "+now+" + ?)", row.key, row.over)
	}
	for _, row := range []struct {
		status string
		age    int64
	}{{"dead", 3 * hour}, {"dead", hour}, {"redriven", 3 * hour}, {"redriven", hour}} {
		exec(t, db, "INSERT INTO sluicegate_dead_letter (status, handler, topic, message_key, message_uuid, headers, reason, attempt_count, attempts, dead_at)"+
			" VALUES (?, 'stock', 'orders', 'k', 'u', '{}', 'r', 1, '[]', "+now+" - ?)", row.status, row.age)
	}
	s, err := sluicegate.New(db, sluicegate.Config{Retain: sluicegate.RetainConfig{Dead: 2 * time.Hour, Redriven: 30 * time.Minute, Every: 5 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	b, r := openMemory(t), newRouter(t)
	if err := s.Handle(r, "stock", "orders", b.Group("stock"), insertEffect); err != nil {
		t.Fatal(err)
	}
	running(t, s, r)
	deadline := time.After(10 * time.Second)
	for count(t, db, "SELECT (SELECT COUNT(*) FROM sluicegate_inbox) + (SELECT COUNT(*) FROM sluicegate_dead_letter)") > 2 {
		select {
		case <-deadline:
			t.Fatal("what is over stays")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := b.Publish("orders", message.NewMessage("order-1", nil)); err != nil { // a round or more later
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT COUNT(*) FROM sluicegate_inbox WHERE message_key = 'young'"); n != 1 {
		t.Error("a record within its retention was removed")
	}
	if n := count(t, db, "SELECT COUNT(*) FROM sluicegate_dead_letter WHERE status = 'dead'"); n != 1 {
		t.Errorf("%d dead letters, want the one within its retention", n)
	}
}

func TestRetentionsThatCannotBeAreNamed(t *testing.T) {
	_, err := sluicegate.New(openDB(t), sluicegate.Config{Retain: sluicegate.RetainConfig{Dead: -1, Redriven: -1, Parked: -1, GivenUp: -1, Every: -1}})
	for _, field := range []string{"Config.Retain.Dead", "Config.Retain.Redriven", "Config.Retain.Parked", "Config.Retain.GivenUp", "Config.Retain.Every"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
}

func TestTasksOfParkedMessagesAreRemovedWhenTheirRetentionIsOver(t *testing.T) {
	for name, tc := range map[string]struct {
		retain sluicegate.RetainConfig
		want   [3]int // tasks after 3, 6 and 26 hours
	}{
		"default":    {want: [3]int{2, 2, 1}},
		"configured": {sluicegate.RetainConfig{Parked: time.Hour, GivenUp: 4 * time.Hour}, [3]int{1, 0, 0}},
		"off":        {sluicegate.RetainConfig{Off: true, Parked: time.Hour}, [3]int{2, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := soon()
			cfg.Retain = tc.retain
			parking(t, cfg, func(s *shop) {
				s.fail = func(_ context.Context, msg *message.Message) error {
					if msg.UUID == "given up" || len(s.called(msg.UUID)) < 4 {
						return errors.New("refused")
					}
					return nil
				}
				s.publish("given up")
				s.publish("healed")
				for i, at := range []time.Duration{3 * time.Hour, 6 * time.Hour, 26 * time.Hour} {
					s.after(at)
					if n := count(s.t, s.db, "SELECT COUNT(*) FROM sluicegate_task"); n != tc.want[i] {
						s.t.Errorf("after %s: %d tasks, want %d", at, n, tc.want[i])
					}
				}
			})
		})
	}
}
