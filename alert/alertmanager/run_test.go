package alertmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alertmanager"
	"github.com/sluicegate/sluicegate/alert/alerttest"
)

// transport keeps what is sent, and fails on demand; no network is needed, so
// that time can be virtual.
type transport struct {
	mu   sync.Mutex
	all  [][]posted
	fail bool
	gate chan struct{} // where it is given, each request waits for one
}

func (tr *transport) failing(fail bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.fail = fail
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var list []posted
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return nil, err
	}
	if gate := tr.gate; gate != nil {
		tr.mu.Unlock()
		<-gate
		tr.mu.Lock()
	}
	tr.all = append(tr.all, list)
	if tr.fail {
		return nil, errors.New("no route")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("")), Request: r, Header: http.Header{}}, nil
}

func (tr *transport) take() [][]posted {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	all := tr.all
	tr.all = nil
	return all
}

func run(t *testing.T, tr *transport, cfg alertmanager.Config) (c *alertmanager.Channel, stop func()) {
	t.Helper()
	cfg.Client = &http.Client{Transport: tr}
	c, err := alertmanager.New("http://alertmanager:9093", cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	synctest.Wait()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestWhatFiresIsToldAgainWithinTheResolveTimeoutUntilItIsResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		c, stop := run(t, tr, alertmanager.Config{})
		n := alerttest.Sample()
		if err := c.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		alive := time.Now()
		for minute := range 30 {
			for _, list := range tr.take() {
				if time.Now().After(alive.Add(5*time.Minute)) || !list[0].EndsAt.Equal(time.Now().Add(5*time.Minute)) {
					t.Fatalf("minute %d: told at %s, ends at %s", minute, time.Now(), list[0].EndsAt)
				}
				alive = time.Now()
			}
			if time.Since(alive) >= 5*time.Minute {
				t.Fatalf("Alertmanager takes it for resolved in minute %d", minute)
			}
			pass(time.Minute)
		}
		tr.take()
		n.Status = alert.Resolved
		if err := c.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		tr.take()
		pass(time.Hour)
		if again := tr.take(); len(again) != 0 {
			t.Errorf("what is resolved was told again: %v", again)
		}
		stop()
	})
}

func TestAnAlertOfWhichNothingIsHeardIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		c, stop := run(t, tr, alertmanager.Config{Forget: 2 * time.Hour})
		if err := c.Send(t.Context(), alerttest.Sample()); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Hour)
		if told := len(tr.take()); told < 119 || told > 122 { // at once, then each minute
			t.Errorf("told %d times", told)
		}
		pass(time.Hour)
		if again := tr.take(); len(again) != 0 {
			t.Errorf("told again: %v", again)
		}
		stop()
	})
}

func TestMoreThanFitIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		c, stop := run(t, tr, alertmanager.Config{MaxActive: 150})
		for i := range 200 {
			n := alerttest.Sample()
			n.Handler = fmt.Sprint(i)
			if err := c.Send(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		tr.take()
		pass(time.Minute)
		again := tr.take()
		if len(again) != 2 || len(again[0]) != 100 || len(again[1]) != 50 {
			t.Errorf("%d requests", len(again))
		}
		stop()
	})
}

func TestARepetitionNeverOvertakesWhatResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		c, stop := run(t, tr, alertmanager.Config{})
		n := alerttest.Sample()
		for i := range 150 { // two requests
			n.Handler = fmt.Sprint(i)
			if err := c.Send(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		tr.take()
		gate := make(chan struct{})
		tr.mu.Lock()
		tr.gate = gate
		tr.mu.Unlock()
		pass(time.Minute) // the first of the two is on its way
		n.Status = alert.Resolved
		done := make(chan error, 150)
		go func() {
			for i := range 150 {
				n.Handler = fmt.Sprint(i)
				done <- c.Send(t.Context(), n)
			}
		}()
		synctest.Wait()
		close(gate)
		for range 150 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		resolved := map[string]bool{}
		for i, list := range tr.take() {
			for _, a := range list {
				if len(list) > 1 && resolved[a.Labels["handler"]] {
					t.Fatalf("request %d tells again of %s, which is resolved", i, a.Labels["handler"])
				}
				resolved[a.Labels["handler"]] = resolved[a.Labels["handler"]] || len(list) == 1
			}
		}
		stop()
	})
}

func TestAFailureIsLoggedAndMadeUpForTheNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		var log strings.Builder
		c, stop := run(t, tr, alertmanager.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := c.Send(t.Context(), alerttest.Sample()); err != nil {
			t.Fatal(err)
		}
		tr.take()
		tr.failing(true)
		pass(time.Minute)
		tr.failing(false)
		pass(time.Minute)
		if told := len(tr.take()); told != 2 || !strings.Contains(log.String(), "no route") {
			t.Errorf("told %d times, log %s", told, log.String())
		}
		stop()
	})
}

func TestARestartResolvesNothingThatIsKnownToFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{}
		fails := true
		_, stop := run(t, tr, alertmanager.Config{Active: func(context.Context) ([]alert.Notification, error) {
			if fails {
				fails = false
				return nil, errors.New("database away")
			}
			firing, resolved := alerttest.Sample(), alerttest.Sample()
			resolved.Status, resolved.Handler = alert.Resolved, "other"
			return []alert.Notification{firing, resolved}, nil
		}})
		pass(time.Minute)
		if got := tr.take(); len(got) == 0 || len(got[0]) != 1 || got[0][0].Labels["handler"] != "stock" {
			t.Errorf("%v", got)
		}
		stop()
	})
}

func TestTwoRunsAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := run(t, &transport{}, alertmanager.Config{})
		if err := c.Run(t.Context()); !errors.Is(err, alertmanager.ErrRunning) {
			t.Error(err)
		}
		stop()
	})
}
