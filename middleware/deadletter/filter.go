package deadletter

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/fingerprint"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/text"
)

// The bounds of Filter.Limit.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// maxText is how many bytes a text to look for may have.
const maxText = 1024

// Filter selects letters. The zero value selects all that are dead.
type Filter struct {
	// Status is Dead, Redriven or AnyStatus. Default Dead.
	Status Status `json:"status,omitempty"`
	// Consumer, Handler and Topic are those of the letter. Default: any.
	Consumer string `json:"consumer,omitempty"`
	Handler  string `json:"handler,omitempty"`
	Topic    string `json:"topic,omitempty"`
	// Key is the idempotency key and UUID the message's, whole. Default: any.
	Key  string `json:"key,omitempty"`
	UUID string `json:"uuid,omitempty"`
	// Group is the fingerprint of the error, as Groups tells. Default: any.
	Group string `json:"group,omitempty"`
	// From and To are when the message was set aside: From is the first moment
	// that belongs to the range, To the first behind it. Default: no bound.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Text is within the reason, the key or the UUID, upper and lower case as it
	// is; at most 1024 bytes. The database has to read the letters to find it:
	// together with another field it is quicker. Default: any.
	Text string `json:"text,omitempty"`

	// After and Before select by id: those greater, those smaller. The last of a
	// page is After of the next, or, with Newest, Before.
	After  int64 `json:"after,omitempty"`
	Before int64 `json:"before,omitempty"`
	// Newest lists the greatest id first. Default: the smallest.
	Newest bool `json:"newest,omitempty"`
	// Limit is how many are listed: default 100, at most 1000. Count and
	// redrives ignore it.
	Limit int `json:"limit,omitempty"`
	// Brief leaves payload, metadata and attempts out of what is listed.
	Brief bool `json:"brief,omitempty"`
}

// check returns f with its defaults, or all that is wrong with it.
func (f Filter) check() (Filter, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("Filter."+format, args...)) }
	switch f.Status {
	case "":
		f.Status = Dead
	case Dead, Redriven, AnyStatus:
	default:
		bad("Status: %q is none of %q, %q, %q", f.Status, Dead, Redriven, AnyStatus)
	}
	if f.Group != "" && !fingerprint.Valid(f.Group) {
		bad("Group: is no fingerprint: use %d hexadecimal digits in lower case, as Groups tells", fingerprint.Size)
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		bad("To: %s is not after Filter.From, %s", f.To.Format(time.RFC3339Nano), f.From.Format(time.RFC3339Nano))
	}
	if len(f.Text) > maxText {
		bad("Text: %d bytes are more than %d", len(f.Text), maxText)
	}
	if text.Clean(f.Text) != f.Text {
		bad("Text: is not valid UTF-8 without NUL")
	}
	if f.After < 0 {
		bad("After: %d is negative", f.After)
	}
	if f.Before < 0 {
		bad("Before: %d is negative", f.Before)
	}
	if f.Before > 0 && f.After >= f.Before {
		bad("Before: %d is not greater than Filter.After, %d", f.Before, f.After)
	}
	switch {
	case f.Limit == 0:
		f.Limit = DefaultLimit
	case f.Limit < 0 || f.Limit > MaxLimit:
		bad("Limit: %d is not within 1 and %d", f.Limit, MaxLimit)
	}
	return f, errors.Join(errs...)
}

// where returns the conditions of a checked filter but for its text.
func (f Filter) where() (string, []any) {
	sql := "status = ?"
	args := []any{string(f.Status)}
	if f.Status == AnyStatus {
		sql, args = "status IN (?, ?)", []any{string(Dead), string(Redriven)}
	}
	add := func(condition string, arg any) {
		sql += " AND " + condition
		args = append(args, arg)
	}
	for _, c := range []struct{ column, value string }{
		{"consumer", f.Consumer}, {"handler", f.Handler}, {"topic", f.Topic}, {"message_key", f.Key}, {"message_uuid", f.UUID}, {"fingerprint", f.Group},
	} {
		if c.value != "" {
			add(c.column+" = ?", column(c.value))
		}
	}
	if !f.From.IsZero() {
		add("dead_at >= ?", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		add("dead_at < ?", f.To.UnixMicro())
	}
	if f.After > 0 {
		add("id > ?", f.After)
	}
	if f.Before > 0 {
		add("id < ?", f.Before)
	}
	return sql, args
}

// all returns the conditions of a checked filter.
func (f Filter) all(d Dialect) (string, []any) {
	sql, args := f.where()
	if f.Text != "" {
		c := contains(d)
		sql += fmt.Sprintf(" AND (%s OR %s OR %s)", fmt.Sprintf(c, "reason"), fmt.Sprintf(c, "message_key"), fmt.Sprintf(c, "message_uuid"))
		args = append(args, f.Text, f.Text, f.Text)
	}
	return sql, args
}

// contains is the condition that a column contains a parameter: functions, not
// LIKE, as that has characters of its own and another case in each database.
func contains(d Dialect) string {
	switch d {
	case sqldialect.PostgreSQL:
		return "strpos(%s, ?) > 0"
	case sqldialect.MySQL:
		return "LOCATE(?, %s) > 0"
	default:
		return "instr(%s, ?) > 0"
	}
}

// only reports whether f selects by nothing but status, ids, and what is allowed.
func (f Filter) only(group, times bool) bool {
	rest := Filter{Consumer: f.Consumer, Handler: f.Handler, Topic: f.Topic, Key: f.Key, UUID: f.UUID, Text: f.Text}
	if !group {
		rest.Group = f.Group
	}
	if !times {
		rest.From, rest.To = f.From, f.To
	}
	return rest == Filter{}
}

// order is that of the ids.
func (f Filter) order() string {
	if f.Newest {
		return "id DESC"
	}
	return "id"
}

// next returns f for what follows the letter with this id.
func (f Filter) next(id int64) Filter {
	if f.Newest {
		f.Before = id
	} else {
		f.After = id
	}
	return f
}

// selects returns f without what only concerns a list.
func (f Filter) selects() Filter {
	f.Newest, f.Limit, f.Brief = false, 0, false
	return f
}
