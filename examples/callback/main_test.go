package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryCallEndsInItsTrueResultOnce(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, 2*int(ways)); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var l ledger
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil {
		t.Fatalf("the last line is no JSON: %v\n%s", err, &out)
	}
	if !l.OK || l.Calls != 2*int(ways) || l.Lost+l.Duplicated+l.Wrong != 0 {
		t.Errorf("the ledger is %+v", l)
	}
}

// A ledger that cannot complain proves nothing.
func TestTheLedgerComplains(t *testing.T) {
	plans := []plan{{way: forged}, {way: twice}}
	good := func() ledger {
		return ledger{Answers: map[string]int{"forged: 401": 1}, Repeated: 1, BySource: map[string]int{"query": 1, "callback": 1}}
	}
	if !good().holds(plans) {
		t.Error("a good ledger does not hold")
	}
	for name, spoil := range map[string]func(*ledger){
		"lost": func(l *ledger) { l.Lost = 1 }, "duplicated": func(l *ledger) { l.Duplicated = 1 }, "wrong": func(l *ledger) { l.Wrong = 1 },
		"parked": func(l *ledger) { l.Parked = 1 }, "forged": func(l *ledger) { l.Answers["forged: 401"] = 0 }, "repeated": func(l *ledger) { l.Repeated = 0 },
		"query": func(l *ledger) { l.BySource = nil }, "deadline": func(l *ledger) { l.BySource["deadline"] = 1 },
	} {
		l := good()
		if spoil(&l); l.holds(plans) {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestTheNumberOfCallsIsChecked(t *testing.T) {
	for _, n := range []int{-1, 0, 8, 9001} {
		if err := run(t.Context(), &bytes.Buffer{}, n); err == nil || !strings.Contains(err.Error(), "--calls") {
			t.Errorf("%d calls: %v", n, err)
		}
	}
}
