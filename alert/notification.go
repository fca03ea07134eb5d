package alert

import (
	"context"
	"fmt"
	"time"
)

// Status says whether what a Notification tells of still goes on.
type Status string

// The statuses.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// MaxSamples is how many samples a Notification has at most.
const MaxSamples = 5

// Notification is what people get: the alerts of one group. It is complete in
// itself, so that a Sender keeps nothing. What is in it came from callers of
// Emit, and may be long, or hold any character: a Sender shortens and escapes as
// its service needs. A Sender must not change the map and the slices in it.
type Notification struct {
	// Status is Resolved once nothing in the group fires any more.
	Status Status
	// Name is that of the alerts: "message_dead_lettered".
	Name string
	// Severity is the highest in the group; never empty.
	Severity Severity
	// Labels are those that all alerts of the group share. May be nil.
	Labels map[string]string
	// Handler and Topic are those that all alerts of the group share, or empty.
	Handler, Topic string
	// Summary is one sentence for people. May be empty: the Name stands in.
	Summary string
	// Count is how many occurrences there were from First to Last.
	Count int64
	// New is how many of them came since this channel was told last.
	New int64
	// First and Last are the times of the first and the last occurrence.
	First, Last time.Time
	// At is when this notification was decided; with Status Resolved, the group
	// was over by then.
	At time.Time
	// Samples are at most MaxSamples occurrences, the first and the last ones,
	// oldest first.
	Samples []Sample
	// Link leads to more. May be empty.
	Link string
	// Fingerprint is the same in all notifications of a group: letters and digits
	// that a service may use as its key. It is a hash and tells nothing.
	Fingerprint string
	// Repeat says that this was told before and nothing is new but the count.
	Repeat bool
	// Digest is what a rate limit held back, where this notification stands for
	// several groups; it is empty in all others. Name is then DigestName, and
	// Count the number of occurrences in all of them.
	Digest []Digest
	// Omitted is how many groups found no room in Digest.
	Omitted int
}

// The names of notifications that come from a Notifier itself.
const (
	DigestName        = "alert_digest"         // several groups that a rate limit held back
	WatchdogName      = "alert_watchdog"       // always firing: what is silent is broken
	ChannelBrokenName = "alert_channel_broken" // a channel that refuses for good; label channel
)

// Sample is one occurrence.
type Sample struct {
	Key    string    // of the message; may be empty
	Reason string    // may be empty
	At     time.Time // when it happened
}

// Digest is one group within a digest.
type Digest struct {
	Status   Status
	Name     string
	Severity Severity
	Handler  string
	Topic    string
	Count    int64 // occurrences since this channel was told of the group last
}

// Sender delivers notifications to people: one way of writing to one place.
type Sender interface {
	// Send returns nil after the notification was accepted, and otherwise why
	// not. It returns soon after ctx ends. It is safe for concurrent use, though a
	// Notifier calls each Sender from one goroutine.
	//
	// An error that is, or wraps, a *SendError says what to do next; any other
	// counts as one that may pass. Errors hold no secrets: no token, no signed
	// URL, no password.
	Send(ctx context.Context, n Notification) error
}

// SendError is why a notification was not accepted, and what follows from it.
// Of the three fields at most one is set; where none is, this notification is
// refused as it is and is not offered again, while others are.
type SendError struct {
	// Retryable says that the same may be accepted later: a time-out, a 5xx.
	Retryable bool
	// Until is when the service accepts messages again; until then nothing is
	// sent to the channel, and what comes meanwhile makes one digest. The zero
	// time says nothing.
	Until time.Time
	// Permanent says that the channel is broken until a person mends it: a wrong
	// token, a wrong signature, a robot that is gone. The fallback is used.
	Permanent bool
	// Err is what happened, without secrets. It must not be nil.
	Err error
}

func (e *SendError) Error() string {
	switch {
	case e.Permanent:
		return fmt.Sprintf("channel is broken: %v", e.Err)
	case !e.Until.IsZero():
		return fmt.Sprintf("channel is limited until %s: %v", e.Until.UTC().Format(time.RFC3339), e.Err)
	case e.Retryable:
		return fmt.Sprintf("channel failed for now: %v", e.Err)
	default:
		return fmt.Sprintf("channel refused the notification: %v", e.Err)
	}
}

// Unwrap returns Err.
func (e *SendError) Unwrap() error { return e.Err }
