package alertmanager_test

import (
	"context"
	"encoding/base64"
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

const token, password = "canary0bearer0token", "canary0pass0word"

type posted struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

func text(r *http.Request, body []byte) (string, error) {
	var list []posted
	if err := json.Unmarshal(body, &list); err != nil {
		return "", err
	}
	if r.URL.Path != "/prefix/api/v2/alerts" || len(list) == 0 || len(body) > 128<<10 {
		return "", fmt.Errorf("%s with %d alerts in %d bytes", r.URL.Path, len(list), len(body))
	}
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintln(&b, a.Labels["alertname"], a.Labels["handler"], a.Annotations["count"], a.Annotations["description"])
	}
	return b.String(), nil
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     alertmanager.Config
		secrets []string
	}{
		"bearer": {alertmanager.Config{Token: token}, []string{token}},
		"basic": {
			alertmanager.Config{Username: "user", Password: password},
			[]string{password, base64.StdEncoding.EncodeToString([]byte("user:" + password))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := alerttest.HTTP{
				New: func(base string, client *http.Client) (alert.Sender, error) {
					c.cfg.Client = client
					return alertmanager.New(base+"/prefix/", c.cfg)
				},
				Answers: map[alerttest.Fault]alerttest.Answer{
					alerttest.Busy:    {Status: 503, Body: alerttest.Echo},
					alerttest.Limited: {Status: 429, Body: alerttest.Echo},
					alerttest.Broken:  {Status: 403, Body: alerttest.Echo},
					alerttest.Refused: {Status: 400, Body: alerttest.Echo},
				},
				Text: text,
			}
			alerttest.Run(t, alerttest.Harness{
				Open: service.Open, Secrets: c.secrets, MaxText: 8 << 10,
				Lacks: []alerttest.Fault{alerttest.Garbage, alerttest.Endless}, // any 2xx is an acceptance
			})
		})
	}
}

func TestTheRequestIsThatOfTheAPI(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{})
	now := time.Date(2026, 3, 1, 9, 40, 0, 0, time.UTC)
	c, err := alertmanager.New(base, alertmanager.Config{Now: func() time.Time { return now }, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Labels = map[string]string{"data-center": "b", "9lives": "x", "empty": ""}
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n.Status = alert.Resolved
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	alerttest.Golden(t, "firing.json", got()[0].Body)
	alerttest.Golden(t, "resolved.json", got()[1].Body)
	if got()[0].Header.Get("Authorization") != "Bearer "+token || got()[0].Path != "/api/v2/alerts" {
		t.Error(got()[0])
	}
}

// transport keeps what is sent, and fails on demand; no network is needed, so
// that time can be virtual.
type transport struct {
	mu   sync.Mutex
	all  [][]posted
	fail bool
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

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    alertmanager.Config
		fields []string
	}{
		{"", alertmanager.Config{}, []string{"url: the URL is empty"}},
		{"http://am:9093", alertmanager.Config{Token: token}, []string{"url: it comes with a secret"}},
		{"https://am", alertmanager.Config{Token: token, Password: password, Template: "{{", MaxActive: -1, Timeout: -1}, []string{"Config.Token", "Config.Template", "Config.MaxActive", "Config.Timeout"}},
		{"https://am", alertmanager.Config{Password: password, Resend: -1, Forget: -1}, []string{"Config.Username", "Config.Resend", "Config.Forget"}},
		{"https://am", alertmanager.Config{Token: token + "\n"}, []string{"Config.Token"}},
		{"http://am:9093", alertmanager.Config{Resend: 3 * time.Minute}, []string{"Config.Resend: 3m0s is more than half"}},
	} {
		_, err := alertmanager.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{token, password}, c.fields...)
	}
}

func Example() {
	channel, err := alertmanager.New("http://alertmanager:9093", alertmanager.Config{Resend: 30 * time.Second})
	fmt.Println(channel, err)
	if err != nil {
		return
	}
	// Beside the notifier, for as long as the service lives; here it ends at once.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(channel.Run(ctx))

	// Output:
	// alertmanager channel at alertmanager:9093 <nil>
	// <nil>
}
