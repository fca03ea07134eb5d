package deadlettertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	idemsql "github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// fixture is a desk with everything around it, in one database.
type fixture struct {
	*testing.T
	db    *sql.DB
	names sqldialect.Names
	d     sqldialect.Dialect
	store *deadletter.SQLStore
	tasks Tasks
	inbox *idemsql.Store
	desk  *deadletter.Desk
}

// Tasks is the schedule alone: what is there already is left as it is.
type Tasks struct{ *schedule.Schedule }

// RedriveTx is the schedule's AddTx.
func (t Tasks) RedriveTx(ctx context.Context, tx dbtx.Tx, spec schedule.Spec) (bool, error) {
	return t.AddTx(ctx, tx, spec)
}

// RunDesk runs the suite of the desk; open is called for each case.
func RunDesk(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	for _, cases := range []map[string]func(*fixture){filterCases, redriveCases, raceCases, moveCases} {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) { test(newFixture(t, open(t))) })
		}
	}
}

func newFixture(t *testing.T, h Harness) *fixture {
	t.Helper()
	f := &fixture{T: t, db: h.DB, names: sqldialect.Names{Schema: h.Config.Schema, Prefix: h.Config.Prefix}}
	var err error
	f.d, err = sqldialect.Configure("Config", h.DB, h.Config.Dialect, f.names)
	f.must(err)
	f.store, err = deadletter.SQL(h.DB, h.Config)
	f.must(err)
	f.tasks.Schedule, err = schedule.New(h.DB, schedule.Config{Dialect: h.Config.Dialect, Schema: h.Config.Schema, Prefix: h.Config.Prefix})
	f.must(err)
	f.inbox, err = idemsql.New(h.DB, idemsql.Config{Dialect: h.Config.Dialect, Schema: h.Config.Schema, Prefix: h.Config.Prefix})
	f.must(err)
	f.desk = f.newDesk(f.tasks, deadletter.DeskConfig{Inbox: f.inbox})
	return f
}

func (f *fixture) newDesk(tasks deadletter.Tasks, cfg deadletter.DeskConfig) *deadletter.Desk {
	f.Helper()
	desk, err := deadletter.NewDesk(f.store, tasks, cfg)
	f.must(err)
	return desk
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// bury stores n letters, each with its dead record, and returns their ids.
func (f *fixture) bury(n int) []int64 {
	f.Helper()
	ids := make([]int64, 0, n)
	for i := range n {
		l := letter(i)
		l.Message.Metadata.Set("sluicegate_key", fmt.Sprint("customer-", i))
		f.must(f.store.Put(f.Context(), l))
		f.must(f.inbox.Transition(f.Context(), key(l), idemstore.Transition{From: []idemstore.State{idemstore.Absent}, To: idemstore.Dead}))
	}
	for _, l := range f.list(deadletter.Filter{}) {
		ids = append(ids, l.ID)
	}
	return ids
}

func key(l deadletter.Letter) idemstore.Key { return idemstore.Key{Handler: l.Scope(), ID: l.Key} }

func (f *fixture) list(filter deadletter.Filter) []deadletter.Letter {
	f.Helper()
	list, err := f.store.List(f.Context(), filter)
	f.must(err)
	return list
}

func (f *fixture) get(id int64) deadletter.Letter {
	f.Helper()
	l, err := f.store.Get(f.Context(), id)
	f.must(err)
	return l
}

// record returns the state and the epoch of a letter's record.
func (f *fixture) record(l deadletter.Letter) (state idemstore.State, epoch int64) {
	f.Helper()
	query := f.d.Bind("SELECT status, epoch FROM " + f.names.Table(f.d, schema.Inbox) + " WHERE handler = ? AND message_key = ?")
	err := f.db.QueryRowContext(f.Context(), query, l.Scope(), l.Key).Scan(&state, &epoch)
	if !errors.Is(err, sql.ErrNoRows) {
		f.must(err)
	}
	return state, epoch
}

// task returns the message that waits for a letter's handler.
func (f *fixture) task(l deadletter.Letter) (schedule.Task, parked.Envelope) {
	f.Helper()
	task, err := f.tasks.Find(f.Context(), parked.Queue, l.Scope(), l.Key)
	f.must(err)
	e, err := parked.Decode(task.Payload)
	f.must(err)
	return task, e
}

// waiting is how many messages wait for a handler.
func (f *fixture) waiting() int64 {
	f.Helper()
	c, err := f.tasks.Counts(f.Context(), parked.Queue)
	f.must(err)
	return c.Of[schedule.Waiting] + c.Of[schedule.Held]
}

// exec changes the letters' table behind the store's back.
func (f *fixture) exec(set string, args ...any) {
	f.Helper()
	_, err := f.db.ExecContext(f.Context(), f.d.Bind("UPDATE "+f.names.Table(f.d, schema.DeadLetter)+" SET "+set), args...)
	f.must(err)
}

// refused checks that err is kind and names the field, and that nothing was done.
func (f *fixture) refused(err, kind error, field string) {
	f.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), field) {
		f.Errorf("want %v that names %s, got %v", kind, field, err)
	}
	actions, listErr := f.desk.Actions(context.WithoutCancel(f.Context()), 0, 100)
	f.must(listErr)
	if len(actions) > 0 {
		f.Errorf("%v: an action was begun: %+v", err, actions[0])
	}
}

// failing is a schedule or a store that fails.
type failing struct {
	tasks   deadletter.Tasks
	records deadletter.Records
	err     error
	after   int // calls that go well first
}

func (b *failing) RedriveTx(ctx context.Context, tx dbtx.Tx, spec schedule.Spec) (bool, error) {
	if b.after--; b.after < 0 {
		return false, b.err
	}
	return b.tasks.RedriveTx(ctx, tx, spec)
}

func (b *failing) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	if err := b.records.Transition(ctx, k, t); err != nil {
		return err
	}
	if b.after--; b.after < 0 {
		return b.err // its answer is lost
	}
	return nil
}
