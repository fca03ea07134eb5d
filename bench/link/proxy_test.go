package link

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// echo returns a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

func through(t *testing.T, delay time.Duration) net.Conn {
	t.Helper()
	p, err := NewProxy(echo(t), delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestEachDirectionTakesItsTime(t *testing.T) {
	const delay = 20 * time.Millisecond
	c := through(t, delay)
	start := time.Now()
	answer := make([]byte, 4)
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "ping" {
		t.Fatalf("%q, %v", answer, err)
	}
	if took := time.Since(start); took < 2*delay {
		t.Errorf("there and back took %v, less than twice %v", took, delay)
	}
}

func TestTheDelayDoesNotLimitHowMuchIsUnderWay(t *testing.T) {
	const delay = 50 * time.Millisecond
	c := through(t, delay)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // a megabyte: 16 chunks or more
	go func() { _, _ = c.Write(sent) }()
	start := time.Now()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Error("the bytes have changed")
	}
	// One chunk after the other would take sixteen times the delay, each way.
	if took := time.Since(start); took > 10*delay {
		t.Errorf("a megabyte took %v", took)
	}
}
