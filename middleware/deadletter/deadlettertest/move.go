package deadlettertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

var moveCases = map[string]func(*fixture){
	"letters are removed only as confirmed, and it is written down":            removes,
	"old letters are pruned in batches, by their status":                       prunes,
	"what was exported comes back whole, and a second import adds nothing":     exports,
	"an export ends though letters come in all the while":                      exportEnds,
	"a line that cannot be used is named, and a file with one is not imported": badLines,
	"the letters of a topic are collected with all their metadata, each once":  collects,
	"attempts on a topic that no letter can have stay with the message":        collectsOdd,
	"a letter that cannot be collected is nacked, and comes again":             nacks,
}

func removes(f *fixture) {
	f.bury(9)
	sel := deadletter.Selection{Filter: &deadletter.Filter{Handler: "handler-0"}}
	_, err := f.desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: sel, By: "ann"})
	f.refused(err, deadletter.ErrConfirm, "Confirm")
	plan, err := f.desk.PlanDelete(f.Context(), sel)
	f.must(err)
	_, err = f.desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: deadletter.Selection{Filter: &deadletter.Filter{}}, By: "ann", Confirm: plan.Confirm})
	f.refused(err, deadletter.ErrConfirm, "Confirm")
	_, err = f.desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: sel, Confirm: plan.Confirm})
	f.refused(err, deadletter.ErrInvalid, "By")
	if n := len(f.list(deadletter.Filter{})); n != 9 {
		f.Fatalf("%d are left", n)
	}
	f.must(f.store.Put(f.Context(), letter(100)))
	desk := f.newDesk(f.tasks, deadletter.DeskConfig{Batch: 2})
	r, err := desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: sel, By: "ann", Confirm: plan.Confirm})
	f.must(err)
	if r.Done != 5 || r.State != deadletter.Finished || r.Kind != deadletter.KindDelete || keys(f.list(deadletter.Filter{})) != "1 3 5 7 100" {
		f.Errorf("%+v, %s are left", r, keys(f.list(deadletter.Filter{})))
	}
	// One that was redriven can be removed too, by its id.
	l := f.list(deadletter.Filter{})[0]
	f.redrive(ids(l.ID))
	plan, err = f.desk.PlanDelete(f.Context(), ids(l.ID))
	f.must(err)
	if _, err = f.desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: ids(l.ID), By: "ann", Confirm: plan.Confirm}); err != nil {
		f.Error(err)
	}
	if _, err := f.store.Get(f.Context(), l.ID); !errors.Is(err, deadletter.ErrNotFound) {
		f.Error(err)
	}
}

func prunes(f *fixture) {
	all := f.bury(10)
	f.exec("dead_at = dead_at - ? WHERE id <= ?", (48 * time.Hour).Microseconds(), all[6])
	f.exec("status = 'redriven' WHERE id <= ?", all[3])
	for _, want := range []int64{3, 1, 0} {
		n, err := f.store.Prune(f.Context(), deadletter.PruneRequest{Status: deadletter.Redriven, OlderThan: 24 * time.Hour, Batch: 3})
		if err != nil || n != want {
			f.Errorf("%d, %v; want %d", n, err, want)
		}
	}
	if n, err := f.store.Prune(f.Context(), deadletter.PruneRequest{Status: deadletter.AnyStatus, OlderThan: 24 * time.Hour}); err != nil || n != 3 {
		f.Error(n, err)
	}
	if got := keys(f.list(deadletter.Filter{Status: deadletter.AnyStatus})); got != "7 8 9" {
		f.Errorf("%s are left", got)
	}
	_, err := f.store.Prune(f.Context(), deadletter.PruneRequest{Batch: 1001})
	for _, field := range []string{"PruneRequest.Status", "PruneRequest.OlderThan", "PruneRequest.Batch"} {
		f.refused(err, deadletter.ErrInvalid, field)
	}
}

func (f *fixture) exported(filter deadletter.Filter) string {
	f.Helper()
	var b bytes.Buffer
	n, err := f.store.Export(f.Context(), &b, filter)
	f.must(err)
	if lines := strings.Count(b.String(), "\n"); int64(lines) != n {
		f.Errorf("%d lines, told as %d", lines, n)
	}
	return b.String()
}

func exports(f *fixture) {
	f.spread()
	odd := letter(10)
	odd.Subscriber, odd.Epoch = "kafka.Subscriber", 3
	odd.Message.Metadata.Set("bytes", "\xff\x00")
	odd.Message.Payload = bytes.Repeat([]byte{0xfe}, 9<<20) // alone more than a batch may hold
	f.must(f.store.Put(f.Context(), odd))
	f.redrive(ids(f.list(deadletter.Filter{Key: "key-0"})[0].ID))
	f.exec("ref = NULL WHERE message_key = 'key-1'") // of an older version
	all := deadletter.Filter{Status: deadletter.AnyStatus}
	text := f.exported(all)
	before := f.list(deadletter.Filter{Status: deadletter.AnyStatus})
	load := func(from io.Reader) deadletter.Result {
		f.Helper()
		r, err := f.desk.Import(f.Context(), deadletter.ImportRequest{From: from, By: "ann"})
		f.must(err)
		return r
	}
	if r := load(strings.NewReader(text)); r.Total != 11 || r.Done != 0 || r.Skipped != 11 {
		f.Errorf("into the same table: %+v", r.Action)
	}
	plan, err := f.desk.PlanDelete(f.Context(), deadletter.Selection{Filter: &all})
	f.must(err)
	_, err = f.desk.Delete(f.Context(), deadletter.DeleteRequest{Selection: deadletter.Selection{Filter: &all}, By: "ann", Confirm: plan.Confirm})
	f.must(err)
	if r := load(io.MultiReader(strings.NewReader(text))); r.Done != 11 || r.State != deadletter.Finished || r.Kind != deadletter.KindImport {
		f.Errorf("into an empty table: %+v", r.Action)
	}
	if r := load(strings.NewReader(text + "\n \n")); r.Done != 0 {
		f.Errorf("a second time: %+v", r.Action)
	}
	after := f.list(deadletter.Filter{Status: deadletter.AnyStatus})
	if len(after) != len(before) {
		f.Fatalf("%d came back", len(after))
	}
	for i, want := range before {
		got := after[i]
		if got.Ref != want.Ref || got.Status != want.Status || got.Consumer != want.Consumer || got.Handler != want.Handler || got.Topic != want.Topic ||
			got.Subscriber != want.Subscriber || got.Key != want.Key || got.Reason != want.Reason || got.Group != want.Group || got.Epoch != want.Epoch ||
			!got.At.Equal(want.At) || !got.Message.Equals(want.Message) || fmt.Sprint(got.Attempts) != fmt.Sprint(want.Attempts) {
			f.Errorf("letter %d\n%+v\n%+v", i, got, want)
		}
	}
	if text := f.exported(deadletter.Filter{Key: "key-3"}); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"key":"key-3"`) {
		f.Errorf("%.200q", text)
	}
}

// echo stores one more letter for each that is written.
type echo struct {
	*fixture
	written int
}

func (e *echo) Write(b []byte) (int, error) {
	if e.written++; e.written > 1000 {
		return 0, errBroken
	}
	return len(b), e.store.Put(e.Context(), letter(1))
}

func exportEnds(f *fixture) {
	f.spread()
	f.fill(150)
	want, err := f.store.Count(f.Context(), deadletter.Filter{})
	f.must(err)
	if n, err := f.store.Export(f.Context(), &echo{fixture: f}, deadletter.Filter{}); err != nil || n != want {
		f.Errorf("%d, %v; want %d", n, err, want)
	}
}

func badLines(f *fixture) {
	f.spread()
	good := strings.SplitAfter(f.exported(deadletter.Filter{}), "\n")[0]
	good = strings.Replace(good, `"ref":"`, `"ref":"x`, 1)
	for field, line := range map[string]string{
		"v:": `{"v":2,"dead_at":"2026-01-02T03:04:05Z"}`, "status:": `{"v":1,"status":"lost","dead_at":"2026-01-02T03:04:05Z"}`, "dead_at:": `{"v":1}`,
		"metadata:": `{"v":1,"metadata":[],"dead_at":"2026-01-02T03:04:05Z"}`, `"unknown"`: `{"v":1,"unknown":1}`, "EOF": `{"v":1`, "more": `{"v":1} {}`,
		"ref: is not": `{"v":1,"ref":"a\u0000b","dead_at":"2026-01-02T03:04:05Z"}`, "attempts": `{"v":1,"attempts":[{"number":5000000000}],"dead_at":"2026-01-02T03:04:05Z"}`,
		"dead_at: use a time": `{"v":1,"dead_at":"1970-01-01T00:00:00+14:00"}`, "dead_at: use a time from": `{"v":1,"dead_at":"9999-12-31T23:59:59-14:00"}`,
		"epoch": `{"v":1,"epoch":-1,"dead_at":"2026-01-02T03:04:05Z"}`, "ref": `{"v":1,"ref":"` + strings.Repeat("x", 65) + `","dead_at":"2026-01-02T03:04:05Z"}`,
	} {
		_, err := f.desk.Import(f.Context(), deadletter.ImportRequest{From: strings.NewReader(good + line), By: "ann"})
		var at *deadletter.LineError
		if !errors.As(err, &at) || at.Line != 2 {
			f.Error(err)
		}
		f.refused(err, deadletter.ErrInvalid, field)
	}
	if n := len(f.list(deadletter.Filter{})); n != 10 {
		f.Errorf("%d letters: a file with a bad line was imported in part", n)
	}
	_, err := f.desk.Import(f.Context(), deadletter.ImportRequest{})
	f.refused(err, deadletter.ErrInvalid, "From")
	f.refused(err, deadletter.ErrInvalid, "By")
	r, err := f.desk.Import(f.Context(), deadletter.ImportRequest{From: io.MultiReader(strings.NewReader(good + "{}")), By: "ann"})
	if !errors.Is(err, deadletter.ErrInvalid) || r.State != deadletter.Failed || r.Done != 1 || len(f.list(deadletter.Filter{})) != 11 {
		f.Errorf("%+v, %v: what is before the bad line of a stream is stored", r.Action, err)
	}
}

// topic is a subscriber that delivers each message until it is acked.
type topic struct {
	messages []*message.Message
	nacks    int
	tries    int // 0: for ever
}

func (s *topic) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for _, m := range s.messages {
			for again := true; again && (s.tries == 0 || s.nacks < s.tries); {
				copied := m.Copy()
				copied.SetContext(ctx)
				out <- copied
				select {
				case <-copied.Acked():
					again = false
				case <-copied.Nacked():
					s.nacks++
				}
			}
		}
	}()
	return out, nil
}

func (s *topic) Close() error { return nil }

func collects(f *fixture) {
	pub := &routertest.Publisher{}
	store, err := deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"})
	f.must(err)
	want := letter(1)
	want.Subscriber, want.At = "kafka.Subscriber", time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	want.Message.Metadata.Set("bytes", "\xff")
	f.must(store.Put(f.Context(), want))
	foreign := message.NewMessage("foreign", []byte("x")) // as Watermill's PoisonQueue writes it
	foreign.Metadata = message.Metadata{
		deadletter.MetadataReason: "boom 7", deadletter.MetadataTopic: "orders", deadletter.MetadataHandler: "billing", "a": "b",
		deadletter.MetadataAttempts: "no JSON", "sluicegate_idempotency_key": "order-7",
	}
	bare := message.NewMessage("bare", nil)
	sub := &topic{messages: []*message.Message{pub.All()[0].Message, foreign, bare, foreign, bare, pub.All()[0].Message}}
	cfg := deadletter.CollectConfig{Consumer: "shop", Handler: "unknown"}
	f.must(f.store.Collect(f.Context(), sub, "dead", cfg))
	list := f.list(deadletter.Filter{})
	if len(list) != 3 || sub.nacks != 0 {
		f.Fatalf("%d letters, %d nacks", len(list), sub.nacks)
	}
	got := list[0]
	if got.Consumer != want.Consumer || got.Handler != want.Handler || got.Topic != want.Topic || got.Subscriber != want.Subscriber || got.Key != want.Key ||
		got.Reason != want.Reason || !got.At.Equal(want.At) || !got.Message.Equals(want.Message) || fmt.Sprint(got.Attempts) != fmt.Sprint(want.Attempts) {
		f.Errorf("\n%+v\n%+v", got, want)
	}
	got = list[1]
	if got.Handler != "billing" || got.Consumer != "" || got.Topic != "orders" || got.Reason != "boom 7" || got.Key != "order-7" || len(got.Message.Metadata) != 3 ||
		got.Message.Metadata.Get("a") != "b" || got.Message.Metadata.Get(deadletter.MetadataAttempts) != "no JSON" || time.Since(got.At).Abs() > time.Minute {
		f.Errorf("%+v", got)
	}
	if got = list[2]; got.Scope() != "shop/unknown" || got.Message.UUID != "bare" {
		f.Errorf("%+v", got)
	}
	if r := f.redrive(ids(list[1].ID)); r.Done != 1 {
		f.Errorf("%+v", r)
	}
	if err := f.store.Collect(f.Context(), nil, "", cfg); !errors.Is(err, deadletter.ErrInvalid) {
		f.Error(err)
	}
}

// Attempts that no column holds would have the message come again for ever.
func collectsOdd(f *fixture) {
	const attempts = `[{"number":5000000000}]`
	odd := message.NewMessage("odd", nil)
	odd.Metadata = message.Metadata{deadletter.MetadataAttempts: attempts}
	sub := &topic{messages: []*message.Message{odd}, tries: 1}
	f.must(f.store.Collect(f.Context(), sub, "dead", deadletter.CollectConfig{}))
	if list := f.list(deadletter.Filter{}); sub.nacks != 0 || len(list) != 1 || list[0].Message.Metadata.Get(deadletter.MetadataAttempts) != attempts {
		f.Errorf("%d nacks, %+v", sub.nacks, list)
	}
}

func nacks(f *fixture) {
	_, err := f.db.ExecContext(f.Context(), "ALTER TABLE "+f.names.Table(f.d, "dead_letter")+" RENAME TO "+f.names.Table(f.d, "dead_letter_away"))
	f.must(err)
	sub := &topic{messages: []*message.Message{message.NewMessage("1", nil)}, tries: 1}
	f.must(f.store.Collect(f.Context(), sub, "dead", deadletter.CollectConfig{}))
	_, err = f.db.ExecContext(f.Context(), "ALTER TABLE "+f.names.Table(f.d, "dead_letter_away")+" RENAME TO "+f.names.Table(f.d, "dead_letter"))
	f.must(err)
	if sub.nacks != 1 || len(f.list(deadletter.Filter{})) != 0 {
		f.Errorf("%d nacks", sub.nacks)
	}
	sub.tries = 0
	f.must(f.store.Collect(f.Context(), sub, "dead", deadletter.CollectConfig{}))
	if len(f.list(deadletter.Filter{})) != 1 {
		f.Error("it must be stored when it comes again")
	}
}
