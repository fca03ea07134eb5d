package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A broker that is down at start is waited for: each process is alive and not
// ready, orders are taken all the same, and when the broker comes they are
// handled without anybody's doing.
func TestABrokerThatIsDownAtStartIsWaitedFor(t *testing.T) {
	kafka := strings.TrimPrefix(server(t, "KAFKA_URL"), "kafka://")
	address := freeAddress(t)
	common := []string{
		"--database", freshDatabase(t, server(t, "POSTGRES_URL")), "--broker", "kafka://" + address,
		"--topic-suffix", "." + random(), "--listen", "127.0.0.1:0",
	}
	var processes []*process
	var urls []string
	for _, roles := range []string{"api", "relay", "payment,stock", "points,shipping"} {
		p := start(t, append([]string{"--roles", roles}, common...)...)
		processes, urls = append(processes, p), append(urls, <-p.url)
	}
	for i, url := range urls {
		if code, _ := get(t, url+"/healthz"); code != http.StatusOK {
			t.Errorf("process %d: healthz is %d", i, code)
		}
		code, body := get(t, url+"/readyz")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, `{"component":"broker","reason":"`) || strings.Contains(body, address) {
			t.Errorf("process %d: readyz is %d %s", i, code, body)
		}
		processes[i].waitLog(t, `level=WARN msg="waiting: not everything that is needed can be reached"`)
	}
	id := placeUntilTaken(t, urls[0])

	proxy(t, address, kafka)
	for i, url := range urls {
		waitStatus(t, url+"/readyz", http.StatusOK)
		processes[i].waitReady(t)
	}
	waitLedger(t, urls[0])
	if code, body := get(t, urls[0]+"/orders/"+id); code != http.StatusOK || !strings.Contains(body, `"status":"paid"`) {
		t.Errorf("the order is %d %s", code, body)
	}
	for _, p := range processes {
		if code := p.stop(t); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// eventually asks again and again, for at most 40 s.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	within := time.NewTimer(40 * time.Second)
	defer within.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-within.C:
			t.Fatalf("after 40 s, not yet: %s", what)
		}
	}
}

func waitStatus(t *testing.T, url string, want int) {
	t.Helper()
	eventually(t, url, func() bool { code, _ := get(t, url); return code == want })
}

// placeUntilTaken places an order: the tables are made a moment after the start.
func placeUntilTaken(t *testing.T, url string) (id string) {
	t.Helper()
	eventually(t, "an order is taken", func() (taken bool) {
		var err error
		id, err = place(t.Context(), url, "early")
		return err == nil
	})
	return id
}

func waitLedger(t *testing.T, url string) {
	t.Helper()
	eventually(t, "the ledger is exact", func() bool {
		_, body := get(t, url+"/ledger")
		var report struct{ Orders, Lost, Duplicated, Phantom int }
		return json.Unmarshal([]byte(body), &report) == nil && report.Orders == 1 && report.Lost+report.Duplicated+report.Phantom == 0
	})
}

func (p *process) waitLog(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the log has "+text, func() bool { return strings.Contains(strings.Join(p.lines(), "\n"), text) })
}

// proxy listens on address and passes what comes on to target, until the end of
// the test.
func proxy(t *testing.T, address, target string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = from.Close(), to.Close()
	}
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			other, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
			if err != nil {
				_ = conn.Close()
				continue
			}
			stop := context.AfterFunc(ctx, func() { _, _ = conn.Close(), other.Close() })
			all.Go(func() { pass(conn, other) })
			all.Go(func() { pass(other, conn); stop() })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		all.Wait()
	})
}
