package callbacktest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

// race: at one moment both nodes are called back several times, with both results, while
// the query comes.
func race(s *stage) {
	a, b := s.running(), s.running()
	const calls = 10
	answers := struct {
		sync.Mutex
		of map[string]int
	}{of: map[string]int{}}
	var wg sync.WaitGroup
	for i := range calls {
		n := fmt.Sprint("n", i)
		all := func() {
			for j := range 6 {
				wg.Go(func() {
					node, status := []*callback.Caller{a, b}[j%2], []callback.Status{callback.Succeeded, callback.Failed}[j/2%2]
					code, word := s.back(node, n, status)
					answers.Lock()
					defer answers.Unlock()
					answers.of[word]++
					if code != http.StatusOK {
						s.Errorf("%s: answered with %d", n, code)
					}
				})
			}
		}
		s.service.plan(n, plan{query: func(int) (*http.Response, error) {
			all()
			return said(callback.Succeeded), nil
		}})
		s.submit(a, n)
	}
	pass(6 * time.Minute)
	wg.Wait()
	pass(time.Second)
	messages := s.messages()
	ended, byQuery := 0, 0
	for i := range calls {
		n := fmt.Sprint("n", i)
		v := s.view(a, n)
		if got := messages[n]; len(got) != 1 || got[0].Result.Status != v.Status || got[0].Source != v.Source || !v.Status.Final() {
			s.Errorf("%s is %s by %s with the messages %+v, want one that says so", n, v.Status, v.Source, got)
		}
		if v.Source == callback.ByQuery {
			byQuery++
		}
		after := v.Repeated + v.Late + v.Contradicted
		if want := int64(6); after != want || v.Callbacks != 6 || v.Queries != 1 {
			s.Errorf("%s: %d after the end of %d callbacks and %d queries, want %d of 6 and 1", n, after, v.Callbacks, v.Queries, want)
		}
		ended += strings.Count(s.kinds(a, n), "ended")
	}
	if ended != calls || answers.of["applied"]+byQuery != calls {
		s.Errorf("%d ends, %d applied, %d by query, want %d in all", ended, answers.of["applied"], byQuery, calls)
	}
	s.Logf("answers %v, by query %d", answers.of, byQuery)
}

func afterTheEnd(s *stage) {
	a := s.running()
	ok := func() (*http.Response, error) { return said(callback.Succeeded), nil }
	s.service.plan("queried", plan{query: func(int) (*http.Response, error) { return ok() }})
	s.service.plan("timed", plan{query: func(int) (*http.Response, error) { return nil, errAway }})
	for _, n := range []string{"called", "queried", "timed"} {
		s.submit(a, n)
	}
	pass(time.Second)
	s.expectBack(a, "called", callback.Pending, http.StatusOK, "noted")
	s.open(a, "called", callback.Sent)
	s.expectBack(a, "called", callback.Succeeded, http.StatusOK, "applied")
	s.expectBack(a, "called", callback.Succeeded, http.StatusOK, "repeated")
	s.expectBack(a, "called", callback.Failed, http.StatusOK, "contradicted")
	s.expectBack(a, "called", callback.Pending, http.StatusOK, "late")
	pass(2 * time.Hour)
	s.expectBack(a, "queried", callback.Succeeded, http.StatusOK, "late")
	s.expectBack(a, "timed", callback.Succeeded, http.StatusOK, "late")
	s.expect(a, "called", callback.Succeeded, callback.ByCallback)
	s.expect(a, "queried", callback.Succeeded, callback.ByQuery)
	s.expect(a, "timed", callback.TimedOut, callback.ByDeadline)

	v := s.view(a, "called")
	if v.Callbacks != 5 || v.Repeated != 1 || v.Contradicted != 1 || v.Late != 1 || string(v.Result.Data) != `{"copy":"called"}` {
		s.Errorf("counted %d callbacks: %d repeated, %d contradicted, %d late; data %s", v.Callbacks, v.Repeated, v.Contradicted, v.Late, v.Result.Data)
	}
	if got := s.kinds(a, "called"); got != "submitted,sent,noted,ended,repeated,contradicted,late" {
		s.Errorf("history %s", got)
	}
	if n := s.alerted(callback.AlertContradicted); n != 1 {
		s.Errorf("%d alerts of a contradiction, want 1", n)
	}
	for n, kind := range map[string]callback.Kind{"called": callback.KindContradicted, "timed": callback.KindLate} {
		list, err := a.History(s.Context(), n)
		must(s.T, err)
		found := false
		for _, e := range list {
			found = found || e.Kind == kind && string(e.Data) == `{"copy":"`+n+`"}` && e.Source == callback.ByCallback
		}
		if !found {
			s.Errorf("history of %s has no %s with its data: %+v", n, kind, list)
		}
	}
}

// services: what one may call back is nothing to another, though the numbers are
// the same.
func services(s *stage) {
	other := func(c *callback.Config) { c.Service = "other" }
	a, b := s.running(), s.node(other)
	s.submit(a, "n")
	s.expectBack(b, "n", callback.Succeeded, http.StatusAccepted, "parked")
	s.start(b)
	pass(time.Minute)
	s.open(a, "n", callback.Sent)
	s.submit(b, "n")
	pass(31 * time.Second)
	if v := s.view(b, "n"); v.Status != callback.Succeeded {
		s.Errorf("the other's is %s, want succeeded", v.Status)
	}
	if v := s.view(a, "n"); v.Status != callback.Sent {
		s.Errorf("ours is %s, want sent", v.Status)
	}
	if list, err := a.List(s.Context(), callback.Filter{}); err != nil || len(list) != 1 {
		s.Errorf("ours are %d, %v, want 1", len(list), err)
	}
}
