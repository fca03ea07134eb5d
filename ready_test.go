package sluicegate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestADatabaseWithoutTheTablesIsRefusedBeforeAMessageIsTaken(t *testing.T) {
	for what, cfg := range map[string]sluicegate.Config{
		"nothing is there":  {},
		"under this prefix": {Prefix: "other_"},
		"parking needs it":  {Store: memorystore.New(), DeadLetters: noLetters{}},
	} {
		t.Run(what, func(t *testing.T) {
			db := sqlitetest.Open(t)
			if cfg.Prefix != "" {
				sqlitetest.Migrate(t, db)
			}
			s, err := sluicegate.New(db, cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := newRouter(t)
			if err := s.HandleMessage(r, "stock", "orders", make(handed), "", func(*message.Message) ([]*message.Message, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			err = s.Run(t.Context(), r)
			if !errors.Is(err, schema.ErrOutdated) || !strings.Contains(err.Error(), "run the migrations") || r.IsRunning() {
				t.Errorf("%v, running: %v", err, r.IsRunning())
			}
		})
	}
}

func TestADatabaseThatIsAwayOrNotNeededIsNoReasonNotToStart(t *testing.T) {
	away := sqlitetest.Open(t)
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		away bool
		cfg  sluicegate.Config
	}{
		"away": {away: true},
		"not needed": {cfg: sluicegate.Config{
			Store: memorystore.New(), DeadLetters: noLetters{}, Park: sluicegate.ParkConfig{Off: true}, Retain: sluicegate.RetainConfig{Off: true},
		}},
	} {
		t.Run(what, func(t *testing.T) {
			db := away
			if !c.away {
				db = sqlitetest.Open(t)
			}
			c.cfg.Retain.Off = true
			s, err := sluicegate.New(db, c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := newRouter(t)
			sub := make(handed)
			if err := s.HandleMessage(r, "stock", "orders", sub, "", func(*message.Message) ([]*message.Message, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx, r) }()
			<-r.Running()
			stop()
			close(sub)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
