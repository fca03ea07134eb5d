// Package child runs each contender in a process of its own, so that its CPU
// time and memory are its own too. The process is this same program, started
// again as "bench child JOB". It says "ready" when it has connected, begins
// when it is told to, stops when it is told to or when its parent is gone, and
// answers with what it used.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Command is the first argument of a child process.
const Command = "child"

// The lines of the protocol.
const (
	lineReady = "ready"
	lineBegin = "begin"
	lineMark  = "mark"
	lineStop  = "stop"
)

// Usage is what a process used between the last of begin and mark, and stop.
type Usage struct {
	CPUSeconds  float64 `json:"cpu_seconds"`
	WallSeconds float64 `json:"wall_seconds"`
	PeakBytes   int64   `json:"peak_bytes"` // highest resident memory; 0 where the system does not tell
}

// CPUShare returns how much of one core was used, in percent.
func (u Usage) CPUShare() float64 {
	if u.WallSeconds <= 0 {
		return 0
	}
	return u.CPUSeconds / u.WallSeconds * 100
}

// PeakMB returns the highest resident memory in MB of 10^6 bytes.
func (u Usage) PeakMB() float64 { return float64(u.PeakBytes) / 1e6 }

// answer is the last line that a child writes.
type answer struct {
	Usage  Usage           `json:"usage"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Task is what a job does, step by step.
type Task interface {
	// Open connects and makes ready. It is not measured.
	Open(ctx context.Context) error
	// Run does the work until ctx ends, and returns nil then.
	Run(ctx context.Context) error
	// Close lets go of everything and returns what the parent should hear, or
	// nil.
	Close() (result any, err error)
}

// Job makes the task that spec asks for.
type Job func(spec json.RawMessage) (Task, error)

// Serve is the main function of a child: args are the name of the job and its
// specification. It returns the exit code.
func Serve(ctx context.Context, jobs map[string]Job, args []string, in io.Reader, out, problems io.Writer) int {
	a := serve(ctx, jobs, args, in, out)
	if err := json.NewEncoder(out).Encode(a); err != nil {
		fmt.Fprintln(problems, "bench child: answer:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, jobs map[string]Job, args []string, in io.Reader, out io.Writer) answer {
	fail := func(err error) answer { return answer{Error: err.Error()} }
	if len(args) != 2 {
		return fail(errors.New("a child wants a job and its specification"))
	}
	job, known := jobs[args[0]]
	if !known {
		return fail(fmt.Errorf("no job %q", args[0]))
	}
	task, err := job(json.RawMessage(args[1]))
	if err != nil {
		return fail(fmt.Errorf("read specification: %w", err))
	}
	if err := task.Open(ctx); err != nil {
		_, closeErr := task.Close()
		return fail(errors.Join(fmt.Errorf("open: %w", err), closeErr))
	}
	fmt.Fprintln(out, lineReady)
	lines := bufio.NewReader(in)
	if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != lineBegin {
		_, closeErr := task.Close()
		return fail(errors.Join(errors.New("was not told to begin"), closeErr))
	}
	usage, runErr := measured(ctx, task, lines)
	result, closeErr := task.Close()
	a := answer{Usage: usage}
	if err := errors.Join(runErr, closeErr); err != nil {
		a.Error = err.Error()
		return a
	}
	if a.Result, err = json.Marshal(result); err != nil {
		return fail(fmt.Errorf("encode result: %w", err))
	}
	return a
}

// measured runs task until lines say stop, or end because the parent is gone.
func measured(ctx context.Context, task Task, lines *bufio.Reader) (Usage, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	marks := make(chan struct{}, 1)
	go func() {
		defer close(marks) // at stop, or the end of the parent
		for {
			if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != lineMark {
				return
			}
			marks <- struct{}{}
		}
	}()
	stopProfile, err := profile()
	if err != nil {
		return Usage{}, err
	}
	defer stopProfile()
	m := startMeter()
	ended := make(chan error, 1)
	go func() { ended <- task.Run(ctx) }()
	for running := true; running; {
		select {
		case _, running = <-marks:
			if running {
				m = startMeter()
			}
		case <-ctx.Done():
			running = false
		case err := <-ended: // by itself: it is done, or failed
			return m.read(), err
		}
	}
	usage := m.read()
	cancel()
	return usage, <-ended
}
