package callbacktest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

func afterCommit(s *stage) {
	a := s.running()
	tx := s.begin()
	_, err := a.Submit(s.Context(), tx, call("n"))
	must(s.T, err)
	a.Wake()
	pass(3 * time.Second)
	if got := s.service.sends("n"); len(got) != 0 {
		s.Errorf("sent at %v, before the commit", got)
	}
	must(s.T, tx.Commit())
	a.Wake()
	pass(time.Second)
	if got := s.service.sends("n"); len(got) != 1 {
		s.Errorf("sent at %v, want once after the commit", got)
	}
	s.open(a, "n", callback.Sent)

	later := call("m")
	later.SendDelay = 90 * time.Second
	tx = s.begin()
	_, err = a.Submit(s.Context(), tx, later)
	must(s.T, err)
	must(s.T, tx.Commit())
	committed := time.Since(s.began)
	pass(2 * time.Minute)
	if got := s.service.sends("m"); len(got) != 1 || got[0]-committed < 90*time.Second || got[0]-committed > 91*time.Second {
		s.Errorf("sent at %v, want once, 90 s after %v", got, committed)
	}
}

func rolledBack(s *stage) {
	a := s.running()
	tx := s.begin()
	_, err := a.Submit(s.Context(), tx, call("n"))
	must(s.T, err)
	must(s.T, tx.Rollback())
	pass(10 * time.Minute)
	if got := s.service.sends("n"); len(got) != 0 {
		s.Errorf("sent at %v, want never", got)
	}
	if _, err := a.Get(s.Context(), "n"); !errors.Is(err, callback.ErrNotFound) {
		s.Errorf("Get: %v, want ErrNotFound", err)
	}
	if got := s.messages(); len(got) != 0 {
		s.Errorf("messages %v, want none", got)
	}
}

func exists(s *stage) {
	a := s.node()
	s.submit(a, "n")
	tx := s.begin()
	if _, err := a.Submit(s.Context(), tx, call("n")); !errors.Is(err, callback.ErrExists) {
		s.Errorf("the second: %v, want ErrExists", err)
	}
	// The transaction can go on.
	made, err := a.Submit(s.Context(), tx, callback.Call{URL: url})
	must(s.T, err)
	must(s.T, tx.Commit())
	if v := s.view(a, made); len(made) != 36 || v.Status != callback.Waiting || v.Method != http.MethodPost {
		s.Errorf("a call without a number became %+v", v)
	}
}

// crash: a node has sent, and died before it could record it. What remains of it is the
// claim, until its lease is over.
func crash(s *stage) {
	a := s.node()
	s.submit(a, "n")
	dead, err := schedule.New(s.db.DB, schedule.Config{Prefix: s.db.Prefix, Now: time.Now})
	must(s.T, err)
	tasks, err := dead.Claim(s.Context(), schedule.ClaimRequest{Queue: "call:copy", Limit: 1, Lease: time.Minute})
	must(s.T, err)
	if len(tasks) != 1 {
		s.Fatalf("claimed %d tasks, want 1", len(tasks))
	}
	s.service.mu.Lock()
	s.service.sent["n"] = append(s.service.sent["n"], 0) // it had come
	s.service.taken["n"] = true
	s.service.mu.Unlock()

	s.start(a)
	pass(59 * time.Second)
	if got := s.service.sends("n"); len(got) != 1 {
		s.Errorf("sent at %v while the claim of the dead node holds", got)
	}
	pass(7 * time.Second)
	if got := s.service.sends("n"); len(got) != 2 {
		s.Errorf("sent at %v, want a second time with the same number", got)
	}
	s.open(a, "n", callback.Sent)
}

// stopped: a node is told to stop while the service has the request and has not
// answered.
func stopped(s *stage) {
	a, b := s.node(), s.node()
	s.service.plan("n", plan{send: func(n int, r *http.Request) (*http.Response, error) {
		if n == 1 {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return status(http.StatusAccepted), nil
	}})
	s.submit(a, "n")
	stop := s.start(a)
	pass(time.Second)
	stop()
	if v := s.view(a, "n"); v.Sends != 0 || v.Status != callback.Waiting {
		s.Errorf("after the stop it is %s with %d requests, want waiting with none", v.Status, v.Sends)
	}
	s.start(b)
	pass(time.Second)
	if got := s.service.sends("n"); len(got) != 2 {
		s.Errorf("sent at %v, want again by the next node", got)
	}
	s.open(b, "n", callback.Sent)
}

func sendSchedule(s *stage) {
	a := s.running()
	s.service.plan("n", plan{send: func(n int, _ *http.Request) (*http.Response, error) {
		switch {
		case n == 2:
			return nil, errAway
		case n == 4:
			resp := status(http.StatusTooManyRequests)
			resp.Header.Set("Retry-After", "100")
			return resp, nil
		case n <= 8:
			return status(http.StatusInternalServerError), nil
		}
		return status(http.StatusConflict), nil // it has this number
	}})
	s.submit(a, "n")
	pass(30 * time.Minute)
	var want []time.Duration
	at := time.Duration(0)
	for _, d := range []time.Duration{0, 1, 5, 15, 100, 60, 120, 300, 300} {
		at += d * time.Second
		want = append(want, at)
	}
	got := s.service.sends("n")
	for i := range got {
		got[i] = got[i].Truncate(time.Second)
	}
	if !slices.Equal(got, want) {
		s.Errorf("sent at %v, want %v", got, want)
	}
	v := s.view(a, "n")
	if v.Status != callback.Sent || v.Sends != 9 || v.Error != "" {
		s.Errorf("it is %s after %d requests (error %q), want sent after 9", v.Status, v.Sends, v.Error)
	}
}

func refused(s *stage) {
	a := s.running()
	s.service.plan("n", plan{send: func(int, *http.Request) (*http.Response, error) { return status(http.StatusUnprocessableEntity), nil }})
	s.submit(a, "n")
	pass(time.Second)
	s.expect(a, "n", callback.Failed, callback.BySend)
	if v := s.view(a, "n"); v.Result.Code != "http_422" || v.Sends != 1 {
		s.Errorf("code %q after %d requests, want http_422 after 1", v.Result.Code, v.Sends)
	}
	if got := s.kinds(a, "n"); got != "submitted,ended" {
		s.Errorf("history %s", got)
	}
	pass(10 * time.Minute)
	if n := len(s.service.sends("n")) + len(s.service.queries("n")); n != 1 {
		s.Errorf("%d requests and queries, want the one", n)
	}
	// A mapping of one's own takes it for a failure that passes.
	b := s.node(func(c *callback.Config) {
		c.Service = "b"
		c.ReadSend = func(r callback.Response) (callback.Result, error) {
			return callback.Result{}, fmt.Errorf("%d", r.StatusCode)
		}
	})
	s.submit(b, "n")
	s.start(b)
	pass(time.Second / 2)
	s.openIn(b, "n", callback.Waiting)
}

// openIn is open where another service has messages of that number.
func (s *stage) openIn(c *callback.Caller, number string, status callback.Status) {
	s.Helper()
	if v := s.view(c, number); v.Status != status {
		s.Errorf("%s is %s, want %s", number, v.Status, status)
	}
}
