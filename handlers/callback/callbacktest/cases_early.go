package callbacktest

import (
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

// otherNode: the callback reaches a node that has never heard of the call. Its transaction
// commits between the look-ups first, and long after them then.
func otherNode(s *stage) {
	a, b := s.node(), s.running()
	for number, open := range map[string]time.Duration{"near": 2500 * time.Millisecond, "far": 8 * time.Second} {
		s.service.plan(number, plan{query: func(int) (*http.Response, error) { return nil, errAway }})
		tx := s.begin()
		_, err := a.Submit(s.Context(), tx, call(number))
		must(s.T, err)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			code, word := http.StatusOK, "applied"
			if number == "far" && !s.db.Single {
				code, word = http.StatusAccepted, "parked"
			}
			s.expectBack(b, number, callback.Succeeded, code, word)
		}()
		pass(open)
		must(s.T, tx.Commit())
		<-answered
		pass(31 * time.Second)
		s.expect(b, number, callback.Succeeded, callback.ByCallback)
	}
}

// ownNode: the cache knows the number, so the service is not kept waiting.
func ownNode(s *stage) {
	a := s.running()
	tx := s.begin()
	_, err := a.Submit(s.Context(), tx, call("own"))
	must(s.T, err)
	answered := make(chan time.Duration, 1)
	went := time.Now()
	go func() {
		code, word := http.StatusAccepted, "parked"
		if s.db.Single {
			code, word = http.StatusOK, "applied"
		}
		s.expectBack(a, "own", callback.Failed, code, word)
		answered <- time.Since(went)
	}()
	pass(1500 * time.Millisecond)
	must(s.T, tx.Commit())
	if took := <-answered; took > 0 && !s.db.Single {
		s.Errorf("the service waited for %v for its answer, want none", took)
	}
	pass(1500 * time.Millisecond)
	s.expect(a, "own", callback.Failed, callback.ByCallback)
	if list, err := a.Parked(s.Context(), 0, 10); err != nil || len(list) != 0 {
		s.Errorf("still parked: %+v, %v", list, err)
	}
}

// expires: nothing comes, for as long as it is kept.
func expires(s *stage) {
	a := s.running(func(c *callback.Config) { c.ParkFor = time.Hour })
	s.expectBack(a, "nobody's", callback.Succeeded, http.StatusAccepted, "parked")
	s.expectBack(a, "nobody's", callback.Succeeded, http.StatusAccepted, "parked")
	pass(59 * time.Minute)
	list, err := a.Parked(s.Context(), 0, 10)
	must(s.T, err)
	if len(list) != 1 || list[0].Number != "nobody's" || list[0].Result.Status != callback.Succeeded || list[0].LookUps < 60 {
		s.Errorf("parked are %+v, want the one, looked up many times", list)
	}
	if n := s.alerted(callback.AlertExpired); n != 0 {
		s.Errorf("%d alerts before the time is over", n)
	}
	pass(2 * time.Minute)
	if list, err = a.Parked(s.Context(), 0, 10); err != nil || len(list) != 0 {
		s.Errorf("after its time: %+v, %v, want nothing", list, err)
	}
	if n := s.alerted(callback.AlertExpired); n != 1 || s.told(callback.KindExpired) != 1 {
		s.Errorf("%d alerts, %d facts, want one each", n, s.told(callback.KindExpired))
	}
}

// lookUps: one look at once and three more, one second apart.
func lookUps(s *stage) {
	a := s.node()
	went := time.Now()
	s.expectBack(a, "n", callback.Succeeded, http.StatusAccepted, "parked")
	if took := time.Since(went); took != 3*time.Second {
		s.Errorf("parked after %v, want 3 s", took)
	}
	for commits, want := range map[time.Duration]string{
		900 * time.Millisecond: "1s", 1900 * time.Millisecond: "2s", 2900 * time.Millisecond: "3s",
	} {
		went := time.Now()
		go func() {
			pause(commits)
			s.submit(s.node(), want)
		}()
		s.expectBack(a, want, callback.Succeeded, http.StatusOK, "applied")
		if took := time.Since(went).String(); took != want {
			s.Errorf("committed after %v, applied after %s, want %s", commits, took, want)
		}
	}
	none := s.node(func(c *callback.Config) { c.LookUps = -1 })
	went = time.Now()
	s.expectBack(none, "m", callback.Succeeded, http.StatusAccepted, "parked")
	if took := time.Since(went); took != 0 {
		s.Errorf("without look-ups, parked after %v, want at once", took)
	}
}
