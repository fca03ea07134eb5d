package task_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/task"
	"github.com/sluicegate/sluicegate/test/place"
)

func (db *database) queue(t *testing.T, cfg task.Config) *task.Queue {
	t.Helper()
	cfg.Prefix = db.Prefix
	q, err := task.New(db.DB, "invoice", cfg)
	place.Must(t, err)
	return q
}

// add adds tasks in one transaction.
func (db *database) add(t *testing.T, q *task.Queue, end func(*sql.Tx) error, specs ...task.Spec) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), db.Dialect.TxOptions())
	place.Must(t, err)
	for _, s := range specs {
		added, err := q.Add(t.Context(), tx, s)
		if err != nil || !added {
			_ = tx.Rollback()
			t.Fatalf("add %q: %v, %v", s.Key, added, err)
		}
	}
	place.Must(t, end(tx))
}

func (db *database) mark(key string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+db.Prefix+"sent (item) VALUES ('"+key+"')")
		return err
	}
}

func (db *database) sent(t *testing.T) (rows, keys int) {
	t.Helper()
	place.Must(t, db.QueryRow("SELECT COUNT(*), COUNT(DISTINCT item) FROM "+db.Prefix+"sent").Scan(&rows, &keys))
	return rows, keys
}

// Four processes, each task fails once or its write does: every task of a transaction that
// committed is marked once, those of a group in their order.
func TestEachTaskIsMarkedOnceByWhateverProcessEndsIt(t *testing.T) {
	const groups, each, loose = 10, 5, 100
	eachDatabase(t, func(t *testing.T, db *database) {
		cfg := task.Config{Delays: []time.Duration{10 * time.Millisecond}, PollMax: 200 * time.Millisecond, Concurrency: 4}
		q := db.queue(t, cfg)
		var specs []task.Spec
		for i := range loose {
			specs = append(specs, task.Spec{Target: fmt.Sprint(i % 3), Key: fmt.Sprintf("loose-%d", i)})
		}
		for i := range groups * each {
			specs = append(specs, task.Spec{Target: "ordered", Key: fmt.Sprintf("%d-%d", i%groups, i/groups), Group: fmt.Sprint(i % groups)})
		}
		db.add(t, q, (*sql.Tx).Commit, specs...)
		db.add(t, q, (*sql.Tx).Rollback, task.Spec{Key: "rolled back"})

		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var (
			mu    sync.Mutex
			next  = map[string]int{}
			ended atomic.Int64
			wg    sync.WaitGroup
		)
		fn := func(_ context.Context, got task.Task) task.Outcome {
			if got.Attempts == 0 && len(got.Key)%2 == 0 {
				return task.Failed(errors.New("not yet"))
			}
			return task.Succeeded().And(func(ctx context.Context, tx *sql.Tx) error {
				if err := db.mark(got.Key)(ctx, tx); err != nil {
					return err
				}
				if got.Attempts == 0 {
					return errors.New("not written yet")
				}
				return nil
			})
		}
		for range 4 {
			process := db.queue(t, cfg)
			wg.Go(func() {
				err := process.Run(ctx, func(ctx context.Context, got task.Task) task.Outcome {
					if got.Group != "" && got.Attempts == 0 {
						mu.Lock()
						if want := fmt.Sprintf("%s-%d", got.Group, next[got.Group]); got.Key != want {
							t.Errorf("group %s: %s in the place of %s", got.Group, got.Key, want)
						}
						next[got.Group]++
						mu.Unlock()
					}
					return fn(ctx, got)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		for ended.Load() < loose+groups*each && ctx.Err() == nil {
			c, err := q.Counts(ctx)
			if err == nil {
				ended.Store(c.Of[task.Done])
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		stop()
		wg.Wait()
		if rows, keys := db.sent(t); rows != len(specs) || keys != len(specs) {
			t.Errorf("%d marks of %d tasks, want %d of each", rows, keys, len(specs))
		}
	})
}

// Who was cancelled, or taken from, while at work writes nothing.
func TestWhoIsStaleWritesNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *database) {
		q := db.queue(t, task.Config{})
		db.add(t, q, (*sql.Tx).Commit, task.Spec{Key: "cancelled"}, task.Spec{Key: "kept"})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var ended sync.WaitGroup
		ended.Add(2)
		go func() {
			ended.Wait()
			stop()
		}()
		err := q.Run(ctx, func(ctx context.Context, got task.Task) task.Outcome {
			defer ended.Done()
			if got.Key == "cancelled" {
				if err := q.Cancel(ctx, got.ID); err != nil {
					t.Error(err)
				}
			}
			return task.Succeeded().And(db.mark(got.Key))
		})
		place.Must(t, err)
		if rows, _ := db.sent(t); rows != 1 {
			t.Errorf("%d marks, want that of the task which was not cancelled", rows)
		}
		list, err := q.List(t.Context(), task.Filter{Status: task.Cancelled})
		if place.Must(t, err); len(list) != 1 || list[0].Key != "cancelled" {
			t.Errorf("cancelled are %+v", list)
		}
	})
}
