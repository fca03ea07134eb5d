package httpidem_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

func TestWhatIsWrongWithAConfigurationIsNamed(t *testing.T) {
	scope := httpidem.Anyone
	for field, cfg := range map[string]httpidem.Config{
		"Scope":              {},
		"Name":               {Scope: scope, Name: strings.Repeat("n", 256)},
		"Header":             {Scope: scope, Header: "Idempotency Key"},
		"FingerprintHeaders": {Scope: scope, FingerprintHeaders: []string{""}},
		"ReplayHeaders":      {Scope: scope, ReplayHeaders: []string{"set-cookie"}},
		"MaxBody":            {Scope: scope, MaxBody: -1},
		"MaxResponse":        {Scope: scope, MaxResponse: -1},
		"Retention":          {Scope: scope, Retention: -1},
		"RetryAfter":         {Scope: scope, RetryAfter: -1},
		"BusyWait":           {Scope: scope, BusyWait: -1},
		"StoreWait":          {Scope: scope, StoreWait: -1},
		"Lease":              {Scope: scope, Lease: time.Millisecond},
		"Heartbeat":          {Scope: scope, Heartbeat: 8 * time.Second},
		"Takeover":           {Scope: scope, Takeover: 9},
		"Outage":             {Scope: scope, Outage: 9},
	} {
		_, err := httpidem.New(memorystore.New(), cfg)
		wantField(t, err, "Config."+field)
	}
	_, err := httpidem.New(nil, httpidem.Config{Lease: -1, ReplayHeaders: []string{"Authorization"}})
	wantField(t, err, "store", "Config.Scope", "Config.Lease", "Config.ReplayHeaders")
	_, err = httpidem.NewTx(nil, nil, httpidem.Config{Lease: 1, Heartbeat: 1, Takeover: httpidem.TakeoverRefuse, Outage: httpidem.FailOpen})
	wantField(t, err, "runner", "store", "Config.Scope", "Config.Lease", "Config.Heartbeat", "Config.Takeover", "Config.Outage")
	_, err = httpidem.NewTokens(nil, httpidem.TokenConfig{TTL: -1, MaxBody: -1})
	wantField(t, err, "store", "TokenConfig.Operator", "TokenConfig.TTL", "TokenConfig.MaxBody")
	_, err = httpidem.NewLock(nil, httpidem.LockConfig{Lease: -1, Retention: -1})
	wantField(t, err, "store", "LockConfig.Operator", "LockConfig.Lease", "LockConfig.Retention")
	if strings.Contains(err.Error(), "Scope") {
		t.Errorf("a lock has no scope: %v", err)
	}
}

func wantField(t *testing.T, err error, fields ...string) {
	t.Helper()
	for _, f := range fields {
		if err == nil || !strings.Contains(err.Error(), f+":") {
			t.Errorf("error %v, want one that names %s", err, f)
		}
	}
}

func TestTheZeroValuesAreDefaults(t *testing.T) {
	store, err := sqlstore.New(sqlite(t), sqlstore.Config{})
	must(t, err)
	_, err = httpidem.New(store, httpidem.Config{Scope: httpidem.Anyone})
	must(t, err)
	_, err = httpidem.NewTokens(store, httpidem.TokenConfig{Operator: byTenant})
	must(t, err)
	_, err = httpidem.NewLock(store, httpidem.LockConfig{Operator: byTenant})
	must(t, err)
}

func TestAHandlerMayBeGivenItsOwnProblemsAndHeader(t *testing.T) {
	h := guard(t, memorystore.New(), func(c *httpidem.Config) {
		c.Header = "X-Request-Key"
		c.Required = func(*http.Request) bool { return true }
		c.Problem = func(w http.ResponseWriter, _ *http.Request, p httpidem.Problem) {
			w.Header().Set("X-Problem", strings.TrimPrefix(p.Type, httpidem.ProblemPrefix))
			w.WriteHeader(p.Status)
		}
	}).Middleware(created())
	w := call{method: http.MethodDelete, key: "k"}.to(h)
	wantStatus(t, w, http.StatusBadRequest)
	if got := w.Header().Get("X-Problem"); got != "idempotency-key-missing" {
		t.Errorf("problem %q", got)
	}
	c := call{header: map[string]string{"x-request-key": "k"}}
	wantReplay(t, c.to(h), false)
	wantReplay(t, c.to(h), true)
}
