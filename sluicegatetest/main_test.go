package sluicegatetest_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/sluicegatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func order(id string) *message.Message { return message.NewMessage(id, []byte("bytes of "+id)) }

// withStock has the table that takeStock writes to.
func withStock() sluicegatetest.Config {
	return sluicegatetest.Config{Tables: []string{"CREATE TABLE taken (order_id TEXT NOT NULL)"}}
}

const taken = "SELECT order_id FROM taken"

func takeStock(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO taken VALUES (?)", msg.UUID)
	return err
}

// inBubble runs fn with a harness on virtual time.
func inBubble(t *testing.T, cfg sluicegatetest.Config, fn func(t *testing.T, h *sluicegatetest.Harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		fn(t, sluicegatetest.New(t, cfg))
	})
}

// fakeTB stands for the test of a user: what it is told is kept.
type fakeTB struct {
	testing.TB // nil: what is not below must not be called
	dir        string

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (f *fakeTB) Helper()         {}
func (f *fakeTB) TempDir() string { return f.dir }

func (f *fakeTB) Cleanup(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cleanups = append(f.cleanups, fn)
}

func (f *fakeTB) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// run is a user's test: fn, and its cleanups. It returns what that failed with.
func (f *fakeTB) run(fn func(tb testing.TB)) string {
	for call := func() { fn(f) }; call != nil; {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			call()
		}()
		<-ended
		call = nil
		if n := len(f.cleanups); n > 0 {
			call, f.cleanups = f.cleanups[n-1], f.cleanups[:n-1]
		}
	}
	return strings.Join(f.failures, "\n")
}

// failing runs a user's test on virtual time that has to fail, with words that say why.
func failing(t *testing.T, cfg sluicegatetest.Config, test func(h *sluicegatetest.Harness), words ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		f := &fakeTB{dir: t.TempDir()}
		got := f.run(func(tb testing.TB) { test(sluicegatetest.New(tb, cfg)) })
		if got == "" {
			t.Fatal("the test passed; it had to fail")
		}
		for _, word := range words {
			if !strings.Contains(got, word) {
				t.Errorf("it failed without saying %q:\n%s", word, got)
			}
		}
	})
}

// tempDir is for examples, which have no test.
func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "sluicegatetest")
	if err != nil {
		panic(err)
	}
	return filepath.Clean(dir), func() { _ = os.RemoveAll(dir) }
}
