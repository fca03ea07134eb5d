package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "cAnArY-5ecret"

func environment(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

// demo runs a command line to its end.
func demo(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, environment(env), &out, &errs)
	return out.String(), errs.String(), code
}

func TestARunEndsWithOneJSONObjectAndExitCode0(t *testing.T) {
	stdout, stderr, code := demo(t, nil, "--orders", "20", "--seed=3", "--output", "json")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("exit code %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
	if got["orders"] != 20.0 || got["lost"] != 0.0 || got["duplicated"] != 0.0 {
		t.Errorf("summary is %s", stdout)
	}
	if strings.ContainsAny(stderr, "\r\x1b") {
		t.Errorf("drawn where there is no terminal: %q", stderr)
	}
}

func TestARunThatIsInterruptedFailsAndShowsNoLedger(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, out, code := &log{more: make(chan struct{}, 1)}, &bytes.Buffer{}, make(chan int, 1)
	go func() { code <- Run(ctx, []string{"--orders", "100000", "--output", "json"}, environment(nil), out, l) }()
	l.find(t, `placed`)
	cancel()
	if c := <-code; c != 1 || out.Len() > 0 || !strings.Contains(l.String(), "interrupted") {
		t.Errorf("exit code %d, standard output %q\n%s", c, out, l)
	}
}

func TestARunInTextShowsTheLedger(t *testing.T) {
	stdout, stderr, code := demo(t, nil, "--orders", "5")
	if code != 0 || !strings.Contains(stdout, "every effect is there once") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestAMistakeIsTellingWithAllOthersAndExitCode2(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "demo.yaml")
	if err := os.WriteFile(file, []byte("ordrs: 1\ndatabase: mysql://u:"+canary+"@h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := "postgres://u:" + canary + "@h"
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want []string
	}{
		{"a command", nil, []string{"serv"}, []string{`"serv"`, `did you mean "serve"?`}},
		{"two words", nil, []string{"serve", "now", "please"}, []string{`"now"`, `"please"`}},
		{"flags", nil, []string{"--ordrs", "5", "--outptu=json"}, []string{`--ordrs: there is no such flag: did you mean "--orders"?`, `did you mean "--output"?`}},
		{"a flag of the other command", nil, []string{"--listen", "127.0.0.1:0"}, []string{"--listen: there is no such flag"}},
		{"a flag without its value", nil, []string{"--orders"}, []string{"needs an argument"}},
		{"short flags", nil, []string{"-x"}, []string{"unknown shorthand"}},
		{"values", nil, []string{"--orders", "-1", "--seed", "-1", "--output", "xml"}, []string{"--orders: ", "--seed: ", "--output: "}},
		{"URLs", map[string]string{"SLUICEGATE_BROKER_URL": "kafka://u:" + canary + "@h:0"},
			[]string{"--database", secret, "--idempotency", "redis://:" + canary + "@h/x"},
			[]string{"--database: names no database", "SLUICEGATE_BROKER_URL: ", "--idempotency: "}},
		{"a file", nil, []string{"--config", file}, []string{"ordrs: is unknown", file + ": database: names no database"}},
		{"no file", nil, []string{"--config", ""}, []string{"--config: is empty"}},
		{"a folder", nil, []string{"--config", folder}, []string{"is a folder"}},
		{"part of the shop", nil, []string{"serve", "--roles", "api"}, []string{"SQLite serves one process", "the memory broker ends at the process"}},
		{"part of the shop on SQLite", nil, []string{"serve", "--roles", "api,relay", "--database", "sqlite://" + folder + "/x.db", "--broker", "kafka://h"},
			[]string{"SQLite serves one process"}},
		{"the dashboard", nil, []string{"serve", "--roles", "api,dashboard"}, []string{"dashboard is not there yet"}},
		{"an open address", nil, []string{"serve", "--listen", "0.0.0.0:8080"}, []string{"asks nobody who they are", "--insecure-listen"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := demo(t, c.env, c.args...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, standard output %q", code, stdout)
			}
			for _, w := range c.want {
				if !strings.Contains(stderr, w) {
					t.Errorf("%q is not told:\n%s", w, stderr)
				}
			}
			if strings.Contains(stdout+stderr, canary) {
				t.Errorf("a secret is told:\n%s", stderr)
			}
		})
	}
}

// nobody returns an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func TestServersThatAreAwayFailARunWithExitCode1AndNoSecret(t *testing.T) {
	for name, flags := range map[string][]string{
		"postgres": {"--database", "postgres://u:" + canary + "@" + nobody(t) + "/db?sslmode=disable"},
		"mysql":    {"--database", "mysql://u:" + canary + "@" + nobody(t) + "/db"},
		"redis":    {"--idempotency", "redis://:" + canary + "@" + nobody(t) + "/0?max_retries=-1"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := demo(t, nil, append(flags, "--log-level", "debug")...)
			if code != 1 || !strings.Contains(stderr, "reach") {
				t.Errorf("exit code %d\n%s", code, stderr)
			}
			if strings.Contains(stdout+stderr, canary) {
				t.Errorf("a secret is told:\n%s", stderr)
			}
		})
	}
}

func TestHelpNamesFlagsVariablesAndExitCodes(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}} {
		stdout, _, code := demo(t, nil, args...)
		for _, w := range []string{"--orders", "--seed", "--output", "--database", "--broker", "--idempotency", "--config",
			"SLUICEGATE_DATABASE_URL", "SLUICEGATE_BROKER_URL", "SLUICEGATE_IDEMPOTENCY_URL", "Exit codes"} {
			if code != 0 || !strings.Contains(stdout, w) {
				t.Errorf("exit code %d, %s is not told", code, w)
			}
		}
	}
	stdout, _, code := demo(t, nil, "serve", "--help")
	for _, w := range []string{"--roles", "--listen", "--drain-timeout", "POST /orders"} {
		if code != 0 || !strings.Contains(stdout, w) {
			t.Errorf("exit code %d, %s is not told", code, w)
		}
	}
}

// log is what a process writes, to be read while it writes.
type log struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find waits for what matches and returns its first group.
func (l *log) find(t *testing.T, pattern string) string {
	t.Helper()
	within := time.NewTimer(20 * time.Second)
	defer within.Stop()
	for {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(l.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-l.more:
		case <-within.C:
			t.Fatalf("the log never had %s:\n%s", pattern, l)
		}
	}
}

// serve starts demo serve; the function stops it and returns its exit code.
func serve(t *testing.T, args ...string) (*log, func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l, code := &log{more: make(chan struct{}, 1)}, make(chan int, 1)
	go func() {
		code <- Run(ctx, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), environment(nil), io.Discard, l)
	}()
	return l, sync.OnceValue(func() int { cancel(); return <-code })
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestServeTakesOrdersUntilItIsStoppedCleanly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop.db")
	l, stop := serve(t, "--database", "sqlite://"+file)
	defer stop()
	url := l.find(t, `url=(\S+)`)
	l.find(t, `msg=ready`)
	for _, role := range []string{"relay", "payment", "stock", "points", "shipping"} {
		l.find(t, fmt.Sprintf(`msg="role begins" pid=%d role=%s`, os.Getpid(), role))
	}
	if code, text := request(t, "POST", url+"/orders", `{"customer": "a", "sku": "s", "quantity": 1, "amount": 1}`); code != 201 {
		t.Fatalf("order is answered %d %s", code, text)
	}
	within := time.NewTimer(20 * time.Second)
	defer within.Stop()
	for text := ""; !strings.Contains(text, `"shipping":1,"stock":1},"dead_lettered"`) || !strings.Contains(text, `"lost":0`); _, text = request(t, "GET", url+"/ledger", "") {
		select {
		case <-within.C:
			t.Fatalf("the order was not handled: %s", text)
		default:
		}
	}
	if code, _ := request(t, "GET", url+"/readyz", ""); code != 200 {
		t.Errorf("readyz is %d", code)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, l)
	}
	if !strings.Contains(l.String(), "the shop ends") {
		t.Errorf("the end is not told:\n%s", l)
	}
}

func TestServeWaitsForADatabaseThatIsAway(t *testing.T) {
	l, stop := serve(t, "--database", "postgres://u:"+canary+"@"+nobody(t)+"/db?sslmode=disable")
	defer stop()
	url := l.find(t, `url=(\S+)`)
	l.find(t, `msg="waiting: not everything`)
	if code, text := request(t, "GET", url+"/readyz", ""); code != 503 {
		t.Errorf("readyz is %d %s", code, text)
	}
	if code, _ := request(t, "GET", url+"/healthz", ""); code != 200 {
		t.Errorf("healthz is %d", code)
	}
	if code, text := request(t, "POST", url+"/orders", `{"customer": "a", "sku": "s", "quantity": 1, "amount": 1}`); code != 503 {
		t.Errorf("an order is answered %d %s", code, text)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(l.String(), canary) {
		t.Errorf("a secret is told:\n%s", l)
	}
}

func TestAnAddressThatIsTakenIsAFailure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, stderr, code := demo(t, nil, "serve", "--listen", taken.Addr().String())
	if code != 1 || !strings.Contains(stderr, "listen") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}
