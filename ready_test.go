package sluicegate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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
			sub := make(handed)
			if err := s.HandleMessage(r, "stock", "orders", sub, "", func(*message.Message) ([]*message.Message, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // for a Run that goes on
			defer cancel()
			context.AfterFunc(ctx, func() { close(sub) })
			err = s.Run(ctx, r)
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
			select {
			case <-r.Running():
			case err := <-ended:
				t.Fatal(err)
			}
			stop()
			close(sub)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
