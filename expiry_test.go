package sluicegate_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

func TestAMessageWhoseTimeIsOverIsAckedUnhandled(t *testing.T) {
	strengths(t, func(t *testing.T, db *sql.DB, cfg sluicegate.Config) {
		var seen events
		cfg.Observe = seen.observe
		s, err := sluicegate.New(db, cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, r := openMemory(t), newRouter(t)
		if err := s.Handle(r, "stock", "orders", b.Group("stock"), insertEffect); err != nil {
			t.Fatal(err)
		}
		running(t, s, r)
		for id, at := range map[string]time.Time{"late": time.Now().Add(-time.Second), "in time": time.Now().Add(time.Hour)} {
			msg := message.NewMessage(id, nil)
			forwarder.SetExpiry(msg, at)
			if err := b.Publish("orders", msg); err != nil { // returns once it is acked
				t.Fatal(err)
			}
		}
		if n := count(t, db, "SELECT COUNT(*) FROM effect"); n != 1 || seen.count(sluicegate.Expired) != 1 {
			t.Errorf("%d effects and %d expired, want one of each", n, seen.count(sluicegate.Expired))
		}
	})
}

func TestAMessageThatExpiresWhileItIsParkedLeavesNothingBehind(t *testing.T) {
	cfg := soon()
	cfg.Retention = time.Hour
	parking(t, cfg, func(s *shop) {
		s.publish("order-1", "sluicegate_expires_at", s.begun.Add(90*time.Second).UTC().Format(time.RFC3339Nano))
		s.after(2*time.Minute + time.Second)
		if n := len(s.called("order-1")); n != 4 {
			t.Errorf("%d attempts, want 3 at once and one before it expired", n)
		}
		if n := s.seen.count(sluicegate.Expired); n != 1 {
			t.Errorf("%d expired, want 1", n)
		}
		if n := count(s.t, s.db, "SELECT COUNT(*) FROM sluicegate_task WHERE status = 'expired'"); n != 1 || len(s.letters()) != 0 {
			t.Errorf("%d tasks have expired and there are %d dead letters, want one and none", n, len(s.letters()))
		}
		record := sqlRecord(s)
		if s.cfg.Store != nil {
			record = s.cfg.Store
		}
		key := idemstore.Key{Handler: "stock", ID: "order-1"}
		if err := record.Transition(s.t.Context(), key, idemstore.Transition{From: []idemstore.State{idemstore.Released}, To: idemstore.Released, Retention: time.Hour}); err != nil {
			t.Errorf("the record is not released: %v", err)
		}
		s.effects(0)
	})
}

func sqlRecord(s *shop) idempotency.Store {
	store, err := sqlstore.New(s.db, sqlstore.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}
