package child

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// tasks that the tests start, also in a real process.
var jobs = map[string]Job{
	"until stopped": func(json.RawMessage) (Task, error) { return &fake{}, nil },
	"fails open":    func(json.RawMessage) (Task, error) { return &fake{open: errors.New("no server")}, nil },
	"fails":         func(json.RawMessage) (Task, error) { return &fake{run: errors.New("lost one")}, nil },
	"done at once":  func(spec json.RawMessage) (Task, error) { return &fake{done: true, result: string(spec)}, nil },
}

type fake struct {
	open, run error
	done      bool
	result    any
	closed    bool
}

func (f *fake) Open(context.Context) error { return f.open }

func (f *fake) Run(ctx context.Context) error {
	if f.run != nil || f.done {
		return f.run
	}
	<-ctx.Done()
	return nil
}

func (f *fake) Close() (any, error) {
	f.closed = true
	return f.result, nil
}

// childMark makes this test program a child.
const childMark = "SLUICEGATE_BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		os.Exit(Serve(context.Background(), jobs, os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func start(t *testing.T, job string, spec any) (*Process, error) {
	t.Helper()
	t.Setenv(childMark, "1")
	p, err := Start(t.Context(), job, spec)
	if err == nil {
		t.Cleanup(p.Kill)
		err = p.Begin()
	}
	return p, err
}

func TestAChildRunsUntilItIsStoppedAndSaysWhatItUsed(t *testing.T) {
	p, err := start(t, "until stopped", nil)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := p.Stop(t.Context(), nil)
	if err != nil || usage.WallSeconds <= 0 {
		t.Errorf("%+v, %v", usage, err)
	}
	if _, statErr := os.Stat("/proc/self/status"); statErr == nil && usage.PeakBytes < 1<<20 {
		t.Errorf("%d bytes of memory", usage.PeakBytes)
	}
}

func TestWhatWasUsedBeforeTheMarkDoesNotCount(t *testing.T) {
	p, err := start(t, "until stopped", nil)
	if err != nil {
		t.Fatal(err)
	}
	const before = 300 * time.Millisecond
	<-time.After(before)
	if err := p.Mark(); err != nil {
		t.Fatal(err)
	}
	if usage, err := p.Stop(t.Context(), nil); err != nil || usage.WallSeconds >= before.Seconds() {
		t.Errorf("%+v, %v", usage, err)
	}
}

func TestAChildThatIsDoneAnswersByItself(t *testing.T) {
	p, err := start(t, "done at once", map[string]int{"n": 7})
	if err != nil {
		t.Fatal(err)
	}
	var result string
	if _, err := p.Wait(t.Context(), 10*time.Second, &result); err != nil || result != `{"n":7}` {
		t.Errorf("%q, %v", result, err)
	}
}

func TestAChildThatFailsSaysWhy(t *testing.T) {
	if _, err := start(t, "fails open", nil); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("open: %v", err)
	}
	p, err := start(t, "fails", nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-p.Ended():
		if err := p.Failure(line); !strings.Contains(err.Error(), "lost one") {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was heard")
	}
}

func TestAChildEndsWithItsParent(t *testing.T) {
	f := &fake{}
	in, parent := io.Pipe()
	said := make(chan string, 1)
	go func() {
		var out bytes.Buffer
		Serve(t.Context(), map[string]Job{"x": func(json.RawMessage) (Task, error) { return f, nil }}, []string{"x", "{}"}, in, &out, io.Discard)
		said <- out.String()
	}()
	if _, err := io.WriteString(parent, "begin\n"); err != nil {
		t.Fatal(err)
	}
	_ = parent.Close() // it dies without a word
	select {
	case out := <-said:
		if !f.closed || !strings.HasPrefix(out, "ready\n") {
			t.Errorf("closed=%v, said %q", f.closed, out)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestTheHighestMemoryIsReadWhereTheSystemTellsIt(t *testing.T) {
	if got := statusBytes([]byte("Name:\tx\nVmHWM:\t  12 kB\nVmRSS:\t 9 kB\n"), "VmHWM:"); got != 12*1024 {
		t.Errorf("%d", got)
	}
	if got := statusBytes([]byte("Name:\tx\n"), "VmHWM:"); got != 0 {
		t.Errorf("%d of nothing", got)
	}
}

func TestOnlyTheEndOfWhatAChildWritesIsKept(t *testing.T) {
	var last tail
	for range 3 {
		_, _ = last.Write(bytes.Repeat([]byte("a"), tailSize-1))
	}
	_, _ = last.Write([]byte("the end\n"))
	if got := last.String(); len(got) >= tailSize || !strings.HasSuffix(got, "athe end") {
		t.Errorf("%d bytes, %.20q", len(got), got)
	}
}
