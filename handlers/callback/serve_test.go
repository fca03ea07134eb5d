package callback_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// post posts a body with the signature of a secret, made at that time.
func post(tb testing.TB, h http.Handler, secret string, at time.Time, body io.Reader, signed []byte) *httptest.ResponseRecorder {
	tb.Helper()
	signer, err := webhook.NewSigner(secret)
	must(tb, err)
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/callbacks", body)
	r.Header, err = signer.Header("msg_1", at, signed)
	must(tb, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTheAnswersToBadCallbacks(t *testing.T) {
	var (
		db       = sqlitetest.Migrate(t, sqlitetest.Open(t))
		secret   = webhook.NewSecret()
		old      = webhook.NewSecret()
		facts    = map[callback.Kind]int{}
		box, err = forwarder.New(db, forwarder.Config{})
	)
	must(t, err)
	c, err := callback.New(db, box, callback.Config{
		Keys: []string{secret, old}, MaxBody: 200, LookUps: -1, Observe: func(f callback.Fact) { facts[f.Kind]++ },
	})
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = c.Submit(t.Context(), tx, callback.Call{Number: "n", URL: "https://copy.example/"})
	must(t, err)
	must(t, tx.Commit())

	good := `{"number":"n","status":"pending"}`
	long := `{"number":"n","status":"pending","reason":"` + strings.Repeat("x", 200) + `"}`
	for name, test := range map[string]struct {
		body   string
		secret string
		signed string        // default: body
		off    time.Duration // of its timestamp
		want   int
	}{
		"good":                     {body: good, want: 200},
		"key going out":            {body: good, secret: old, want: 200},
		"another's key":            {body: good, secret: webhook.NewSecret(), want: 401},
		"another body":             {body: good, signed: strings.Replace(good, "pending", "failed!", 1), want: 401},
		"too old":                  {body: good, off: -6 * time.Minute, want: 401},
		"from the future":          {body: good, off: 6 * time.Minute, want: 401},
		"oversize":                 {body: long, want: 413},
		"one byte over":            {body: good + strings.Repeat(" ", 201-len(good)), want: 413},
		"at the limit":             {body: good + strings.Repeat(" ", 200-len(good)), want: 200},
		"empty":                    {body: "", want: 400},
		"truncated":                {body: good[:len(good)-1], want: 400},
		"more behind it":           {body: good + good, want: 400},
		"a list":                   {body: "[" + good + "]", want: 400},
		"null":                     {body: "null", want: 400},
		"field twice":              {body: `{"number":"n","number":"m","status":"pending"}`, want: 400},
		"without number":           {body: `{"status":"pending"}`, want: 400},
		"number null":              {body: `{"number":null,"status":"pending"}`, want: 400},
		"number empty":             {body: `{"number":"","status":"pending"}`, want: 400},
		"number a number":          {body: `{"number":7,"status":"pending"}`, want: 400},
		"number with control":      {body: `{"number":"n\u0000","status":"pending"}`, want: 400},
		"number with a line":       {body: `{"number":"n\nm","status":"pending"}`, want: 400},
		"without status":           {body: `{"number":"n"}`, want: 400},
		"another status":           {body: `{"number":"n","status":"timed_out"}`, want: 400},
		"status in another's name": {body: `{"number":"n","Status":"succeeded"}`, want: 400},
		"reason an object":         {body: `{"number":"n","status":"failed","reason":{}}`, want: 400},
		"not UTF-8":                {body: "{\"number\":\"n\xff\",\"status\":\"failed\"}", want: 400},
		"unknown fields":           {body: `{"number":"n","status":"pending","more":[1,{"number":2}]}`, want: 200},
	} {
		t.Run(name, func(t *testing.T) {
			if test.secret == "" {
				test.secret = secret
			}
			if test.signed == "" {
				test.signed = test.body
			}
			w := post(t, c, test.secret, time.Now().Add(test.off), strings.NewReader(test.body), []byte(test.signed))
			checkAnswer(t, w, test.want)
		})
	}
	if v, err := c.Get(t.Context(), "n"); err != nil || v.Status != callback.Sent || v.Callbacks != 4 {
		t.Errorf("after all of them it is %s with %d callbacks, %v, want sent with the 4 good ones", v.Status, v.Callbacks, err)
	}
	if list, err := c.Parked(t.Context(), 0, 10); err != nil || len(list) != 0 {
		t.Errorf("parked: %v, %v, want nothing", list, err)
	}
	if facts[callback.KindForged] != 4 || facts[callback.KindOversize] != 2 || facts[callback.KindMalformed] != 17 || facts[callback.KindNoted] != 4 {
		t.Errorf("told %v", facts)
	}

	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody))
		if checkAnswer(t, w, http.StatusMethodNotAllowed); w.Header().Get("Allow") != http.MethodPost {
			t.Errorf("Allow is %q", w.Header().Get("Allow"))
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(good)))
	checkAnswer(t, w, http.StatusUnauthorized)
	checkAnswer(t, post(t, c, secret, time.Now(), io.MultiReader(strings.NewReader(good[:5]), broken{}), []byte(good)), http.StatusBadRequest)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	kind := "application/json"
	if want >= 400 {
		kind = "application/problem+json"
	}
	if w.Code != want || w.Header().Get("Content-Type") != kind || !json.Valid(w.Body.Bytes()) {
		t.Errorf("answered with %d %s %s, want %d %s", w.Code, w.Header().Get("Content-Type"), w.Body, want, kind)
	}
}

// Nothing was stored, so nothing may be acknowledged.
func TestACallbackThatCannotBeStoredIsTheServicesToSendAgain(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	box, err := forwarder.New(db, forwarder.Config{})
	must(t, err)
	secret := webhook.NewSecret()
	var logged bytes.Buffer
	c, err := callback.New(db, box, callback.Config{Keys: []string{secret}, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	must(t, err)
	must(t, db.Close())
	body := []byte(`{"number":"n","status":"succeeded","reason":"canary-7"}`)
	w := post(t, c, secret, time.Now(), bytes.NewReader(body), body)
	checkAnswer(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Error("it is not told when to come back")
	}
	if !strings.Contains(logged.String(), "could not be stored") || strings.Contains(logged.String()+w.Body.String(), "canary-7") {
		t.Errorf("logged %q, answered %q", logged.String(), w.Body)
	}
}

// A result that the outbox does not take leaves the call as it was, and the callback
// is not acknowledged.
func TestAResultThatCannotGoOutEndsNothing(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	secret := webhook.NewSecret()
	full := errors.New("outbox is full")
	box := &failing{err: full}
	c, err := callback.New(db, box, callback.Config{Keys: []string{secret}})
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = c.Submit(t.Context(), tx, callback.Call{Number: "n", URL: "https://copy.example/"})
	must(t, err)
	must(t, tx.Commit())
	body := []byte(`{"number":"n","status":"succeeded"}`)
	checkAnswer(t, post(t, c, secret, time.Now(), bytes.NewReader(body), body), http.StatusServiceUnavailable)
	if v, err := c.Get(t.Context(), "n"); err != nil || v.Status != callback.Waiting || v.Callbacks != 0 {
		t.Errorf("it is %s with %d callbacks, %v, want as it was", v.Status, v.Callbacks, err)
	}
	box.err = nil
	checkAnswer(t, post(t, c, secret, time.Now(), bytes.NewReader(body), body), http.StatusOK)
	if box.sent != 1 || box.woken != 1 {
		t.Errorf("%d messages, %d wake-ups, want 1 and 1", box.sent, box.woken)
	}
}

func TestAVerificationOfOnesOwn(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	box, err := forwarder.New(db, forwarder.Config{})
	must(t, err)
	c, err := callback.New(db, box, callback.Config{
		LookUps: -1,
		Verify: func(r *http.Request, body []byte) error {
			if r.Header.Get("X-Sign") != fmt.Sprint(len(body)) {
				return errors.New("canary-8")
			}
			return nil
		},
		Parse: func(_ *http.Request, body []byte) (string, callback.Result, error) {
			return string(body), callback.Result{Status: callback.Succeeded}, nil
		},
	})
	must(t, err)
	for sign, want := range map[string]int{"3": http.StatusAccepted, "4": http.StatusUnauthorized} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("abc"))
		r.Header.Set("X-Sign", sign)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		checkAnswer(t, w, want)
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("the answer tells why: %s", w.Body)
		}
	}
}
