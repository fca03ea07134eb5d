package sluicegate_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/forwarder"
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
