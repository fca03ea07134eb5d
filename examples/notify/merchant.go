package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

// merchant is a partner, as they would write it: what is signed wrongly is refused, and a
// payment that is known already is answered 200 and nothing else.
type merchant struct {
	name   string
	secret notify.Secret
	token  notify.Secret
	server *httptest.Server
	answer func(w http.ResponseWriter, n int) bool // the trouble of request n; false where there is none

	mu    sync.Mutex
	posts int
	bad   int
	known map[string]bool // payments
}

func newMerchant(name string, answer func(w http.ResponseWriter, n int) bool) *merchant {
	m := &merchant{
		name: name, secret: notify.NewSecret(), token: "token-of-" + notify.Secret(name) + "-0123456789abcdef",
		answer: answer, known: map[string]bool{},
	}
	m.server = httptest.NewServer(m)
	return m
}

// ServeHTTP takes a notification.
func (m *merchant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posts++
	if !m.signed(r.Header, body) {
		m.bad++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if m.answer(w, m.posts) {
		return
	}
	m.learn(body)
	_, _ = io.WriteString(w, "success")
}

// signed checks the signature of Standard Webhooks: a few lines, or a library, in any language. A
// real merchant also refuses a webhook-timestamp that is older than five minutes.
func (m *merchant) signed(h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(string(m.secret)[len("whsec_"):])
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(h.Get("Webhook-Id") + "." + h.Get("Webhook-Timestamp") + "."))
	_, _ = mac.Write(body)
	return hmac.Equal([]byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(h.Get("Webhook-Signature")))
}

// learn takes note of a payment, however often it is told.
func (m *merchant) learn(body []byte) {
	var p struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &p) == nil && p.ID != "" {
		m.known[p.ID] = true
	}
}

// state is what has become of the merchant.
func (m *merchant) state() (posts, bad int, known map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.posts, m.bad, maps.Clone(m.known)
}

// mend ends the trouble.
func (m *merchant) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = func(http.ResponseWriter, int) bool { return false }
}

type merchants []*merchant

func says(status int) func(http.ResponseWriter, int) bool {
	return func(w http.ResponseWriter, _ int) bool {
		w.WriteHeader(status)
		return true
	}
}

func newMerchants() merchants {
	return merchants{
		newMerchant("slow-start", func(w http.ResponseWriter, n int) bool { // down for its first requests
			if n > 10 {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}),
		newMerchant("says-fail", func(w http.ResponseWriter, n int) bool { // 200, and did not take it
			if n > 10 {
				return false
			}
			_, _ = io.WriteString(w, "fail")
			return true
		}),
		newMerchant("dead", says(http.StatusServiceUnavailable)), // for longer than there are attempts
		newMerchant("moved", says(http.StatusGone)),
	}
}

func (all merchants) close() {
	for _, m := range all {
		m.server.Close()
	}
}

func (all merchants) of(name string) *merchant {
	for _, m := range all {
		if m.name == name {
			return m
		}
	}
	return nil
}
