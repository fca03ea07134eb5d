package broker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
)

// redisProcess is a server of one test's own, which may be killed.
type redisProcess struct {
	t    *testing.T
	addr string
	args []string
	cmd  *exec.Cmd
}

// startRedis starts a server that loses nothing when it is killed.
func startRedis(t *testing.T, args ...string) *redisProcess {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	port := redisFreePort(t)
	s := &redisProcess{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	s.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning",
	}, args...)
	s.start()
	t.Cleanup(s.kill)
	return s
}

func redisFreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *redisProcess) start() {
	s.t.Helper()
	s.cmd = exec.CommandContext(context.Background(), "redis-server", s.args...)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("redis-server does not listen")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// kill is kill -9.
func (s *redisProcess) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *redisProcess) url(params string) string { return "redis://" + s.addr + "/0?" + params }

// client returns a plain client, once the server serves.
func (s *redisProcess) client(opts ...func(*goredis.Options)) *goredis.Client {
	s.t.Helper()
	o := &goredis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true}
	for _, opt := range opts {
		opt(o)
	}
	c := goredis.NewClient(o)
	s.t.Cleanup(func() { _ = c.Close() })
	for deadline := time.Now().Add(patience); c.Ping(s.t.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			s.t.Fatal("redis-server does not serve")
		}
		<-time.After(10 * time.Millisecond)
	}
	return c
}

// redisWire is a proxy in front of a server, whose connections can be cut or held.
type redisWire struct {
	addr string

	mu     sync.Mutex
	conns  []net.Conn
	held   chan struct{} // closed: nothing is held
	toSend int           // bytes to the server until all is cut; -1: no limit
	toRead int           // the same of its replies
}

func newRedisWire(t *testing.T, server string) *redisWire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &redisWire{addr: l.Addr().String(), held: make(chan struct{}), toSend: -1, toRead: -1}
	close(w.held)
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		w.release()
		w.cut()
		all.Wait()
	})
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.DialTimeout("tcp", server, time.Second)
			if err != nil {
				_ = in.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, in, out)
			w.mu.Unlock()
			all.Go(func() { w.copy(out, in, &w.toSend) })
			all.Go(func() { w.copy(in, out, &w.toRead) })
		}
	})
	return w
}

func (w *redisWire) copy(to io.WriteCloser, from io.ReadCloser, left *int) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		held := w.held
		w.mu.Unlock()
		<-held
		w.mu.Lock()
		last := *left >= 0 && n >= *left
		if last {
			n = *left
			*left = -1
		} else if *left >= 0 {
			*left -= n
		}
		w.mu.Unlock()
		_, werr := to.Write(buf[:n])
		if last {
			w.cut()
		}
		if err != nil || werr != nil || last {
			return
		}
	}
}

// cut closes every connection.
func (w *redisWire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// cutAfter cuts all once so many bytes have been sent, or read.
func (w *redisWire) cutAfter(send, read int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.toSend, w.toRead = send, read
}

// hold lets nothing through, as if the network had swallowed it.
func (w *redisWire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
}

func (w *redisWire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.held:
	default:
		close(w.held)
	}
}

// redisFirsts notes the first delivery of each message, and acks all.
type redisFirsts struct {
	mu   sync.Mutex
	next map[string]int
	seen map[string]bool
	bad  string
}

func (f *redisFirsts) take(ch <-chan *message.Message) {
	for msg := range ch {
		f.note(msg.UUID)
		msg.Ack()
	}
}

func (f *redisFirsts) note(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen, f.next = map[string]bool{}, map[string]int{}
	}
	if f.seen[id] {
		return
	}
	f.seen[id] = true
	key, number, _ := strings.Cut(id, "/")
	n := 0
	_, _ = fmt.Sscan(number, &n)
	if n != f.next[key] && f.bad == "" {
		f.bad = fmt.Sprintf("%s came first when %s/%d was due", id, key, f.next[key])
	}
	f.next[key] = n + 1
}

func (f *redisFirsts) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *redisFirsts) inversion() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad
}

func (f *redisFirsts) wait(ctx context.Context, n int) bool {
	for f.count() < n {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return true
}
