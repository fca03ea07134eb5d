package demo_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one process of a shop.
type process struct {
	cmd   *exec.Cmd
	url   chan string   // where it listens, once
	ready chan struct{} // closed when it says so
	ended chan struct{} // closed when it has ended

	mu  sync.Mutex
	log []string
	err error
}

var listening = regexp.MustCompile(`msg=listening .*url=(\S+)`)

// start starts demo serve with args. It is killed at the end of the test
// if it still runs.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{url: make(chan string, 1), ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"serve"}, args...)...)
	p.cmd.Env = append(os.Environ(), "SLUICEGATE_DATABASE_URL=", "SLUICEGATE_BROKER_URL=", "SLUICEGATE_IDEMPOTENCY_URL=")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.line(lines.Text())
		}
		err := p.cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			for _, l := range p.lines() {
				t.Logf("%d: %s", p.cmd.Process.Pid, l)
			}
		}
	})
	return p
}

func (p *process) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.log) < 200 {
		p.log = append(p.log, text)
	}
	if m := listening.FindStringSubmatch(text); m != nil {
		select {
		case p.url <- m[1]:
		default:
		}
	}
	if regexp.MustCompile(`msg=ready\b`).MatchString(text) {
		select {
		case <-p.ready:
		default:
			close(p.ready)
		}
	}
}

func (p *process) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

// waitReady waits until the process says that it is ready.
func (p *process) waitReady(t *testing.T) {
	t.Helper()
	within := time.NewTimer(30 * time.Second)
	defer within.Stop()
	select {
	case <-p.ready:
	case <-p.ended:
		t.Fatalf("process %d ended before it was ready", p.cmd.Process.Pid)
	case <-within.C:
		t.Fatalf("process %d is not ready after 30 s", p.cmd.Process.Pid)
	}
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // SIGKILL; an error says that it has ended already
	<-p.ended
}

// wait waits until the process has ended by itself, and returns its exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	within := time.NewTimer(30 * time.Second)
	defer within.Stop()
	select {
	case <-p.ended:
	case <-within.C:
		t.Fatalf("process %d has not ended after 30 s:\n%s", p.cmd.Process.Pid, strings.Join(p.lines(), "\n"))
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the process as a deployment does, and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	within := time.NewTimer(30 * time.Second)
	defer within.Stop()
	select {
	case <-p.ended:
	case <-within.C:
		t.Fatalf("process %d has not stopped after 30 s", p.cmd.Process.Pid)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	return 0
}
