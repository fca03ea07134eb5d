package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/text"
)

// Silence keeps alerts back for a time. All replicas keep to it.
type Silence struct {
	ID      string    `json:"-"`       // set by the Notifier
	Match   []string  `json:"match"`   // matchers as in Config; at least one
	Until   time.Time `json:"until"`   // its end; needed, and in the future
	By      string    `json:"by"`      // who wants it
	Comment string    `json:"comment"` // why
	At      time.Time `json:"at"`      // set by the Notifier: since when
}

func (s Silence) validate(now time.Time) (matchers, error) {
	c := &check{}
	ms := c.matchers("Silence.Match", s.Match, true)
	switch {
	case s.Until.IsZero():
		c.problem("Silence.Until", "is not set; a silence needs an end")
	case !s.Until.After(now):
		c.problem("Silence.Until", "%s is over; use a time in the future", s.Until.UTC().Format(time.RFC3339))
	}
	return ms, errors.Join(c.errs...)
}

// Silence keeps back, from now on, the alerts that s matches. It returns its ID.
func (n *Notifier) Silence(ctx context.Context, s Silence) (id string, err error) {
	id = uuid.NewString()
	row, now, err := n.plan.cfg.State.Get(ctx, KindSilence, id)
	if err != nil {
		return "", fmt.Errorf("silence alerts: %w", err)
	}
	if _, err := s.validate(now); err != nil {
		return "", fmt.Errorf("silence alerts: %w", err)
	}
	s.At, s.By, s.Comment = now, text.Short(s.By, maxKey), text.Short(s.Comment, maxSummary)
	if row.Data, err = json.Marshal(s); err != nil {
		return "", fmt.Errorf("silence alerts: %w", err)
	}
	row.Due = s.Until
	if err := n.plan.cfg.State.Put(ctx, row); err != nil {
		return "", fmt.Errorf("silence alerts: %w", err)
	}
	n.nudge()
	return id, nil
}

// Unsilence ends a silence. One that is over, or was never there, is no error.
func (n *Notifier) Unsilence(ctx context.Context, id string) error {
	err := change(ctx, n.plan.cfg.State, KindSilence, id, func(*Silence, time.Time) fate { return fate{remove: true} })
	if err != nil {
		return fmt.Errorf("end silence: %w", err)
	}
	n.nudge()
	return nil
}

// Silences returns those that have not ended.
func (n *Notifier) Silences(ctx context.Context) ([]Silence, error) {
	rows, err := all(ctx, n.plan.cfg.State, KindSilence)
	if err != nil {
		return nil, fmt.Errorf("list silences: %w", err)
	}
	out := make([]Silence, 0, len(rows))
	for _, row := range rows {
		var s Silence
		if json.Unmarshal(row.Data, &s) == nil {
			s.ID = row.ID
			out = append(out, s)
		}
	}
	return out, nil
}

// muting is what keeps alerts back, as of one moment.
type muting struct {
	silences []mute
	sources  []source
}

type mute struct {
	match matchers
	until time.Time
}

// source is a firing alert that inhibits others by a rule.
type source struct {
	head
	fingerprint string
	rule        *inhibition
}

// muting reads the silences, and what fires where there are inhibitions. For what
// is due in s, only s has to answer: where another is away, its silences go on.
func (n *Notifier) muting(ctx context.Context, s State, now time.Time) (*muting, error) {
	m := &muting{}
	rows, err := all(ctx, n.plan.cfg.State, KindSilence)
	switch {
	case err == nil:
	case s == n.plan.cfg.State:
		return nil, fmt.Errorf("read silences: %w", err)
	default:
		m.silences = n.muted.Load().silences
	}
	for _, row := range rows {
		var one Silence
		if json.Unmarshal(row.Data, &one) != nil {
			continue
		}
		if ms, err := one.validate(now); err == nil {
			m.silences = append(m.silences, mute{match: ms, until: one.Until})
		}
	}
	if len(n.plan.inhibitions) == 0 {
		return m, nil
	}
	for _, state := range n.states() {
		rows, err := all(ctx, state, KindGroup)
		if err != nil && state == s {
			return nil, fmt.Errorf("read firing alerts: %w", err)
		}
		for _, row := range rows {
			m.sources = append(m.sources, n.plan.sources(row, now)...)
		}
	}
	return m, nil
}

// sources returns what fires in a group and inhibits.
func (p *plan) sources(row Row, now time.Time) (out []source) {
	g := &group{}
	if json.Unmarshal(row.Data, g) != nil {
		return nil
	}
	for _, id := range p.firing(g, now) {
		for i := range p.inhibitions {
			if rule := &p.inhibitions[i]; rule.source.match(g.Members[id].head) {
				out = append(out, source{head: g.Members[id].head, fingerprint: id, rule: rule})
			}
		}
	}
	return out
}

// mutes reports whether an alert is kept back, and until when at least; the
// zero time: nobody knows.
func (m *muting) mutes(h head, fingerprint string, now time.Time) (until time.Time, muted bool) {
	for _, s := range m.silences {
		if s.until.After(now) && s.match.match(h) {
			return s.until, true
		}
	}
	for _, s := range m.sources {
		if s.fingerprint != fingerprint && s.rule.target.match(h) && s.alike(h) {
			return time.Time{}, true
		}
	}
	return time.Time{}, false
}

func (s source) alike(h head) bool {
	for _, name := range s.rule.equal {
		if s.label(name) != h.label(name) {
			return false
		}
	}
	return true
}
