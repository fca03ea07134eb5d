package deadletter_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// shelfOfTasks takes every task, and notes when.
type shelfOfTasks struct{ at []time.Time }

func (s *shelfOfTasks) RedriveTx(context.Context, dbtx.Tx, schedule.Spec) (bool, error) {
	s.at = append(s.at, time.Now())
	return true, nil
}

// stockedDesk is a desk over so many letters. Whoever closes db in a bubble ends its goroutine there.
func stockedDesk(t *testing.T, letters int) (*sql.DB, *deadletter.Desk, *shelfOfTasks) {
	t.Helper()
	db := migrated(t)
	store, err := deadletter.SQL(db, deadletter.SQLConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range letters {
		if err := store.Put(t.Context(), letter()); err != nil {
			t.Fatal(err)
		}
	}
	tasks := &shelfOfTasks{}
	desk, err := deadletter.NewDesk(store, tasks, deadletter.DeskConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return db, desk, tasks
}

func TestARedriveKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const letters = 50
		db, desk, tasks := stockedDesk(t, letters)
		start := time.Now()
		everything := deadletter.Selection{Filter: &deadletter.Filter{}}
		r, err := desk.Redrive(t.Context(), deadletter.RedriveRequest{Selection: everything, By: "ann", Rate: 10})
		if err != nil || r.Done != letters {
			t.Fatal(r, err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("50 letters at 10 a second took %v", took)
		}
		for i, at := range tasks.at {
			within := 0
			for _, other := range tasks.at[i:] {
				if other.Sub(at) < time.Second {
					within++
				}
			}
			if within > 10 {
				t.Fatalf("%d within a second of %v", within, at.Sub(start))
			}
		}
		_ = db.Close() // its goroutine belongs to the bubble
	})
}

func TestARedriveThatWaitsForItsRateIsCancelledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, desk, tasks := stockedDesk(t, 3)
		start := time.Now()
		var once sync.Once
		cancelled := make(chan error, 1)
		r, err := desk.Redrive(t.Context(), deadletter.RedriveRequest{
			Selection: deadletter.Selection{Filter: &deadletter.Filter{}}, By: "ann", Rate: 1.0 / 3600,
			Progress: func(r deadletter.Result) {
				once.Do(func() { // somebody else, while it waits
					time.AfterFunc(10*time.Minute, func() { cancelled <- desk.Cancel(context.WithoutCancel(t.Context()), r.ID) })
				})
			},
		})
		if err := <-cancelled; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); !errors.Is(err, deadletter.ErrCancelled) || r.State != deadletter.Cancelled || took > 11*time.Minute {
			t.Errorf("%v after %v: %+v", err, took, r)
		}
		if r.Done != 1 || len(tasks.at) != 1 {
			t.Errorf("%d letters, %d handed over", r.Done, len(tasks.at))
		}
		_ = db.Close() // its goroutine belongs to the bubble
	})
}

func TestALetterOfAParkedMessageSaysWhereItCameFromAndAllThatWasTried(t *testing.T) {
	first := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &parked.Envelope{
		Epoch: 2, Letter: 4711, Subscriber: "kafka.Subscriber",
		Attempts: []delivery.Record{{Number: 1, StartedAt: first, Err: "first"}, {Number: 2, StartedAt: first.Add(time.Second), Err: "second"}},
	}
	for name, told := range map[string]bool{"the delivery tells the new attempt": false, "the delivery tells them all": true} {
		s := &shelf{}
		msg := message.NewMessage("1", nil)
		msg.SetContext(parked.With(t.Context(), e))
		_, err := wrap(t, s, deadletter.Config{}, func(msg *message.Message) ([]*message.Message, error) {
			d := delivery.From(msg.Context())
			if told {
				for _, a := range e.Attempts {
					d.Add(a.Number, a.StartedAt, a.Duration, errBoom)
				}
			}
			d.Add(3, first.Add(time.Hour), 0, errBoom)
			return nil, errBoom
		})(msg)
		if err != nil {
			t.Fatal(err)
		}
		l := s.letters[0]
		if l.Epoch != 2 || l.Previous != 4711 || l.Subscriber != "kafka.Subscriber" || len(l.Attempts) != 3 || l.Attempts[0].Number != 1 || l.Attempts[2].Number != 3 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if len(e.Attempts) != 2 {
		t.Error("the envelope itself must not change")
	}
}

func TestInvalidDeskValuesAreReportedTogetherByField(t *testing.T) {
	_, err := deadletter.NewDesk(nil, nil, deadletter.DeskConfig{Retention: -1, Batch: deadletter.MaxLimit + 1})
	for _, field := range []string{"store", "tasks", "DeskConfig.Retention", "DeskConfig.Batch"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
