package callback_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// failing is an outbox.
type failing struct {
	err         error
	sent, woken int
}

func (f *failing) Publish(_ context.Context, _ callback.Executor, _ string, msgs ...*message.Message) error {
	if f.err == nil {
		f.sent += len(msgs)
	}
	return f.err
}

func (f *failing) Wake() { f.woken++ }

func TestACallThatCannotBeUsedIsRefusedAndNothingIsStored(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	c, err := callback.New(db, &failing{}, callback.Config{Keys: []string{webhook.NewSecret()}, MaxBody: 10, Headers: []string{"X-Trace", "accept"}})
	must(t, err)
	const ok = "https://copy.example/"
	for field, call := range map[string]callback.Call{
		"Call.Number: 256":       {URL: ok, Number: strings.Repeat("n", 256)},
		"Call.Number: use":       {URL: ok, Number: "a b"},
		"Call.Kind":              {URL: ok, Kind: "\xff"},
		"Call.URL: invalid":      {URL: ""},
		"scheme":                 {URL: "ftp://copy.example/"},
		"Call.URL":               {URL: "javascript:alert(1)"},
		"user name":              {URL: "https://me:canary-9@copy.example/"},
		"address is not allowed": {URL: "http://127.0.0.1:8080/"},
		"write the address as":   {URL: "http://[::ffff:169.254.169.254]/"},
		"its host is a number":   {URL: "http://0x7f.1/"},
		"Call.URL: invalid URL":  {URL: "https://copy.example/" + strings.Repeat("x", 3000)},
		"Call.Method":            {URL: ok, Method: "PO ST"},
		"Call.Body":              {URL: ok, Body: make([]byte, 11)},
		"does not list":          {URL: ok, Header: map[string]string{"Authorization": "Bearer canary-9"}},
		"is there twice":         {URL: ok, Header: map[string]string{"x-trace": "1", "X-TRACE": "2"}},
		"has a character":        {URL: ok, Header: map[string]string{"X-Trace": "a\r\nX-Evil: canary-9"}},
		"Call.Header: 20":        {URL: ok, Header: map[string]string{"X-Trace": strings.Repeat("x", 20_000)}},
		"Call.Deadline":          {URL: ok, Deadline: -1},
		"Call.SendDelay: -":      {URL: ok, SendDelay: -1},
		"it would never be sent": {URL: ok, Deadline: time.Second, SendDelay: time.Minute},
	} {
		t.Run(field, func(t *testing.T) {
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			_, err = c.Submit(t.Context(), tx, call)
			if !errors.Is(err, callback.ErrInvalid) || !strings.Contains(fmt.Sprint(err), field) || strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("error %v, want ErrInvalid that says %q and no secret", err, field)
			}
			must(t, tx.Commit())
		})
	}
	// All that is wrong at once.
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = c.Submit(t.Context(), tx, callback.Call{Number: "a b", Method: "?\n", Deadline: -1})
	for _, field := range []string{"Call.Number", "Call.URL", "Call.Method", "Call.Deadline"} {
		if !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("error %v does not tell of %s", err, field)
		}
	}
	if _, err := c.Submit(t.Context(), nil, callback.Call{URL: ok}); !errors.Is(err, callback.ErrInvalid) {
		t.Errorf("without a transaction: %v", err)
	}
	must(t, tx.Commit())
	for _, table := range []string{"call", "call_event", "task"} {
		var n int
		must(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sluicegate_"+table).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

func TestWhatIsWrongWithAConfigurationIsNamed(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	keys := []string{webhook.NewSecret()}
	verify := func(*http.Request, []byte) error { return nil }
	for field, cfg := range map[string]callback.Config{
		"Service":           {Keys: keys, Service: "a/b"},
		"Topic":             {Keys: keys, Topic: "a b"},
		"Dialect":           {Keys: keys, Dialect: 9},
		"Schema":            {Keys: keys, Schema: "x"},
		"Prefix":            {Keys: keys, Prefix: "a-b"},
		"Keys":              {},
		"Keys: number 1":    {Keys: []string{"whsec_c2hvcnQ="}},
		"Verify":            {Keys: keys, Verify: verify},
		"Headers[1]":        {Keys: keys, Headers: []string{"X-A", "authorization"}},
		"Headers[0]":        {Keys: keys, Headers: []string{"Idempotency-Key"}},
		"SendDelays[1]":     {Keys: keys, SendDelays: []time.Duration{1, 0}},
		"QueryURL: has no":  {Keys: keys, QueryURL: "https://copy.example/"},
		"QueryURL: address": {Keys: keys, QueryURL: "http://10.0.0.1/{number}"},
		"Query":             {Keys: keys, QueryURL: "https://copy.example/{number}", Query: func(context.Context, callback.View) (*http.Request, error) { return nil, nil }},
		"QueryEvery":        {Keys: keys, QueryEvery: -1},
		"QueryJitter":       {Keys: keys, QueryJitter: 2},
		"Deadline":          {Keys: keys, Deadline: 400 * 24 * time.Hour},
		"Timeout":           {Keys: keys, Timeout: -1},
		"Allow":             {Keys: keys, Allow: []netip.Prefix{{}}},
		"Concurrency":       {Keys: keys, Concurrency: -1},
		"PerHost":           {Keys: keys, Concurrency: 2, PerHost: 3},
		"Lease":             {Keys: keys, Lease: time.Millisecond},
		"PollMax":           {Keys: keys, PollMax: 1},
		"MaxBody":           {Keys: keys, MaxBody: 1 << 30},
		"Known":             {Keys: keys, Known: -1},
		"LookUps":           {Keys: keys, LookUps: -2},
		"LookUpEvery":       {Keys: keys, LookUpEvery: -1},
		"MaxWaiting":        {Keys: keys, MaxWaiting: -1},
		"ParkFor":           {Keys: keys, ParkFor: -1},
		"History":           {Keys: keys, History: -1},
		"Tolerance":         {Keys: keys, Tolerance: -1},
	} {
		if _, err := callback.New(db, &failing{}, cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: error %v, want one that names it", field, err)
		}
	}
	if _, err := callback.New(nil, nil, callback.Config{Keys: keys, LookUps: -9, History: -1}); err == nil ||
		!strings.Contains(err.Error(), "outbox") || !strings.Contains(err.Error(), "LookUps") || !strings.Contains(err.Error(), "History") {
		t.Errorf("error %v, want all of it", err)
	}
	if _, err := callback.New(nil, &failing{}, callback.Config{Keys: keys}); err == nil {
		t.Error("a nil database was taken")
	}
}

// The keys are in none of what a program may print.
func TestNothingThatIsPrintedShowsAKey(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	box, err := forwarder.New(db, forwarder.Config{})
	must(t, err)
	secret := webhook.NewSecret()
	c, err := callback.New(db, box, callback.Config{Keys: []string{secret}})
	must(t, err)
	raw := strings.TrimPrefix(secret, webhook.SecretPrefix)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if strings.Contains(fmt.Sprintf(format, c), raw) {
			t.Errorf("%s shows the key", format)
		}
	}
}
