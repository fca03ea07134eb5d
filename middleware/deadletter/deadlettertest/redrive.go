package deadlettertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

var redriveCases = map[string]func(*fixture){
	"a redriven letter waits for its one handler, once, and its record is in the next epoch": redrives,
	"a filter redrives what it selects, and nothing that comes later":                        redrivesFilter,
	"a plan changes nothing, and its confirmation holds to what it counted":                  plans,
	"a letter that is older than the retention is redriven with a warning":                   warns,
	"an edited message is redriven and the original is kept":                                 edits,
	"what was redriven, is unknown or matches nothing is refused without an effect":          refusals,
	"what cannot be a request is refused with the name of its field":                         badRequests,
	"a letter whose effect is there, or whose key waits, is skipped and stays dead":          skipsOne,
	"large letters are handed over a few at a time":                                          largeOnes,
	"an action that is cancelled ends after its batch, and the rest can be redriven":         cancels,
}

func ids(id ...int64) deadletter.Selection { return deadletter.Selection{IDs: id} }

func (f *fixture) redrive(sel deadletter.Selection) deadletter.Result {
	f.Helper()
	r, err := f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: sel, By: "ann"})
	f.must(err)
	return r
}

func redrives(f *fixture) {
	all := f.bury(3)
	r, err := f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: ids(all[1]), By: "ann@shop.example", Note: "stock is back"})
	f.must(err)
	if r.State != deadletter.Finished || r.Total != 1 || r.Done != 1 || r.Skipped != 0 || r.Warning() != nil {
		f.Errorf("%+v", r)
	}
	l := f.get(all[1])
	if l.Status != deadletter.Redriven || l.Redrive != r.ID || time.Since(l.RedrivenAt).Abs() > time.Minute || l.Edited != nil {
		f.Errorf("%+v", l)
	}
	if state, epoch := f.record(l); state != idemstore.Parked || epoch != 1 {
		f.Errorf("the record is %s in epoch %d", state, epoch)
	}
	task, e := f.task(l)
	if task.Status != schedule.Waiting || task.Attempts != 0 || len(task.State) != 0 || time.Until(task.Due) > time.Minute {
		f.Errorf("%+v", task)
	}
	want := letter(1)
	if e.UUID != "uuid-1" || string(e.Payload) != string(want.Message.Payload) || e.Metadata.Get("customer") != "42 错" || e.Topic != want.Topic ||
		e.Consumer != "shop" || e.Handler != want.Handler || e.Key != "key-1" || e.Order != "customer-1" || e.Epoch != 1 || e.Letter != l.ID || len(e.Attempts) != 2 {
		f.Errorf("%+v", e)
	}
	if f.waiting() != 1 || len(f.list(deadletter.Filter{})) != 2 {
		f.Error("the others must stay as they were")
	}
	a, err := f.desk.Action(f.Context(), r.ID)
	f.must(err)
	if a.Kind != deadletter.KindRedrive || a.By != "ann@shop.example" || a.Note != "stock is back" || a.State != deadletter.Finished || a.Done != 1 ||
		a.Total != 1 || a.FinishedAt.Before(a.CreatedAt) || !strings.Contains(a.Selection, fmt.Sprint(l.ID)) {
		f.Errorf("%+v", a)
	}
	if list, err := f.desk.Actions(f.Context(), 0, 10); err != nil || len(list) != 1 || list[0] != a {
		f.Error(list, err)
	}
	if list, err := f.desk.Actions(f.Context(), a.ID, 10); err != nil || len(list) != 0 {
		f.Error(list, err)
	}
	// It fails again, in its second life, and can be redriven again.
	f.must(f.inbox.Transition(f.Context(), key(l), idemstore.Transition{From: []idemstore.State{idemstore.Parked}, To: idemstore.Dead, Epoch: 1}))
	f.must(f.tasks.Cancel(f.Context(), task.ID))
	again := want
	again.Epoch, again.Previous = 1, l.ID
	second := put(f.T, f.store, again)
	if second.Epoch != 1 || second.Previous != l.ID {
		f.Errorf("%+v", second)
	}
	f.redrive(ids(second.ID))
	if state, epoch := f.record(l); state != idemstore.Parked || epoch != 2 {
		f.Errorf("the record is %s in epoch %d", state, epoch)
	}
}

func redrivesFilter(f *fixture) {
	f.bury(25)
	desk := f.newDesk(f.tasks, deadletter.DeskConfig{Inbox: f.inbox, Batch: 4})
	var steps []int64
	r, err := desk.Redrive(f.Context(), deadletter.RedriveRequest{
		Selection: deadletter.Selection{Filter: &deadletter.Filter{Handler: "handler-0", Limit: 3}}, By: "ann",
		Progress: func(r deadletter.Result) {
			steps = append(steps, r.Done)
			l := letter(100 + len(steps)*2) // one more comes in meanwhile
			f.must(f.store.Put(f.Context(), l))
		},
	})
	f.must(err)
	if r.Total != 13 || r.Done != 13 || fmt.Sprint(steps) != "[4 8 12 13]" {
		f.Errorf("%+v in steps %v", r, steps)
	}
	if f.waiting() != 13 || len(f.list(deadletter.Filter{Handler: "handler-1"})) != 12 || len(f.list(deadletter.Filter{Handler: "handler-0"})) != 4 {
		f.Errorf("%d wait", f.waiting())
	}
	if n := len(f.list(deadletter.Filter{Status: deadletter.Redriven})); n != 13 {
		f.Errorf("%d are redriven", n)
	}
}

func plans(f *fixture) {
	all := f.bury(10)
	sel := deadletter.Selection{Filter: &deadletter.Filter{Handler: "handler-0"}}
	plan, err := f.desk.Plan(f.Context(), sel)
	f.must(err)
	if plan.Count != 5 || plan.Stale != 0 || len(plan.Sample) != 5 || plan.Sample[0].ID != all[0] || plan.Confirm == "" {
		f.Errorf("%+v", plan)
	}
	one, err := f.desk.Plan(f.Context(), ids(all[3], all[1], all[3]))
	f.must(err)
	if one.Count != 2 || len(one.Sample) != 2 || one.Confirm == plan.Confirm {
		f.Errorf("%+v", one)
	}
	f.must(f.store.Put(f.Context(), letter(100)))
	req := deadletter.RedriveRequest{Selection: sel, By: "ann", Confirm: one.Confirm}
	_, err = f.desk.Redrive(f.Context(), req)
	f.refused(err, deadletter.ErrConfirm, "Confirm")
	req.Confirm = "yes"
	_, err = f.desk.Redrive(f.Context(), req)
	f.refused(err, deadletter.ErrConfirm, "Confirm")
	if f.waiting() != 0 {
		f.Error("a plan must change nothing")
	}
	req.Confirm = plan.Confirm
	r, err := f.desk.Redrive(f.Context(), req)
	f.must(err)
	if r.Done != 5 || len(f.list(*sel.Filter)) != 1 {
		f.Errorf("what came after the plan is not meant: %+v", r)
	}
	if _, err = f.desk.Redrive(f.Context(), req); !errors.Is(err, deadletter.ErrNoMatch) {
		f.Errorf("the same plan a second time: %v", err)
	}
}

func warns(f *fixture) {
	all := f.bury(4)
	f.exec("dead_at = dead_at - ? WHERE id <= ?", (8 * 24 * time.Hour).Microseconds(), all[1])
	_, err := f.db.ExecContext(f.Context(), "DELETE FROM "+f.names.Table(f.d, "inbox")) // they have expired
	f.must(err)
	sel := deadletter.Selection{Filter: &deadletter.Filter{}}
	for _, s := range []deadletter.Selection{sel, ids(all...)} {
		plan, err := f.desk.Plan(f.Context(), s)
		if err != nil || plan.Count != 4 || plan.Stale != 2 {
			f.Errorf("%+v, %v", plan, err)
		}
	}
	r := f.redrive(sel)
	var stale *deadletter.StaleError
	if r.Done != 4 || r.Stale != 2 || !errors.As(r.Warning(), &stale) || stale.Count != 2 {
		f.Errorf("%+v", r)
	}
	if state, epoch := f.record(letter(0)); state != idemstore.Parked || epoch != 1 {
		f.Errorf("the record is %s in epoch %d", state, epoch)
	}
}

func edits(f *fixture) {
	all := f.bury(1)
	before := f.get(all[0])
	edit := &deadletter.Edit{Payload: []byte("\xffnew"), Metadata: message.Metadata{"customer": "43\xff"}}
	r, err := f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: ids(all[0]), By: "ann", Edit: edit})
	f.must(err)
	l := f.get(all[0])
	if !l.Message.Equals(before.Message) || l.Edited == nil || string(l.Edited.Payload) != "\xffnew" || l.Edited.Metadata.Get("customer") != "43\xff" || len(l.Edited.Metadata) != 1 {
		f.Errorf("%+v", l)
	}
	if _, e := f.task(l); string(e.Payload) != "\xffnew" || e.Metadata.Get("customer") != "43\xff" || e.UUID != "uuid-0" || e.Key != "key-0" {
		f.Errorf("%+v", e)
	}
	if r.Done != 1 {
		f.Errorf("%+v", r)
	}
}

func refusals(f *fixture) {
	all := f.bury(3)
	_, err := f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: ids(all[0], 4711, all[1], 4712), By: "ann"})
	f.refused(err, deadletter.ErrNotFound, "Selection.IDs[1]")
	f.refused(err, deadletter.ErrNotFound, "Selection.IDs[3]")
	for _, filter := range []deadletter.Filter{{Handler: "nobody"}, {After: all[2]}} {
		_, err = f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: deadletter.Selection{Filter: &filter}, By: "ann"})
		f.refused(err, deadletter.ErrNoMatch, "Selection.Filter")
		_, err = f.desk.Plan(f.Context(), deadletter.Selection{Filter: &filter})
		f.refused(err, deadletter.ErrNoMatch, "Selection.Filter")
	}
	if f.waiting() != 0 {
		f.Error("a refused request must have no effect")
	}
	f.redrive(ids(all[2]))
	_, err = f.desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: ids(all[0], all[2]), By: "ann"})
	if !errors.Is(err, deadletter.ErrStatus) || !strings.Contains(err.Error(), "Selection.IDs[1]") {
		f.Error(err)
	}
	if f.waiting() != 1 || f.get(all[0]).Status != deadletter.Dead {
		f.Error("a refused request must have no effect")
	}
}

func badRequests(f *fixture) {
	all := f.bury(2)
	many := make([]int64, deadletter.MaxIDs+1)
	some := &deadletter.Filter{}
	changed := message.Metadata{"sluicegate_idempotency_key": "another"}
	for field, req := range map[string]deadletter.RedriveRequest{
		"By":              {Selection: ids(all[0])},
		"Note":            {Selection: ids(all[0]), By: "ann", Note: strings.Repeat("x", 4097)},
		"Rate":            {Selection: ids(all[0]), By: "ann", Rate: -1},
		"Rate:":           {Selection: ids(all[0]), By: "ann", Rate: math.NaN()},
		"Selection.IDs":   {By: "ann"},
		"Selection.IDs,":  {By: "ann", Selection: deadletter.Selection{IDs: all, Filter: some}},
		"Selection.IDs:":  {By: "ann", Selection: ids(many...)},
		"Filter.Status":   {By: "ann", Selection: deadletter.Selection{Filter: &deadletter.Filter{Status: deadletter.Redriven}}},
		"Filter.Group":    {By: "ann", Selection: deadletter.Selection{Filter: &deadletter.Filter{Group: "x"}}},
		"Edit:":           {By: "ann", Selection: ids(all[0]), Edit: &deadletter.Edit{}},
		"Edit: Selection": {By: "ann", Selection: ids(all...), Edit: &deadletter.Edit{Payload: []byte{}}},
		"Edit.Metadata":   {By: "ann", Selection: ids(all[0]), Edit: &deadletter.Edit{Metadata: changed}},
	} {
		_, err := f.desk.Redrive(f.Context(), req)
		f.refused(err, deadletter.ErrInvalid, field)
	}
	own := f.newDesk(f.tasks, deadletter.DeskConfig{Key: func(m *message.Message) (string, error) { return string(m.Payload), nil }})
	_, err := own.Redrive(f.Context(), deadletter.RedriveRequest{By: "ann", Selection: ids(all[0]), Edit: &deadletter.Edit{Payload: []byte("x")}})
	f.refused(err, deadletter.ErrInvalid, "Edit")
	if f.waiting() != 0 {
		f.Error("a refused request must have no effect")
	}
}

func skipsOne(f *fixture) {
	all := f.bury(4)
	done := f.get(all[1])
	f.must(f.inbox.Transition(f.Context(), key(done), idemstore.Transition{From: []idemstore.State{idemstore.Dead}, To: idemstore.Released}))
	_, err := f.inbox.Claim(f.Context(), idemstore.Claim{Key: key(done), Token: "t", Lease: time.Minute})
	f.must(err)
	f.must(f.inbox.Complete(f.Context(), key(done), "t", nil, time.Hour))
	f.must(f.store.Put(f.Context(), letter(2))) // the same letter, stored twice
	nameless := letter(9)
	nameless.Handler = ""
	f.must(f.store.Put(f.Context(), nameless))
	r := f.redrive(deadletter.Selection{Filter: &deadletter.Filter{}})
	if r.Total != 6 || r.Done != 3 || r.Skipped != 3 || len(r.Skips) != 3 || r.State != deadletter.Finished {
		f.Errorf("%+v", r)
	}
	if state, epoch := f.record(done); state != idemstore.Done || epoch != 0 {
		f.Errorf("the record is %s in epoch %d", state, epoch)
	}
	left := f.list(deadletter.Filter{})
	if keys(left) != "1 2 9" || f.waiting() != 3 {
		f.Errorf("%s are dead, %d wait", keys(left), f.waiting())
	}
	if state, epoch := f.record(letter(2)); state != idemstore.Parked || epoch != 1 {
		f.Errorf("the record is %s in epoch %d", state, epoch)
	}
}

func cancels(f *fixture) {
	f.bury(10)
	desk := f.newDesk(f.tasks, deadletter.DeskConfig{Inbox: f.inbox, Batch: 2})
	everything := deadletter.Selection{Filter: &deadletter.Filter{}}
	var cancelled error
	r, err := desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: everything, By: "ann", Progress: func(r deadletter.Result) {
		if r.Done == 4 {
			cancelled = f.desk.Cancel(f.Context(), r.ID) // another process may do it
		}
	}})
	if cancelled != nil || !errors.Is(err, deadletter.ErrCancelled) || r.State != deadletter.Cancelled || r.Done != 4 {
		f.Errorf("%+v, %v, %v", r, err, cancelled)
	}
	if a, err := f.desk.Action(f.Context(), r.ID); err != nil || a.State != deadletter.Cancelled || a.Done != 4 || a.FinishedAt.IsZero() {
		f.Errorf("%+v, %v", a, err)
	}
	if err := f.desk.Cancel(f.Context(), r.ID); !errors.Is(err, deadletter.ErrInvalid) {
		f.Error(err)
	}
	if err := f.desk.Cancel(f.Context(), 4711); !errors.Is(err, deadletter.ErrNotFound) {
		f.Error(err)
	}
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	r, err = desk.Redrive(ctx, deadletter.RedriveRequest{Selection: everything, By: "ann", Progress: func(deadletter.Result) { cancel() }})
	if !errors.Is(err, context.Canceled) || r.State != deadletter.Cancelled || r.Done != 2 {
		f.Errorf("%+v, %v", r, err)
	}
	if a, err := f.desk.Action(f.Context(), r.ID); err != nil || a.State != deadletter.Cancelled || a.Done != 2 {
		f.Errorf("%+v, %v", a, err)
	}
	if r = f.redrive(everything); r.Done != 4 || f.waiting() != 10 {
		f.Errorf("%+v, %d wait", r, f.waiting())
	}
}
