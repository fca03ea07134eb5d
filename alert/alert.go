package alert

import (
	"crypto/sha256"
	"encoding/hex"
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

func (s Severity) rank() int {
	switch s {
	case Info:
		return 0
	case Critical:
		return 2
	default:
		return 1
	}
}

// Alert is one thing that a person should know. Payloads, metadata values and
// secrets have no place in it. Texts that are too long are shortened by Emit.
type Alert struct {
	Name     string            // what happened, stable: "message_dead_lettered"
	Severity Severity          // default Warning
	Labels   map[string]string // stable labels, part of the fingerprint; not changed after Emit
	Summary  string            // one sentence for people
	Link     string            // leads to more; default Config.Link
	Handler  string            // consumer and handler, part of the fingerprint
	Topic    string            // topic of the message, part of the fingerprint
	Key      string            // of this occurrence
	Reason   string            // of this occurrence
	Count    int               // occurrences; Emit counts 0 as 1
	At       time.Time         // when it happened; Emit sets now where it is zero
	// Condition says that this is a state that goes on, such as a full queue, and
	// not an event: told again and again, it is counted once.
	Condition bool
}

// Fingerprint is what alerts are folded by: a hash, 32 characters long.
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
	return hash(b.String())
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// Emitter takes alerts. *Notifier is one.
type Emitter interface {
	// Emit takes a without blocking. It is safe for concurrent use.
	Emit(a Alert)
}
