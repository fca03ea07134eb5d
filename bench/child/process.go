package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// How long a child may take to connect, and to answer after it was told to stop.
const (
	openPatience = 30 * time.Second
	stopPatience = 30 * time.Second
)

// Process is a running child.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // what it writes; closed when it has ended
	said   *tail
	cancel context.CancelFunc
	wait   func() error
}

// Start starts a child for a job and returns when it is ready. The end of ctx
// kills it.
func Start(ctx context.Context, job string, spec any) (*Process, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode specification: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Process{lines: make(chan string, 4), said: &tail{}, cancel: cancel}
	p.cmd = exec.CommandContext(ctx, self, Command, job, string(data)) //nolint:gosec // this program itself
	p.cmd.Stderr = p.said
	p.cmd.WaitDelay = 2 * time.Second
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start child: %w", err)
	}
	go func() {
		defer close(p.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSpace(line)
		}
	}()
	p.wait = sync.OnceValue(p.cmd.Wait)
	line, err := p.line(ctx, openPatience)
	if err == nil && line != lineReady {
		_, err = p.read(line)
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("child %s: %w", job, err)
	}
	return p, nil
}

// Begin tells the child to begin.
func (p *Process) Begin() error {
	_, err := io.WriteString(p.in, lineBegin+"\n")
	return err
}

// Mark tells the child to measure from now on, and not from its beginning.
func (p *Process) Mark() error {
	_, err := io.WriteString(p.in, lineMark+"\n")
	return err
}

// Stop tells the child to stop and returns what it used. A result is decoded
// into result, unless that is nil.
func (p *Process) Stop(ctx context.Context, result any) (Usage, error) {
	_, _ = io.WriteString(p.in, lineStop+"\n") // an error: it has ended already, and says why
	return p.Wait(ctx, stopPatience, result)
}

// Wait returns what the child used after it has ended by itself, within
// patience. A result is decoded into result, unless that is nil.
func (p *Process) Wait(ctx context.Context, patience time.Duration, result any) (Usage, error) {
	defer p.Kill()
	line, err := p.line(ctx, patience)
	if err != nil {
		return Usage{}, err
	}
	a, err := p.read(line)
	if err == nil && result != nil {
		err = json.Unmarshal(a.Result, result)
	}
	return a.Usage, err
}

// Kill ends the child, however it is. It may be called at any time and again.
func (p *Process) Kill() {
	_ = p.in.Close()
	p.cancel()
	for range p.lines { // to the end, so that Wait can return
	}
	_ = p.wait() // killed
}

// Ended returns a channel that is closed, or delivers, when the child said
// something that nobody asked for: it failed.
func (p *Process) Ended() <-chan string { return p.lines }

// Failure returns the error in a line that Ended delivered.
func (p *Process) Failure(line string) error {
	_, err := p.read(line)
	return errors.Join(errors.New("the child ended too early"), err)
}

func (p *Process) line(ctx context.Context, patience time.Duration) (string, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case line, more := <-p.lines:
		if !more {
			return "", fmt.Errorf("the child ended without a word: %s", p.said)
		}
		return line, nil
	case <-timer.C:
		return "", fmt.Errorf("the child did not answer within %v", patience)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *Process) read(line string) (answer, error) {
	var a answer
	if line == "" {
		return a, fmt.Errorf("the child said: %s", p.said)
	}
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		return a, fmt.Errorf("the child said %.200q: %w", line, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailSize; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.data))
}
