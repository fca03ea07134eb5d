package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

// ledger is what was counted.
type ledger struct {
	OK         bool           `json:"ok"`
	Calls      int            `json:"calls"`
	Lost       int            `json:"lost"`       // without a message
	Duplicated int            `json:"duplicated"` // with more than one
	Wrong      int            `json:"wrong"`      // that did not end in their true result
	BySource   map[string]int `json:"by_source"`
	Answers    map[string]int `json:"answers"` // to callbacks
	Requests   int64          `json:"requests"`
	Queries    int64          `json:"queries"`
	Repeated   int64          `json:"repeated"`
	Late       int64          `json:"late"`
	Parked     int            `json:"parked"` // still
	Seconds    float64        `json:"seconds"`
}

func (s *service) ledger(ctx context.Context) (ledger, error) {
	l := ledger{Calls: len(s.plans), BySource: map[string]int{}}
	s.mu.Lock()
	results := s.results
	s.mu.Unlock()
	for _, what := range s.plans {
		v, err := s.nodes[1].Get(ctx, what.number)
		if err != nil {
			return ledger{}, fmt.Errorf("read call %s: %w", what.number, err)
		}
		switch got := results[what.number]; {
		case len(got) == 0:
			l.Lost++
		case len(got) > 1:
			l.Duplicated++
		case string(v.Status) != what.truth(), got[0].Result.Status != v.Status:
			l.Wrong++
		}
		l.BySource[string(v.Source)]++
		l.Requests, l.Queries = l.Requests+v.Sends, l.Queries+v.Queries
		l.Repeated, l.Late = l.Repeated+v.Repeated, l.Late+v.Late
	}
	parked, err := s.nodes[0].Parked(ctx, 0, 1000)
	if err != nil {
		return ledger{}, fmt.Errorf("read parked callbacks: %w", err)
	}
	l.Parked = len(parked)
	s.partner.mu.Lock()
	l.Answers = s.partner.answers
	s.partner.mu.Unlock()
	l.OK = l.holds(s.plans)
	return l, nil
}

// holds says whether all invariants do: nothing lost, doubled, wrong or left over;
// what was forged was refused, each time; and what nothing but a query, the refusal or the
// deadline could end was ended by that. How many callbacks were parked or came late depends on
// how quick this machine is, and is only told.
func (l ledger) holds(plans []plan) bool {
	of := map[way]int{}
	for _, p := range plans {
		of[p.way]++
	}
	return l.Lost == 0 && l.Duplicated == 0 && l.Wrong == 0 && l.Parked == 0 &&
		l.Answers["forged: 401"] == of[forged] && l.Repeated+l.Late >= int64(of[twice]) &&
		l.BySource[string(callback.ByQuery)] >= of[forged]+of[never] && l.BySource[string(callback.BySend)] == of[denied] &&
		l.BySource[string(callback.ByDeadline)] == of[silent]
}

func (l ledger) print(out io.Writer) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s\n", raw)
	return err
}
