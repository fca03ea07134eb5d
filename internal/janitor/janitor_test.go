package janitor_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/janitor"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDrainRestsAfterEachBatchForAMultipleOfWhatItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := int64(2500)
		var calls []time.Duration
		began := time.Now()
		n, err := janitor.Drain(t.Context(), 1000, func(_ context.Context, limit int) (int64, error) {
			calls = append(calls, time.Since(began))
			<-time.After(10 * time.Millisecond)
			n := min(left, int64(limit))
			left -= n
			return n, nil
		})
		if err != nil || n != 2500 || left != 0 {
			t.Fatalf("removed %d, %v; %d are left", n, err, left)
		}
		if want := []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond}; len(calls) != 3 || calls[1] != want[1] || calls[2] != want[2] {
			t.Fatalf("batches began at %v, want %v", calls, want)
		}
	})
}

func TestDrainEndsWithItsContextAndWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		n, err := janitor.Drain(ctx, 10, func(context.Context, int) (int64, error) {
			<-time.After(100 * time.Millisecond)
			return 10, nil
		})
		if err != nil || n != 20 { // at 0 and 500 ms
			t.Fatalf("removed %d, %v; want 20 within 900 ms", n, err)
		}
		bad := errors.New("bad")
		if n, err := janitor.Drain(t.Context(), 10, func(context.Context, int) (int64, error) { return 3, bad }); n != 3 || !errors.Is(err, bad) {
			t.Fatalf("removed %d, %v; want 3 and the error", n, err)
		}
	})
}

func TestOfManyProcessesOneCleansAndAnotherFollowsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		t.Fatal(err)
	}
	const processes = 8
	cleaned := make(chan int, 1000)
	stop, done := make([]context.CancelFunc, processes), make([]chan struct{}, processes)
	for i := range processes {
		j, err := janitor.New(db, janitor.Config{Every: 20 * time.Millisecond}, janitor.Sweep{Name: "rows", Remove: func(context.Context, int) (int64, error) {
			select {
			case cleaned <- i:
			default:
			}
			return 0, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop[i], done[i] = cancel, make(chan struct{})
		go func() {
			defer close(done[i])
			j.Run(ctx)
		}()
	}
	first := <-cleaned
	for range 5 {
		if got := <-cleaned; got != first {
			t.Fatalf("process %d cleans beside process %d", got, first)
		}
	}
	stop[first]()
	<-done[first]
	for len(cleaned) > 0 {
		<-cleaned
	}
	if second := <-cleaned; second == first {
		t.Fatalf("process %d has stopped, and cleans", first)
	}
	for i := range processes {
		stop[i]()
		<-done[i]
	}
}

func TestAllThatIsWrongIsNamedTogether(t *testing.T) {
	_, err := janitor.New(nil, janitor.Config{Every: -1, Batch: -1}, janitor.Sweep{})
	for _, want := range []string{"db:", "Config.Every", "Config.Batch", "sweep 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}
