package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/handlers/task"
)

func TestWhatIsWrongIsNamedAllTogether(t *testing.T) {
	db := open(t)
	for field, cfg := range map[string]task.Config{
		"Delays[1]": {Delays: []time.Duration{time.Second, -1}}, "MaxAttempts": {MaxAttempts: -1}, "MaxRetryAfter": {MaxRetryAfter: -1},
		"Away": {Away: -1}, "Timeout": {Timeout: -1}, "Jitter": {Jitter: 2}, "Concurrency": {Concurrency: -1},
		"PerTarget": {PerTarget: 99}, "Lease": {Lease: time.Millisecond}, "PollMax": {PollMax: time.Millisecond}, "Prefix": {Prefix: "a-b"},
	} {
		if _, err := task.New(db, "invoice", cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("error %v, want one that names Config.%s", err, field)
		}
	}
	_, err := task.New(nil, "", task.Config{MaxAttempts: -1})
	for _, word := range []string{"name", "MaxAttempts", "database"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v does not name %s", err, word)
		}
	}
	if _, err := task.New(db, strings.Repeat("x", task.MaxName+1), task.Config{}); err == nil {
		t.Error("a name that is too long was taken")
	}
}

func TestAddRefusesWhatIsNoTaskOrNoTransaction(t *testing.T) {
	db := open(t)
	q, err := task.New(db, strings.Repeat("x", task.MaxName), task.Config{})
	must(t, err)
	tx, err := db.Begin()
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	for name, err := range map[string]error{
		"nil":   errOfAdd(q.Add(t.Context(), nil, task.Spec{Key: "a"})),
		"db":    errOfAdd(q.Add(t.Context(), db, task.Spec{Key: "a"})),
		"key":   errOfAdd(q.Add(t.Context(), tx, task.Spec{})),
		"state": errOfAdd(q.Add(t.Context(), tx, task.Spec{Key: "a", State: make([]byte, task.MaxState+1)})),
		"delay": errOfAdd(q.Add(t.Context(), tx, task.Spec{Key: "a", Delay: -1})),
	} {
		if !errors.Is(err, task.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if added, err := q.Add(t.Context(), tx, task.Spec{Key: strings.Repeat("long", 1000), Target: "t"}); err != nil || !added {
		t.Errorf("a long key: %v, %v", added, err)
	}
}

func errOfAdd(_ bool, err error) error { return err }

func TestRunRunsOnce(t *testing.T) {
	inBubble(t, task.Config{}, func(t *testing.T, b *bench) {
		b.start(func(context.Context, task.Task) task.Outcome { return task.Succeeded() })
		synctest.Wait()
		err := b.Run(t.Context(), func(context.Context, task.Task) task.Outcome { return task.Succeeded() })
		if !errors.Is(err, task.ErrRunning) {
			t.Errorf("a second Run: %v", err)
		}
		if err := b.Run(t.Context(), nil); err == nil {
			t.Error("a nil function was taken")
		}
	})
}
