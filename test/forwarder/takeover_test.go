package forwarder_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestTakeoverOfAHalfConsumedTableSendsNothingTwiceAndSkipsNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		first := &sink{}
		w.commit(0, 150)
		stop := w.run(first)
		eventually(t, "theirs has delivered its half", func() bool { return len(first.all()) == 150 })
		eventually(t, "and stored its offset", func() bool { return w.offset() == 150 })
		stop()
		w.commit(150, 300)

		second := &sink{}
		tk, end := w.takeover(second, w.config())
		w.commit(300, 400)
		eventually(t, "ours has delivered the rest", func() bool { return tk.Stats().Delivered == 250 })
		if all := append(first.all(), second.all()...); !slices.Equal(all, numbers(0, 400)) {
			t.Errorf("%d messages arrived, want 400 in order, each once", len(all))
		}
		if err := end(); err != nil {
			t.Errorf("a clean stop returned %v", err)
		}
		if n := w.offset(); n != 400 {
			t.Errorf("the group's offset is %d, want 400", n)
		}
		// Theirs can go on from where ours stopped.
		third := &sink{}
		w.run(third)
		w.commit(400, 410)
		eventually(t, "theirs goes on", func() bool { return len(third.all()) >= 10 })
		if !slices.Equal(third.all(), numbers(400, 410)) {
			t.Errorf("theirs went on with %v", third.all())
		}
	})
}

func TestTakeoverRefusesWhileTheirForwarderIsIdle(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		first := &sink{}
		w.commit(0, 5)
		w.run(first)
		eventually(t, "theirs stored its offset", func() bool { return w.offset() == 5 })
		second := &sink{}
		if err := w.refused(second, w.config()); !errors.Is(err, forwarder.ErrForwarderRunning) {
			t.Errorf("got %v, want ErrForwarderRunning", err)
		}
		if len(second.all()) != 0 {
			t.Error("it published all the same")
		}
	})
}

func TestTakeoverRefusesWhileTheirForwarderDelivers(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		entered, release := make(chan struct{}, 10), make(chan struct{})
		first := &sink{answer: func(*message.Message) error { entered <- struct{}{}; <-release; return nil }}
		w.commit(0, 3)
		w.run(first)
		<-entered
		err := w.refused(&sink{}, w.config())
		close(release)
		if !errors.Is(err, forwarder.ErrForwarderRunning) {
			t.Errorf("got %v, want ErrForwarderRunning", err)
		}
	})
}

func TestTakeoverSettlesNothingOnceTheirForwarderHasAdvanced(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		w.commit(0, 3)
		cfg := w.config()
		cfg.WatchFor = time.Millisecond
		query := "UPDATE watermill_offsets_" + w.topic + " SET offset_acked = 2"
		if w.mysql {
			query += ", offset_consumed = 2"
		}
		moves := &sink{answer: func(*message.Message) error { _, err := w.db.Exec(query); return err }}
		if err := w.refused(moves, cfg); !errors.Is(err, forwarder.ErrForwarderRunning) {
			t.Errorf("got %v, want ErrForwarderRunning", err)
		}
		if n := w.offset(); n != 2 {
			t.Errorf("the offset is %d, want the 2 that the other one wrote", n)
		}
	})
}

func TestTakeoverSkipsNoTransactionThatBeganEarlyAndCommitsLate(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		early, err := w.db.Begin()
		w.must(err)
		defer func() { _ = early.Rollback() }()
		w.write(early, 0, 2)
		w.commit(2, 4)
		out := &sink{}
		cfg := w.config()
		cfg.WatchFor = time.Millisecond
		w.takeover(out, cfg)
		// Several times the gap wait: nothing may be passed over.
		<-time.After(time.Second)
		if got := out.all(); len(got) != 0 {
			t.Errorf("%v was delivered over an open transaction before it", got)
		}
		w.write(early, 4, 5)
		w.must(early.Commit())
		eventually(t, "all are delivered", func() bool { return len(out.all()) == 5 })
		got := out.all()
		slices.Sort(got)
		if !slices.Equal(got, numbers(0, 5)) {
			t.Errorf("delivered %v", got)
		}
	})
}

func TestTakeoverPassesTheGapsOfRollbacks(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		for n := range 20 {
			tx, err := w.db.Begin()
			w.must(err)
			w.write(tx, 1000, 1002)
			w.must(tx.Rollback())
			w.commit(n, n+1)
		}
		out := &sink{}
		cfg := w.config()
		cfg.WatchFor = time.Millisecond
		start := time.Now()
		w.takeover(out, cfg)
		eventually(t, "all are delivered", func() bool { return len(out.all()) == 20 })
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("20 gaps took %v, want little more than one gap wait", d)
		}
		if !slices.Equal(out.all(), numbers(0, 20)) {
			t.Errorf("delivered %v", out.all())
		}
	})
}

func TestTakeoverSetsAsideWhatIsNoEnvelopeAndWhatTheBrokerRefuses(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		w.commit(0, 2)
		insert := "INSERT INTO watermill_" + w.topic + " (uuid, payload, metadata) VALUES ('junk', '{\"a\": 1}', '{}')"
		if !w.mysql {
			insert = "INSERT INTO watermill_" + w.topic + " (uuid, payload, metadata, transaction_id) VALUES ('junk', '{\"a\": 1}', '{}', pg_current_xact_id())"
		}
		_, err := w.db.Exec(insert)
		w.must(err)
		w.commit(2, 5)
		tries := 0
		out := &sink{answer: func(m *message.Message) error {
			switch {
			case m.UUID == "m3":
				return failure.Permanent(errors.New("too large"))
			case m.UUID == "m1" && tries < 3:
				tries++
				return errors.New("broker away")
			}
			return nil
		}}
		cfg := w.config()
		cfg.WatchFor = time.Millisecond
		tk, _ := w.takeover(out, cfg)
		eventually(t, "all are settled", func() bool { s := tk.Stats(); return s.Delivered == 4 && s.Failed == 2 })
		if want := []string{"m0", "m1", "m2", "m4"}; !slices.Equal(out.all(), want) {
			t.Errorf("delivered %v, want %v: each once, in order", out.all(), want)
		}
		var texts []string
		rows, err := w.db.Query("SELECT error FROM " + w.prefix + "outbox_history WHERE status = 'failed' ORDER BY error")
		w.must(err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var s string
			w.must(rows.Scan(&s))
			texts = append(texts, s)
		}
		w.must(rows.Err())
		if got := strings.Join(texts, "; "); got != "not an envelope of Watermill's forwarder; too large" {
			t.Errorf("set aside for: %s", got)
		}
	})
}

// batchSink acknowledges each message of a batch by itself.
type batchSink struct{ *sink }

func (b batchSink) PublishBatch(_ context.Context, msgs []batch.Outgoing) []error {
	errs := make([]error, len(msgs))
	for i, m := range msgs {
		errs[i] = b.Publish(m.Topic, m.Message)
	}
	return errs
}

func TestTakeoverSendsNothingAgainThatWasAcknowledgedBehindAFailure(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		w.commit(0, 10)
		tries := 0
		out := &sink{answer: func(m *message.Message) error {
			if m.UUID == "m3" && tries < 3 {
				tries++
				return errors.New("not enough replicas")
			}
			return nil
		}}
		cfg := w.config()
		cfg.WatchFor = time.Millisecond
		tk, _ := w.takeover(batchSink{out}, cfg)
		eventually(t, "all are settled", func() bool { return tk.Stats().Delivered == 10 })
		got := out.all()
		slices.Sort(got)
		if !slices.Equal(got, numbers(0, 10)) {
			t.Errorf("delivered %v, want each once", got)
		}
	})
}

// Their transaction ids have one digit more now and then.
func TestTakeoverKeepsTheOrderOfTransactionsWhoseNumbersDifferInLength(t *testing.T) {
	w := newTheirs(t, openPostgres(t), false)
	w.commit(0, 20)
	_, err := w.db.Exec("UPDATE watermill_" + w.topic + ` SET transaction_id = (89 + "offset")::text::xid8`)
	w.must(err)
	out := &sink{}
	cfg := w.config()
	cfg.WatchFor, cfg.Relay.BatchSize = time.Millisecond, 3
	w.takeover(out, cfg)
	eventually(t, "all are delivered", func() bool { return len(out.all()) == 20 })
	if !slices.Equal(out.all(), numbers(0, 20)) {
		t.Errorf("delivered %v", out.all())
	}
}

func TestTakeoverReadsAlongTheirIndex(t *testing.T) {
	eachServer(t, func(t *testing.T, w *theirs) {
		for n := range 20 {
			w.commit(500*n, 500*n+500)
		}
		db, rec := w.recorded()
		var err error
		w.outbox, err = forwarder.New(db, forwarder.Config{Prefix: w.prefix, Dialect: w.dialect()})
		w.must(err)
		out := &sink{}
		cfg := w.config()
		cfg.WatchFor, cfg.Relay.BatchSize = time.Millisecond, 100
		_, stop := w.takeover(out, cfg)
		eventually(t, "some are delivered", func() bool { return len(out.all()) > 300 })
		w.must(stop())
		seen := 0
		for query, args := range rec.Statements() {
			if !strings.Contains(query, "ORDER BY") {
				continue
			}
			seen++
			if plan := place.Explain(t, w.db, w.dialect(), query, args...); strings.Contains(plan, "Sort") || strings.Contains(plan, "filesort") || strings.Contains(plan, "type=ALL") {
				t.Errorf("%s\n%s", query, plan)
			}
		}
		if seen == 0 {
			t.Error("no read was seen: this run shows nothing")
		}
	})
}
