package nats_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
)

// testServer is a nats-server in a process of its own, which can be killed.
type testServer struct {
	t      testing.TB
	addr   string
	config string
	cmd    *exec.Cmd
}

// startServer starts one with JetStream on files. Extra is added to its
// configuration.
func startServer(t testing.TB, extra string) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{t: t, addr: l.Addr().String(), config: filepath.Join(t.TempDir(), "nats.conf")}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n%s\n", s.addr, t.TempDir(), extra)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	s.cmd = exec.CommandContext(context.Background(), os.Args[0])
	s.cmd.Env = append(os.Environ(), configVariable+"="+s.config)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not start")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// stop sends a signal and waits for the end. On a busy machine a server that was
// told to end soon after its start has taken twenty seconds to, answering nobody
// meanwhile: as under a supervisor, it is killed then.
func (s *testServer) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	kill := time.AfterFunc(2*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	kill.Stop()
	s.cmd = nil
}

func (s *testServer) url(params string) string { return "nats://" + s.addr + "?" + params }

func (s *testServer) open(params string) *broker.Broker {
	s.t.Helper()
	return openBroker(s.t, s.url(params))
}

func openBroker(t testing.TB, url string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), url, broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// plain returns a plain client.
func (s *testServer) plain() jetstream.JetStream {
	s.t.Helper()
	nc, err := nats.Connect("nats://"+s.addr, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}
