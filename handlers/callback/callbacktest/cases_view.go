package callbacktest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

func listed(s *stage) {
	a := s.node()
	for i := range 25 {
		c := call(fmt.Sprintf("n%02d", i))
		if i%5 == 0 {
			c.Kind = "fifth"
		}
		tx := s.begin()
		_, err := a.Submit(s.Context(), tx, c)
		must(s.T, err)
		must(s.T, tx.Commit())
		if i%2 == 0 {
			s.expectBack(a, c.Number, callback.Succeeded, http.StatusOK, "applied")
		}
	}
	numbers := func(f callback.Filter) (out []string) {
		s.Helper()
		for {
			page, err := a.List(s.Context(), f)
			must(s.T, err)
			for _, v := range page {
				out = append(out, v.Number)
				if v.Body != nil || v.Result.Data != nil {
					s.Errorf("the list has the body of %s", v.Number)
				}
				f.After = v.ID
			}
			if len(page) < f.Limit || f.Limit == 0 {
				return out
			}
		}
	}
	if got := numbers(callback.Filter{Limit: 10}); len(got) != 25 || got[0] != "n24" || got[24] != "n00" {
		s.Errorf("all are %v, want 25 from n24 to n00", got)
	}
	if got := numbers(callback.Filter{Status: callback.Waiting, Limit: 5}); len(got) != 12 || got[0] != "n23" {
		s.Errorf("waiting are %v, want 12 from n23", got)
	}
	if got := numbers(callback.Filter{Kind: "fifth", Status: callback.Succeeded}); !slices.Equal(got, []string{"n20", "n10", "n00"}) {
		s.Errorf("of the kind are %v", got)
	}
	counts, err := a.Counts(s.Context())
	if err != nil || counts[callback.Waiting] != 12 || counts[callback.Succeeded] != 13 || len(counts) != 2 {
		s.Errorf("counts %v, %v", counts, err)
	}
	v := s.view(a, "n00")
	if string(v.Body) != `{"room":7}` || v.Header["Content-Type"] != "application/json" || v.URL != url || v.Deadline.Sub(v.CreatedAt) != time.Hour ||
		v.EndedAt.IsZero() || !v.SentAt.IsZero() || string(v.Result.Data) != `{"copy":"n00"}` {
		s.Errorf("Get gave %+v", v)
	}
	for _, f := range []callback.Filter{{Status: "x"}, {Limit: -1}, {Limit: 1001}, {After: -1}} {
		if _, err := a.List(s.Context(), f); !errors.Is(err, callback.ErrInvalid) {
			s.Errorf("%+v: %v, want ErrInvalid", f, err)
		}
	}
}

func bounded(s *stage) {
	a := s.running(func(c *callback.Config) { c.History = 5; c.QueryURL = "" })
	s.submit(a, "n")
	pass(time.Second)
	for range 20 {
		s.expectBack(a, "n", callback.Pending, http.StatusOK, "noted")
	}
	s.expectBack(a, "n", callback.Succeeded, http.StatusOK, "applied")
	for range 20 {
		s.expectBack(a, "n", callback.Succeeded, http.StatusOK, "repeated")
	}
	if got := s.kinds(a, "n"); got != "submitted,sent,noted,noted,noted,ended" {
		s.Errorf("history %s, want 5 entries and the end", got)
	}
	if v := s.view(a, "n"); v.Callbacks != 41 || v.Repeated != 20 {
		s.Errorf("%d callbacks and %d repeated, want 41 and 20", v.Callbacks, v.Repeated)
	}
}

func retention(s *stage) {
	a := s.running(func(c *callback.Config) {
		c.Retain, c.Deadline, c.PollMax, c.QueryEvery = 48*time.Hour, 100*24*time.Hour, 10*time.Minute, 24*time.Hour
	})
	s.submit(a, "open")
	pass(time.Second)
	for i := range 450 { // more than two batches
		s.submit(a, fmt.Sprint("ended", i))
		s.expectBack(a, fmt.Sprint("ended", i), callback.Succeeded, http.StatusOK, "applied")
	}
	pass(47 * time.Hour)
	counts, err := a.Counts(s.Context())
	if err != nil || counts[callback.Succeeded] != 450 {
		s.Errorf("before the retention is over: %v, %v", counts, err)
	}
	pass(2 * time.Hour)
	counts, err = a.Counts(s.Context())
	if err != nil || counts[callback.Succeeded] != 0 || counts[callback.Sent] != 1 {
		s.Errorf("after it: %v, %v, want the open one only", counts, err)
	}
	var left int
	must(s.T, s.db.DB.QueryRowContext(s.Context(), "SELECT COUNT(*) FROM "+s.table("call_event")+" WHERE number <> 'open'").Scan(&left))
	if left != 0 {
		s.Errorf("%d entries of histories are left", left)
	}
}
