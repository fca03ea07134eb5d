package alert

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Severity says how soon a person must look.
type Severity string

// The severities. The empty one counts as Warning.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Alert is one thing that a person should know. Payloads, metadata values and
// secrets have no place in it.
type Alert struct {
	Name     string            // what happened, stable: "message_dead_lettered"
	Severity Severity          // default Warning
	Labels   map[string]string // stable labels, part of the fingerprint; not changed after Emit
	Summary  string            // one sentence for people
	Handler  string            // consumer and handler, part of the fingerprint
	Topic    string            // topic of the message, part of the fingerprint
	Key      string            // of the last occurrence
	Reason   string            // of the last occurrence
	Count    int               // occurrences since the last one sent; Emit counts 0 as 1
	At       time.Time         // of the last occurrence; Emit sets now where it is zero
}

// Fingerprint is what alerts are folded by.
func (a Alert) Fingerprint() string {
	var b strings.Builder
	// Quoted, so that no two different alerts run together.
	for _, s := range []string{a.Name, a.Handler, a.Topic} {
		b.WriteString(strconv.Quote(s))
	}
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		b.WriteString(strconv.Quote(k))
		b.WriteByte('=')
		b.WriteString(strconv.Quote(a.Labels[k]))
	}
	return b.String()
}

// Emitter takes alerts. *Notifier is one.
type Emitter interface {
	// Emit takes a without blocking. It is safe for concurrent use.
	Emit(a Alert)
}

// Channel delivers an alert to people.
type Channel interface {
	// Send returns after the alert was accepted, or why it was not; it must
	// return when ctx ends. A Notifier calls it from one goroutine.
	Send(ctx context.Context, a Alert) error
}
