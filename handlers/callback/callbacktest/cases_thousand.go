package callbacktest

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

const thousandCalls = 1000

// The ways in which the service behaves.
const (
	beforeCommitElsewhere = iota // the callback reaches the other node before the commit
	beforeCommitHere
	beforeSubmit // … before there is anything at all
	atOnce       // before the answer to the request
	twice
	late
	forged
	never
	flaky
	silent // never an answer of any kind
	ways
)

// trial is the thousand calls and their two nodes.
type trial struct {
	*stage
	a, b    *callback.Caller
	forger  string
	wg      sync.WaitGroup
	mu      sync.Mutex
	answers map[int]map[string]int // by way: "200 applied" and so on
}

func truth(i int) callback.Status {
	switch {
	case i%ways == silent:
		return callback.TimedOut
	case i/ways%3 == 0:
		return callback.Failed
	}
	return callback.Succeeded
}

func other(s callback.Status) callback.Status {
	if s == callback.Succeeded {
		return callback.Failed
	}
	return callback.Succeeded
}

func number(i int) string { return fmt.Sprintf("call-%04d", i) }

func thousand(s *stage) {
	quiet := func(c *callback.Config) { c.PollMax = time.Minute }
	t := &trial{stage: s, a: s.running(quiet), b: s.running(quiet), forger: webhook.NewSecret(), answers: map[int]map[string]int{}}
	for i := range thousandCalls {
		t.prepare(i)
		t.submit(i)
	}
	pass(2 * time.Hour)
	t.wg.Wait()
	t.check()
}

// back calls back so long from now.
func (t *trial) back(i int, c *callback.Caller, after time.Duration, status callback.Status) {
	t.wg.Go(func() {
		pause(after)
		code, word := t.stage.back(c, number(i), status)
		t.note(i, fmt.Sprint(code, " ", word))
	})
}

func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

func (t *trial) note(i int, answer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers[i%ways] == nil {
		t.answers[i%ways] = map[string]int{}
	}
	t.answers[i%ways][answer]++
}

func (t *trial) prepare(i int) {
	is := truth(i)
	p := plan{query: func(int) (*http.Response, error) { return said(is), nil }}
	final := p.query
	switch i % ways {
	case atOnce:
		p.work = func() {
			code, word := t.stage.back(t.a, number(i), is)
			t.note(i, fmt.Sprint(code, " ", word))
		}
	case twice:
		p.work = func() {
			t.back(i, t.a, 20*time.Millisecond, is)
			t.back(i, t.b, 20*time.Millisecond, is)
		}
	case late:
		p.work = func() { t.back(i, t.b, 7*time.Minute, is) }
	case forged:
		p.work = func() {
			t.wg.Go(func() {
				w := t.post(t.b, t.forger, body(number(i), other(is)))
				t.note(i, fmt.Sprint(w.Code))
			})
		}
	case never:
		p.query = func(n int) (*http.Response, error) {
			if n <= 2 {
				return said(callback.Pending), nil
			}
			return final(n)
		}
	case flaky:
		p.send = func(n int, _ *http.Request) (*http.Response, error) {
			switch n {
			case 1:
				return nil, errAway
			case 2:
				return status(http.StatusServiceUnavailable), nil
			}
			return status(http.StatusAccepted), nil
		}
		p.query = func(int) (*http.Response, error) { return status(http.StatusBadGateway), nil }
		p.work = func() { t.back(i, t.b, 12*time.Minute, is) }
	case silent:
		p.query = func(int) (*http.Response, error) { return nil, errAway }
		p.work = func() { t.back(i, t.b, 61*time.Minute, callback.Succeeded) }
	}
	t.service.plan(number(i), p)
}

// submit submits a call. That of the early ones stays open while its callback
// comes.
func (t *trial) submit(i int) {
	if i%ways == beforeSubmit {
		t.back(i, t.b, 0, truth(i))
		pause(1500 * time.Millisecond)
	}
	tx := t.begin()
	_, err := t.a.Submit(t.Context(), tx, call(number(i)))
	must(t.T, err)
	switch i % ways {
	case beforeCommitElsewhere:
		t.back(i, t.b, 0, truth(i))
		pause(2500 * time.Millisecond)
	case beforeCommitHere:
		t.back(i, t.a, 0, truth(i))
		pause(2500 * time.Millisecond)
	}
	must(t.T, tx.Commit())
	t.a.Wake()
}

func (t *trial) check() {
	messages := t.messages()
	if len(messages) != thousandCalls {
		t.Errorf("%d calls have a message, want %d", len(messages), thousandCalls)
	}
	source := map[int]callback.Source{late: callback.ByQuery, forged: callback.ByQuery, never: callback.ByQuery, silent: callback.ByDeadline}
	for i := range thousandCalls {
		want := callback.ByCallback
		if s, ok := source[i%ways]; ok {
			want = s
		}
		v, err := t.b.Get(t.Context(), number(i))
		must(t.T, err)
		got := messages[number(i)]
		if v.Status != truth(i) || v.Source != want || len(got) != 1 || got[0].Result.Status != truth(i) || got[0].Source != want {
			t.Errorf("%s, way %d: it is %s by %s with the messages %+v, want %s by %s and one", number(i), i%ways, v.Status, v.Source, got, truth(i), want)
		}
	}
	each := thousandCalls / ways
	commit := map[string]int{"200 applied": each}
	parked := map[string]int{"202 parked": each}
	if t.db.Single {
		parked = commit // nobody could look before the commit
	}
	for way, want := range map[int]map[string]int{
		beforeCommitElsewhere: commit, beforeCommitHere: parked, beforeSubmit: commit, atOnce: commit, twice: {"200 applied": each, "200 repeated": each},
		late: {"200 late": each}, forged: {"401": each}, never: nil, flaky: commit, silent: {"200 late": each},
	} {
		if got := t.answers[way]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("callbacks of way %d were answered with %v, want %v", way, got, want)
		}
	}
	if n := t.alerted(callback.AlertTimedOut); n != each {
		t.Errorf("%d alerts of calls that timed out, want %d", n, each)
	}
	t.Logf("answers by way: %v", t.answers)
}
