package callbacktest

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Database is an empty one, with all migrations.
type Database struct {
	DB     *sql.DB
	Prefix string
	// Single says that all users share one connection, so that nobody can look
	// while a transaction is open.
	Single bool
	// TxOptions are those of the service's own transactions.
	TxOptions *sql.TxOptions
}

// Harness makes databases.
type Harness struct {
	// Open is called in a bubble of testing/synctest, once for each case.
	Open func(t *testing.T) Database
}

// Cases are the promises. A name says what is promised.
var cases = []struct {
	name string
	run  func(s *stage)
}{
	{"EveryOneOfAThousandCallsEndsInItsTrueResultOnce", thousand},
	{"ACallbackBeforeTheCommitIsNotLostOnAnotherNode", otherNode},
	{"ACallbackBeforeTheCommitIsParkedAtOnceOnItsOwnNode", ownNode},
	{"ACallbackWithoutACallIsKeptAndThenExpires", expires},
	{"TheLookUpsAreOneSecondApart", lookUps},
	{"ACallIsSentAfterTheCommitAndNeverBefore", afterCommit},
	{"ACallThatIsRolledBackIsNeverSent", rolledBack},
	{"ANumberIsTakenOnce", exists},
	{"ACrashBetweenTheSendingAndItsRecordSendsTheSameNumber", crash},
	{"ANodeThatStopsWhileItSendsLeavesTheCallToTheNext", stopped},
	{"RequestsThatFailAreMadeAgainOnTheirSchedule", sendSchedule},
	{"ARefusalIsTheResult", refused},
	{"WhatIsOpenIsAskedForEveryFiveMinutes", asked},
	{"AServiceThatIsAwayHasSaidNothing", away},
	{"AServiceThatHasLostTheCallIsSentItAgain", lostByService},
	{"AtTheDeadlineACallTimesOutWithAnAlert", deadline},
	{"TheFirstOfManyResultsWinsOnce", race},
	{"WhatComesAfterTheEndIsCountedAndNotApplied", afterTheEnd},
	{"ServicesAreKeptApart", services},
	{"CallsAreListedAndCounted", listed},
	{"TheHistoryIsBounded", bounded},
	{"CallsGoAfterTheirRetention", retention},
}

// Run shows that package callback keeps its promises on the databases of h.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := h.Open(t)
				box, err := forwarder.New(db.DB, forwarder.Config{Prefix: db.Prefix})
				must(t, err)
				s := &stage{T: t, db: db, box: box, secret: webhook.NewSecret(), service: newService(), began: time.Now()}
				c.run(s)
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage is one case: a database, a service and nodes.
type stage struct {
	*testing.T
	db      Database
	box     *forwarder.Outbox
	secret  string
	service *service
	began   time.Time

	mu     sync.Mutex
	facts  []callback.Fact
	alerts []alert.Alert
}

// Emit takes an alert.
func (s *stage) Emit(a alert.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = append(s.alerts, a)
}

func (s *stage) alerted(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.alerts {
		if a.Name == name {
			n++
		}
	}
	return n
}

func (s *stage) observe(f callback.Fact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = append(s.facts, f)
}

func (s *stage) told(kind callback.Kind) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.facts {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// node returns a Caller as one process has it.
func (s *stage) node(change ...func(*callback.Config)) *callback.Caller {
	s.Helper()
	cfg := callback.Config{
		Service: "copy", Prefix: s.db.Prefix, Keys: []string{s.secret}, Client: &http.Client{Transport: s.service},
		QueryURL: "https://copy.example/copies/{number}", QueryJitter: callback.NoJitter, Deadline: time.Hour,
		PollMax: 30 * time.Second, Now: time.Now, Alerts: s, Observe: s.observe,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	c, err := callback.New(s.db.DB, s.box, cfg)
	must(s.T, err)
	return c
}

// start runs a node; what it returns stops it and waits for its end.
func (s *stage) start(c *callback.Caller) func() {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.Error(err)
			}
		})
	}
	s.Cleanup(stop)
	return stop
}

// running returns a node that runs.
func (s *stage) running(change ...func(*callback.Config)) *callback.Caller {
	s.Helper()
	c := s.node(change...)
	s.start(c)
	return c
}

// begin begins a transaction of the service's own.
func (s *stage) begin() *sql.Tx {
	s.Helper()
	tx, err := s.db.DB.BeginTx(s.Context(), s.db.TxOptions)
	must(s.T, err)
	return tx
}

const url = "https://copy.example/copies"

func call(number string) callback.Call {
	return callback.Call{
		Number: number, Kind: "copy_classroom", URL: url, Header: map[string]string{"content-type": "application/json"}, Body: []byte(`{"room":7}`),
	}
}

// submit submits and commits.
func (s *stage) submit(c *callback.Caller, number string) {
	s.Helper()
	tx := s.begin()
	_, err := c.Submit(s.Context(), tx, call(number))
	must(s.T, err)
	must(s.T, tx.Commit())
	c.Wake()
}

func body(number string, status callback.Status) []byte {
	raw, _ := json.Marshal(map[string]any{"number": number, "status": status, "code": "c1", "data": map[string]string{"copy": number}})
	return raw
}

// post calls back with a signature of the secret.
func (s *stage) post(c http.Handler, secret string, body []byte) *httptest.ResponseRecorder {
	signer, err := webhook.NewSigner(secret)
	if err != nil {
		s.Error(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/callbacks", strings.NewReader(string(body)))
	h, err := signer.Header("msg_1", time.Now(), body)
	if err != nil {
		s.Error(err)
	}
	r.Header = h
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// back calls back, and returns status code and word of the answer.
func (s *stage) back(c http.Handler, number string, status callback.Status) (int, string) {
	w := s.post(c, s.secret, body(number, status))
	var said struct{ Status any }
	_ = json.Unmarshal(w.Body.Bytes(), &said)
	word, _ := said.Status.(string)
	return w.Code, word
}

// expectBack calls back and checks the answer.
func (s *stage) expectBack(c http.Handler, number string, status callback.Status, code int, word string) {
	s.Helper()
	if gotCode, got := s.back(c, number, status); gotCode != code || got != word {
		s.Errorf("callback of %s was answered with %d %q, want %d %q", number, gotCode, got, code, word)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
