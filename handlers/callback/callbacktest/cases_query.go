package callbacktest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

func minutes(list []time.Duration) (out []int) {
	for _, d := range list {
		out = append(out, int(d.Round(time.Second)/time.Minute))
	}
	return out
}

func asked(s *stage) {
	a := s.running()
	s.service.plan("n", plan{query: func(n int) (*http.Response, error) {
		if n < 4 {
			return said(callback.Pending), nil
		}
		return said(callback.Failed), nil
	}})
	s.submit(a, "n")
	pass(50 * time.Minute)
	if got := minutes(s.service.queries("n")); !slices.Equal(got, []int{5, 10, 15, 20}) {
		s.Errorf("asked at the minutes %v, want 5 10 15 20 and not again", got)
	}
	s.expect(a, "n", callback.Failed, callback.ByQuery)
	if got := s.kinds(a, "n"); got != "submitted,sent,noted,noted,noted,ended" {
		s.Errorf("history %s", got)
	}
	if v := s.view(a, "n"); v.Queries != 4 || v.Result.Code != "q1" {
		s.Errorf("%d queries, code %q, want 4 and q1", v.Queries, v.Result.Code)
	}
}

func away(s *stage) {
	a := s.running()
	s.service.plan("n", plan{query: func(n int) (*http.Response, error) {
		switch n {
		case 1:
			return nil, errAway
		case 2:
			return status(http.StatusServiceUnavailable), nil
		case 3:
			return status(http.StatusNotFound), nil
		case 4:
			return status(http.StatusOK), nil // without a word
		}
		return said(callback.Succeeded), nil
	}})
	s.submit(a, "n")
	pass(24 * time.Minute)
	s.open(a, "n", callback.Sent)
	if v := s.view(a, "n"); v.Queries != 4 || v.Error == "" {
		s.Errorf("%d queries, error %q, want 4 and the last error", v.Queries, v.Error)
	}
	pass(2 * time.Minute)
	s.expect(a, "n", callback.Succeeded, callback.ByQuery)
	if got := s.kinds(a, "n"); got != "submitted,sent,query_failed,query_failed,query_failed,query_failed,ended" {
		s.Errorf("history %s", got)
	}
}

func lostByService(s *stage) {
	a := s.running(func(c *callback.Config) {
		c.ReadQuery = func(r callback.Response) (callback.Result, error) {
			if r.StatusCode == http.StatusNotFound {
				return callback.Result{}, callback.ErrUnknown
			}
			return callback.ReadJSON(r)
		}
	})
	s.service.plan("n", plan{query: func(n int) (*http.Response, error) {
		if n == 1 {
			return status(http.StatusNotFound), nil
		}
		return said(callback.Succeeded), nil
	}})
	s.submit(a, "n")
	pass(11 * time.Minute)
	if got := minutes(s.service.sends("n")); !slices.Equal(got, []int{0, 5}) {
		s.Errorf("sent at the minutes %v, want 0 and 5", got)
	}
	s.expect(a, "n", callback.Succeeded, callback.ByQuery)
	if got := s.kinds(a, "n"); got != "submitted,sent,resent,sent,ended" {
		s.Errorf("history %s", got)
	}
}

func deadline(s *stage) {
	a := s.running()
	s.service.plan("silent", plan{query: func(int) (*http.Response, error) { return nil, errAway }})
	s.service.plan("refusing", plan{send: func(int, *http.Request) (*http.Response, error) { return nil, errAway }})
	s.service.plan("last", plan{query: func(n int) (*http.Response, error) { // the query at the deadline finds it
		if n < 12 {
			return said(callback.Pending), nil
		}
		return said(callback.Succeeded), nil
	}})
	short := call("short")
	short.Deadline = 90 * time.Second
	tx := s.begin()
	_, err := a.Submit(s.Context(), tx, short)
	must(s.T, err)
	must(s.T, tx.Commit())
	for _, n := range []string{"silent", "refusing", "last"} {
		s.submit(a, n)
	}
	pass(89 * time.Second)
	s.open(a, "short", callback.Sent)
	pass(2 * time.Second)
	s.expect(a, "short", callback.TimedOut, callback.ByDeadline)
	pass(time.Hour - 92*time.Second)
	s.open(a, "silent", callback.Sent)
	pass(2 * time.Second)
	s.expect(a, "silent", callback.TimedOut, callback.ByDeadline)
	s.expect(a, "refusing", callback.TimedOut, callback.ByDeadline)
	if n := s.alerted(callback.AlertTimedOut); n != 3 {
		s.Errorf("%d alerts, want 3", n)
	}
	v := s.view(a, "silent")
	if v.Result.Code != "deadline" || !strings.Contains(v.Result.Reason, "requests 1") || !strings.Contains(v.Result.Reason, "connection refused") {
		s.Errorf("its result is %+v", v.Result)
	}
	s.expect(a, "last", callback.Succeeded, callback.ByQuery)
}
