package notify_test

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

func TestABadConfigurationIsRefusedWithAllItsFields(t *testing.T) {
	db := database(t)()
	_, err := notify.New(db, notify.Config{
		Dialect: 9, Prefix: "a-b", Schedule: notify.Schedule{MaxAttempts: -1, Delays: []time.Duration{-1}, Jitter: 2},
		Timeout: -1, MaxRetryAfter: -1, MaxThrottle: -1, Circuit: 1, MaxPause: -1, Concurrency: 1001, InFlight: -1, PerTarget: 1002,
		Lease: time.Millisecond, PollMax: -1, Allow: []netip.Prefix{{}}, MaxPayload: -1, MaxResponse: 1 << 20,
	})
	for _, field := range []string{
		"Dialect", "Prefix", "Schedule.MaxAttempts", "Schedule.Delays[0]", "Schedule.Jitter", "Timeout", "MaxRetryAfter", "MaxThrottle", "Circuit",
		"MaxPause", "Concurrency", "InFlight", "PerTarget", "Lease", "PollMax", "Allow", "MaxPayload", "MaxResponse",
	} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s is not named: %v", field, err)
		}
	}
	if _, err := notify.New(nil, notify.Config{}); err == nil {
		t.Error("a nil database was taken")
	}
	for _, s := range []notify.Schedule{{MaxAttempts: 20_001}, {Delays: []time.Duration{400 * 24 * time.Hour}}, {Multiplier: 0.5}} {
		if _, err := notify.New(db, notify.Config{Schedule: s}); err == nil || !strings.Contains(err.Error(), "Config.Schedule") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, cfg := range []notify.Config{{}, {Concurrency: 2}, {Circuit: notify.NoCircuit}, {PollMax: 100 * time.Millisecond}} {
		if _, err := notify.New(db, cfg); err != nil {
			t.Error(err)
		}
	}
}

func TestABadTargetIsRefusedWithItsFieldsAndNothingIsStored(t *testing.T) {
	n, db := open(t, notify.Config{})
	short := base64.StdEncoding.EncodeToString([]byte("canary-too-short"))
	good := []notify.Secret{notify.NewSecret()}
	const url = "https://shop.example"
	for i, c := range []struct {
		target notify.Target
		fields string
	}{
		{notify.Target{URL: url, Secrets: good}, "Target.Name"},
		{notify.Target{Name: "a\nb", URL: url, Secrets: good}, "Target.Name"},
		{notify.Target{Name: strings.Repeat("a", 256), URL: url, Secrets: good}, "Target.Name"},
		{notify.Target{Name: "a", Secrets: good}, "Target.URL"},
		{notify.Target{Name: "a", URL: "javascript:canary()", Secrets: good}, "Target.URL"},
		{notify.Target{Name: "a", URL: "https://user:canary@shop.example", Secrets: good}, "Target.URL"},
		{notify.Target{Name: "a", URL: "http://169.254.169.254/canary", Secrets: good}, "Target.URL"},
		{notify.Target{Name: "a", URL: "http://0x7f.1/canary", Secrets: good}, "Target.URL"},
		{notify.Target{Name: "a", URL: url}, "Target.Secrets"},
		{notify.Target{Name: "a", URL: url, Secrets: []notify.Secret{notify.Secret("whsec_" + short)}}, "Target.Secrets: number 1 has 16 bytes"},
		{notify.Target{Name: "a", URL: url, Secrets: []notify.Secret{"canary"}}, "Target.Secrets"},
		{notify.Target{Name: "a", URL: url, Secrets: []notify.Secret{good[0], good[0], good[0], good[0], good[0]}}, "Target.Secrets"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Token: "canary"}, "Target.Token"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Token: "canary with white space in it"}, "Target.Token"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Keys: []notify.Secret{"canary"}}, "Target.Keys"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Rule: notify.Rule{Field: "code"}}, "Target.Rule"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Rule: notify.Rule{Field: "a..b", Values: []string{"0"}}}, "Target.Rule.Field"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Rule: notify.Rule{Text: []string{" ok"}}}, "Target.Rule.Text"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Concurrency: -1}, "Target.Concurrency"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Rate: math.NaN()}, "Target.Rate"},
		{notify.Target{Name: "a", URL: url, Secrets: good, Rate: -1}, "Target.Rate"},
		{notify.Target{}, "Target.Name"}, {notify.Target{}, "Target.URL"}, {notify.Target{}, "Target.Secrets"},
	} {
		err := n.PutTarget(t.Context(), c.target, "ops")
		if !errors.Is(err, notify.ErrInvalid) || !strings.Contains(err.Error(), c.fields) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), short) {
			t.Errorf("%d: %v, want %s", i, err, c.fields)
		}
	}
	if err := n.PutTarget(t.Context(), notify.Target{Name: "a", URL: url, Secrets: good}, ""); !errors.Is(err, notify.ErrInvalid) {
		t.Errorf("nobody put it: %v", err)
	}
	none(t, db, "sluicegate_notify_target", "sluicegate_notify_action")
}

func TestABadNotificationIsRefusedAndNothingIsStored(t *testing.T) {
	n, db := open(t, notify.Config{MaxPayload: 100})
	for _, what := range []notify.Notification{
		{ID: "a"}, {Target: "shop"}, {Target: "shop", ID: "a\x00b"}, {Target: "shop", ID: "\xff"}, {Target: "shop", ID: strings.Repeat("a", 256)},
		{Target: "shop", ID: "a", Type: "x\ny"}, {Target: "shop", ID: "a", ContentType: "text/plain\r\nX-Evil: 1"}, {Target: "shop", ID: "a", Payload: make([]byte, 101)},
	} {
		if _, err := n.Notify(t.Context(), what); !errors.Is(err, notify.ErrInvalid) {
			t.Errorf("%+v: %v", what, err)
		}
	}
	none(t, db, "sluicegate_notify_message", "sluicegate_task")
	if added, err := n.Notify(t.Context(), notify.Notification{Target: "shop", ID: "订单/1 ' \" %2F;--", Payload: make([]byte, 100)}); err != nil || !added {
		t.Error(added, err)
	}
}

// none checks that tables are empty.
func none(t *testing.T, db *sql.DB, tables ...string) {
	t.Helper()
	for _, table := range tables {
		var rows int
		must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows))
		if rows != 0 {
			t.Errorf("%s has %d rows", table, rows)
		}
	}
}

func TestNothingShowsASecret(t *testing.T) {
	secret, token := notify.NewSecret(), notify.Secret("canary-token-of-the-merchant")
	target := notify.Target{Name: "shop", URL: "https://shop.example/canary?key=canary", Secrets: []notify.Secret{secret}, Token: token, Keys: []notify.Secret{secret}}
	n, _ := open(t, notify.Config{})
	put(t, n, target)
	read, err := n.Target(t.Context(), "shop")
	must(t, err)
	list, err := n.Targets(t.Context(), "", 10)
	must(t, err)
	encoded, err := json.Marshal([]any{secret, token, read.Secrets, read.Token, read.Keys})
	must(t, err)
	text := fmt.Sprintf("%v %+v %#v %s %q %v %+v %#v %v %s", target, target, target, secret, token, read, read, list, read.Secrets, encoded)
	for _, canary := range []string{string(secret)[6:], "canary"} {
		if strings.Contains(text, canary) {
			t.Error(text)
		}
	}
	if got := fmt.Sprint(read.Secrets[0]); !strings.HasPrefix(got, "whsec_…") {
		t.Error(got)
	}
	// What was shown is no secret and cannot be put back as one.
	if err := n.PutTarget(t.Context(), notify.Target{Name: "shop", URL: "https://shop.example", Secrets: read.Secrets}, "ops"); !errors.Is(err, notify.ErrInvalid) {
		t.Error(err)
	}
}
