package deadlettertest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/memory"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

var raceCases = map[string]func(*fixture){
	"redrives at the same time hand each letter over once":                      atOnce,
	"a letter is handed over once where neither task nor record would stop it":  byStatus,
	"a redrive that fails in the middle of a batch leaves the batch as it was":  halfway,
	"records elsewhere are moved, and after a crash the letter can be redriven": elsewhere,
	"letters without a key have no record and wait under a key of their own":    keyless,
}

var errBroken = errors.New("broken")

// together redrives everything from several desks and returns how much they did.
func (f *fixture) together(tasks deadletter.Tasks, cfg deadletter.DeskConfig) (done int64) {
	f.Helper()
	const desks = 4
	var wg sync.WaitGroup
	results := make([]deadletter.Result, desks)
	errs := make([]error, desks)
	for i := range desks {
		cfg.Batch = 7 + i
		desk := f.newDesk(tasks, cfg)
		wg.Go(func() {
			results[i], errs[i] = desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: deadletter.Selection{Filter: &deadletter.Filter{}}, By: "ann"})
		})
	}
	wg.Wait()
	for i, r := range results {
		// Who comes when all is done finds nothing.
		if errs[i] != nil && !errors.Is(errs[i], deadletter.ErrNoMatch) {
			f.Error(errs[i])
		}
		done += r.Done
	}
	return done
}

// forgetful adds every task, as if those before it were finished.
type forgetful struct{ deadletter.Tasks }

func (b forgetful) RedriveTx(ctx context.Context, tx dbtx.Tx, spec schedule.Spec) (bool, error) {
	spec.Key, spec.Group = rand.Text(), ""
	return b.Tasks.RedriveTx(ctx, tx, spec)
}

func byStatus(f *fixture) {
	const letters = 60
	f.bury(letters)
	if done := f.together(forgetful{f.tasks}, deadletter.DeskConfig{}); done != letters || f.waiting() != letters {
		f.Errorf("%d were handed over, %d wait", done, f.waiting())
	}
}

func atOnce(f *fixture) {
	const letters = 60
	all := f.bury(letters)
	if done := f.together(f.tasks, deadletter.DeskConfig{Inbox: f.inbox}); done != letters || f.waiting() != letters {
		f.Errorf("%d were handed over, %d wait", done, f.waiting())
	}
	for _, id := range all {
		l := f.get(id)
		if state, epoch := f.record(l); l.Status != deadletter.Redriven || state != idemstore.Parked || epoch != 1 {
			f.Errorf("letter %d is %s, its record %s in epoch %d", id, l.Status, state, epoch)
		}
	}
}

func halfway(f *fixture) {
	f.bury(5)
	desk := f.newDesk(&failing{tasks: f.tasks, err: errBroken, after: 3}, deadletter.DeskConfig{Inbox: f.inbox})
	everything := deadletter.Selection{Filter: &deadletter.Filter{}}
	r, err := desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: everything, By: "ann"})
	if !errors.Is(err, errBroken) || r.State != deadletter.Failed || r.Done != 0 {
		f.Errorf("%+v, %v", r, err)
	}
	if state, epoch := f.record(letter(0)); state != idemstore.Dead || epoch != 0 || f.waiting() != 0 || len(f.list(deadletter.Filter{})) != 5 {
		f.Errorf("the record is %s in epoch %d, %d wait", state, epoch, f.waiting())
	}
	if a, err := f.desk.Action(f.Context(), r.ID); err != nil || a.State != deadletter.Failed || a.Error == "" {
		f.Errorf("%+v, %v", a, err)
	}
	if r := f.redrive(everything); r.Done != 5 {
		f.Errorf("%+v", r)
	}
}

func elsewhere(f *fixture) {
	all := f.bury(3)
	records := memory.New(memory.Config{})
	for n := range 3 {
		f.must(records.Transition(f.Context(), key(letter(n)), idemstore.Transition{From: []idemstore.State{idemstore.Absent}, To: idemstore.Dead}))
	}
	epoch := func(n int) (idemstore.State, int64) {
		r, err := records.Claim(f.Context(), idemstore.Claim{Key: key(letter(n)), Token: "t", Lease: time.Second})
		f.must(err)
		return r.State, r.Epoch
	}
	broken := f.newDesk(f.tasks, deadletter.DeskConfig{Records: &failing{records: records, err: errBroken}})
	if _, err := broken.Redrive(f.Context(), deadletter.RedriveRequest{Selection: ids(all[0]), By: "ann"}); !errors.Is(err, errBroken) {
		f.Fatal(err)
	}
	if state, n := epoch(0); state != idemstore.Parked || n != 1 || f.get(all[0]).Status != deadletter.Dead || f.waiting() != 0 {
		f.Fatalf("the record is %s in epoch %d, %d wait", state, n, f.waiting())
	}
	desk := f.newDesk(f.tasks, deadletter.DeskConfig{Records: records})
	r, err := desk.Redrive(f.Context(), deadletter.RedriveRequest{Selection: deadletter.Selection{Filter: &deadletter.Filter{}}, By: "ann"})
	f.must(err)
	if r.Done != 3 || r.Skipped != 0 || f.waiting() != 3 {
		f.Errorf("%+v, %d wait", r, f.waiting())
	}
	for n, want := range []int64{2, 1, 1} {
		_, e := f.task(letter(n))
		if state, epoch := epoch(n); state != idemstore.Parked || epoch != want || e.Epoch != want {
			f.Errorf("record %d is %s in epoch %d, its task in %d", n, state, epoch, e.Epoch)
		}
	}
}

func keyless(f *fixture) {
	l := letter(0)
	l.Key = ""
	for range 2 {
		f.must(f.store.Put(f.Context(), l))
	}
	if r := f.redrive(deadletter.Selection{Filter: &deadletter.Filter{}}); r.Done != 2 || f.waiting() != 2 {
		f.Errorf("%+v, %d wait", r, f.waiting())
	}
}

func largeOnes(f *fixture) {
	for n := range 4 {
		l := letter(n)
		if n < 3 {
			l.Message.Payload = make([]byte, 5<<20)
		}
		f.must(f.store.Put(f.Context(), l))
	}
	var steps []int64
	_, err := f.desk.Redrive(f.Context(), deadletter.RedriveRequest{
		Selection: deadletter.Selection{Filter: &deadletter.Filter{}}, By: "ann", Progress: func(r deadletter.Result) { steps = append(steps, r.Done) },
	})
	if err != nil || !slices.Equal(steps, []int64{1, 2, 4}) {
		f.Error(steps, err)
	}
}
