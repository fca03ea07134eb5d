package park

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

// maxState bounds the state in bytes: past it, attempts in the middle of the
// history are left out. Fifty attempts with fifty texts are about half of it.
const maxState = 60_000

var errDamaged = errors.New("parked message is damaged")

// state is what a task knows besides its number of attempts.
type state struct {
	Since time.Time `json:"since,omitzero"` // of the first failure
	Waits int       `json:"waits,omitempty"`

	Excuses  int           `json:"excuses,omitempty"`    // since the last attempt
	From     time.Time     `json:"from,omitzero"`        // of the first of them
	Excused  time.Duration `json:"excused_ns,omitempty"` // before From
	Doomed   string        `json:"doomed,omitempty"`     // given up for this reason, and not stored as a dead letter yet
	Awaiting bool          `json:"awaiting,omitempty"`   // a dead letter behind which others wait for a decision

	Attempts []attempt `json:"attempts,omitempty"`
	Texts    []string  `json:"texts,omitempty"` // of errors, each once: most attempts fail alike
	Left     int       `json:"left,omitempty"`  // attempts left out
}

type attempt struct {
	Number int           `json:"n"`
	At     int64         `json:"at"` // microseconds since the Unix epoch
	Took   time.Duration `json:"ns"`
	Text   int           `json:"t"` // place in Texts, from 1; 0: none
}

// note replaces the history.
func (s *state) note(attempts []delivery.Record) {
	s.Attempts, s.Texts = make([]attempt, 0, len(attempts)), nil
	for _, a := range attempts {
		text := 0
		if a.Err != "" {
			if text = slices.Index(s.Texts, a.Err) + 1; text == 0 {
				s.Texts = append(s.Texts, a.Err)
				text = len(s.Texts)
			}
		}
		s.Attempts = append(s.Attempts, attempt{Number: a.Number, At: a.StartedAt.UnixMicro(), Took: a.Duration, Text: text})
	}
}

// tell puts the history into d.
func (s *state) tell(d *delivery.Delivery) {
	for _, r := range s.records() {
		var err error
		if r.Err != "" {
			err = errors.New(r.Err)
		}
		d.Add(r.Number, r.StartedAt, r.Duration, err)
	}
}

func (s *state) records() []delivery.Record {
	out := make([]delivery.Record, len(s.Attempts))
	for i, a := range s.Attempts {
		out[i] = delivery.Record{Number: a.Number, StartedAt: time.UnixMicro(a.At).UTC(), Duration: a.Took}
		if a.Text > 0 && a.Text <= len(s.Texts) {
			out[i].Err = s.Texts[a.Text-1]
		}
	}
	return out
}

// encode leaves attempts out of the middle until the rest is small enough: how it
// began and how it goes on says most.
func (s *state) encode() ([]byte, error) {
	for {
		b, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encode state of parked message: %w", err)
		}
		n := len(s.Attempts)
		if len(b) <= maxState || n < 8 {
			return b, nil
		}
		keep := slices.Concat(s.records()[:n/4], s.records()[n/2:])
		s.Left += n - len(keep)
		s.note(keep)
	}
}

func decodeState(b []byte) (state, error) {
	var s state
	if len(b) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("%w: its state cannot be read", errDamaged)
	}
	return s, nil
}

// excuse notes that a dependency was unavailable once more, and returns for how
// long the message is excused by now.
func (s *state) excuse(now time.Time) time.Duration {
	if s.Excuses == 0 {
		s.From = now
	}
	s.Excuses++
	return s.Excused + max(now.Sub(s.From), 0)
}

// attempted ends what was excused.
func (s *state) attempted(now time.Time) {
	if s.Excuses > 0 {
		s.Excused += max(now.Sub(s.From), 0)
		s.Excuses, s.From = 0, time.Time{}
	}
	if s.Since.IsZero() {
		s.Since = now
	}
}
