package notify_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

var twice = notify.Schedule{MaxAttempts: 2, Delays: []time.Duration{10 * time.Millisecond}}

func stopped(r notify.Record) bool { return r.Status == notify.Stopped }

// A name passes where its address would not: the guard is at the connection.
func TestATargetInOurOwnNetworkIsNotReached(t *testing.T) {
	url, hits := partner(t, func(http.ResponseWriter, *http.Request) {})
	n, db := open(t, notify.Config{Schedule: twice})
	if err := n.PutTarget(t.Context(), notify.Target{Name: "shop", URL: url, Secrets: []notify.Secret{notify.NewSecret()}}, "ops"); err == nil {
		t.Error("a URL with a private address was taken")
	}
	put(t, n, notify.Target{Name: "shop", URL: "http://public.example/"})
	// As if the name had come to be this machine's.
	_, err := db.Exec("UPDATE sluicegate_notify_target SET url = ?", url)
	must(t, err)
	run(t, n)
	enqueue(t, n, "shop", "order-1")
	r := until(t, n, "shop", "order-1", stopped)
	if hits.Load() != 0 || !strings.Contains(r.LastError, "address is not allowed") || r.Attempts != 2 {
		t.Errorf("%d requests, %+v", hits.Load(), r)
	}
}

func TestATargetInOurOwnNetworkIsReachedWhereItIsAllowed(t *testing.T) {
	url, hits := partner(t, func(http.ResponseWriter, *http.Request) {})
	for _, cfg := range []notify.Config{{AllowPrivate: true}, {Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}} {
		n, _ := open(t, cfg)
		put(t, n, notify.Target{Name: "shop", URL: url})
		run(t, n)
		enqueue(t, n, "shop", "order-1")
		until(t, n, "shop", "order-1", func(r notify.Record) bool { return r.Status == notify.Delivered })
	}
	if hits.Load() != 2 {
		t.Error(hits.Load())
	}
}

func TestARedirectIsAFailureAndNotFollowed(t *testing.T) {
	inner, hits := partner(t, func(http.ResponseWriter, *http.Request) {})
	for _, client := range []*http.Client{nil, {}} {
		url, _ := partner(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner, http.StatusTemporaryRedirect) })
		n, _ := open(t, notify.Config{AllowPrivate: true, Schedule: twice, Client: client})
		put(t, n, notify.Target{Name: "shop", URL: url})
		run(t, n)
		enqueue(t, n, "shop", "order-1")
		r := until(t, n, "shop", "order-1", stopped)
		if r.LastStatus != http.StatusTemporaryRedirect || hits.Load() != 0 {
			t.Errorf("%d requests elsewhere, %+v", hits.Load(), r)
		}
	}
}

func TestAnEndlessAnswerEnds(t *testing.T) {
	for name, c := range map[string]struct {
		rule notify.Rule
		want notify.Status
	}{
		"any 2xx":     {notify.Rule{}, notify.Delivered},
		"with a rule": {notify.Rule{Text: []string{"success"}}, notify.Stopped},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := partner(t, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, strings.Repeat("x", 1<<10)); err != nil {
						return
					}
				}
			})
			n, _ := open(t, notify.Config{AllowPrivate: true, Schedule: twice, MaxResponse: 200})
			put(t, n, notify.Target{Name: "shop", URL: url, Rule: c.rule})
			run(t, n)
			enqueue(t, n, "shop", "order-1")
			until(t, n, "shop", "order-1", func(r notify.Record) bool { return r.Status == c.want })
			attempts, err := n.Attempts(t.Context(), "shop", "order-1")
			if err != nil || len(attempts[0].Response) > 200 {
				t.Errorf("%d bytes kept, %v", len(attempts[0].Response), err)
			}
		})
	}
}
