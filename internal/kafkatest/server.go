package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// ErrUnavailable says that there is no Java, or that nothing has fetched Kafka's jars.
var ErrUnavailable = errors.New("no Kafka can be started here")

// LibVariable names the folder with Kafka's jars, as scripts/services env sets it.
const LibVariable = "KAFKA_LIB"

const startPatience = 60 * time.Second

// Config configures Start.
type Config struct {
	// Advertise, where it is set, is given the address of a second listener and
	// returns the one at which clients are to look for it: a proxy's. Default: there is
	// one listener.
	Advertise func(listener string) (advertised string, err error)
	// Overrides are further lines of server.properties. Default none.
	Overrides []string
}

// Server is one broker on loopback. Its methods are for one goroutine at a time.
type Server struct {
	// Addr is that of its first listener, Advertised that of the second, if there is one.
	Addr, Advertised string

	java, lib, dir string
	listeners      []string
	cmd            *exec.Cmd
	ended          chan struct{} // closed when the process has ended
}

// Start makes a broker with an empty log and returns when it takes connections. ErrUnavailable
// where it has nothing to start it with.
func Start(ctx context.Context, cfg Config) (s *Server, err error) {
	s = &Server{}
	if s.java, s.lib, err = programs(); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s.Addr, s.listeners = ports[0], ports[:1]
	if cfg.Advertise != nil {
		if s.Advertised, err = cfg.Advertise(ports[1]); err != nil {
			return nil, fmt.Errorf("advertise a listener: %w", err)
		}
		s.listeners = ports[:2]
	}
	if s.dir, err = os.MkdirTemp("", "sluicegate-kafka-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	err = s.configure(ports[2], cfg.Overrides)
	if err == nil {
		err = s.format(ctx)
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start starts the broker again, after Stop, with what it has stored.
func (s *Server) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	args := slices.Concat([]string{"-Xms256m", "-Xmx1g"}, s.options(), []string{"kafka.Kafka", s.file("server.properties")})
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), s.java, args...) //nolint:gosec // the operator's own Java
	s.ended = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("start Kafka: %w", err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // killed, or it failed: then nobody can connect
	}(s.cmd, s.ended)
	for _, addr := range s.listeners {
		if err := s.answers(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends the broker in good order, Kill at once. What it has stored stays.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill is Stop without notice.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.ended
	s.cmd = nil
	if err != nil {
		return fmt.Errorf("stop Kafka: %w", err)
	}
	return nil
}

// Close kills the broker and removes what it has stored.
func (s *Server) Close() error {
	err := s.Kill()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// answers returns when addr takes connections.
func (s *Server) answers(ctx context.Context, addr string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return errors.New("start Kafka: it has ended")
		case <-ctx.Done():
			return fmt.Errorf("wait for Kafka: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }
