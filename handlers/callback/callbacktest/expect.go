package callbacktest

import (
	"encoding/json"
	"strings"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

// messages returns what is in the outbox, by number.
func (s *stage) messages() map[string][]callback.Ended {
	s.Helper()
	rows, err := s.db.DB.QueryContext(s.Context(), "SELECT payload FROM "+s.table("outbox")+" ORDER BY id")
	must(s.T, err)
	defer func() { _ = rows.Close() }()
	out := map[string][]callback.Ended{}
	for rows.Next() {
		var raw []byte
		must(s.T, rows.Scan(&raw))
		var e callback.Ended
		must(s.T, json.Unmarshal(raw, &e))
		out[e.Number] = append(out[e.Number], e)
	}
	must(s.T, rows.Err())
	return out
}

func (s *stage) table(name string) string {
	if s.db.Prefix == "" {
		return "sluicegate_" + name
	}
	return s.db.Prefix + name
}

// view returns a call, which must be there.
func (s *stage) view(c *callback.Caller, number string) callback.View {
	s.Helper()
	v, err := c.Get(s.Context(), number)
	must(s.T, err)
	return v
}

// expect checks how a call ended: status, source, and one message that says so.
func (s *stage) expect(c *callback.Caller, number string, status callback.Status, source callback.Source) {
	s.Helper()
	v := s.view(c, number)
	if v.Status != status || v.Source != source {
		s.Errorf("%s is %s by %q (error %q), want %s by %q", number, v.Status, v.Source, v.Error, status, source)
	}
	got := s.messages()[number]
	if len(got) != 1 || got[0].Result.Status != status || got[0].Source != source {
		s.Errorf("%s has the messages %+v, want one: %s by %s", number, got, status, source)
	}
}

// open checks that a call has not ended.
func (s *stage) open(c *callback.Caller, number string, status callback.Status) {
	s.Helper()
	if v := s.view(c, number); v.Status != status {
		s.Errorf("%s is %s, want %s", number, v.Status, status)
	}
	if got := s.messages()[number]; len(got) != 0 {
		s.Errorf("%s has the messages %+v, want none yet", number, got)
	}
}

// kinds returns the history of a call as words.
func (s *stage) kinds(c *callback.Caller, number string) string {
	s.Helper()
	list, err := c.History(s.Context(), number)
	must(s.T, err)
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = string(e.Kind)
	}
	return strings.Join(words, ",")
}
