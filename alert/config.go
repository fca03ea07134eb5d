package alert

import (
	"log/slog"
	"time"
)

// DefaultChannel is the name of the channel that New is given.
const DefaultChannel = "default"

// Config of a Notifier. The zero value is ready to use: one channel, no routes.
//
// Matchers are conditions on an alert that must all hold: "name=value",
// "name!=value", "name=~regexp" or "name!~regexp", where the regular expression
// must match the whole. The names are those of labels, and name, severity,
// handler and topic; a label that is not there is empty.
type Config struct {
	// GroupBy is which alerts are told together: those with equal values of
	// these labels (name, severity, handler and topic among them). Default: those
	// of one fingerprint. A group has at most 100 fingerprints told apart.
	GroupBy []string
	// GroupWait is how long a group waits for more before it is told for the
	// first time. One that ends within it is never told. What is critical does
	// not wait. Default 30 s; 1 ns for not at all.
	GroupWait time.Duration
	// GroupInterval is how long after a group was told it is told of changes: an
	// alert that is new in it, or is over. Default 5 min.
	GroupInterval time.Duration
	// Repeat is how long after a group was told it is told again, while it fires
	// and nothing in it has changed. Default 4 h.
	Repeat time.Duration
	// Quiet is after how long without another occurrence an alert counts as
	// resolved, where nobody calls Resolve. One that comes back within Quiet of
	// having been resolved must be quiet for twice as long, and so on up to
	// Repeat, and a call of Resolve then counts after half of that. Default
	// 15 min.
	Quiet time.Duration

	// Channels are the channels beside the one that New is given, by name.
	Channels map[string]Channel
	// Rate is how many notifications a channel takes within any minute, from all
	// replicas together, where its own Rate is 0. What is more becomes one digest.
	// Default 18.
	Rate int
	// Fallback is the channel that is used for one which is broken or fails, and
	// which names no other. Default: none.
	Fallback string
	// Routes say which groups go to which channels. The first that matches counts,
	// and those after it as long as each says Continue. A group that none matches
	// goes to DefaultChannel.
	Routes []Route
	// Escalations add channels to those of the routes.
	Escalations []Escalation
	// Inhibitions keep back what follows from something else that fires.
	Inhibitions []Inhibition
	// Watchdog sends a heartbeat. Default: none.
	Watchdog Watchdog

	// State is what replicas share. Default: NewMemory(), which shares nothing.
	State State
	// Poll is how often the state is looked at for what other replicas have left.
	// Default 5 s.
	Poll time.Duration
	// Link leads to more about a group; {fingerprint} in it is replaced. Default:
	// none.
	Link string
	// Buffer is how many fingerprints can wait to be written to the state; an
	// alert with a new one is dropped while there are so many. Default 1024.
	Buffer int
	// SendTimeout limits one call of a channel. Default 10 s.
	SendTimeout time.Duration
	// MaxAttempts is how often one notification is offered to a failing channel,
	// with pauses from 1 s up to 1 min, before it is given up: Stats counts it as
	// Failed, the fallback gets it, and it is offered again after GroupInterval.
	// Default 5.
	MaxAttempts int
	// Drain is how long Run goes on sending after its context has ended, each
	// notification once. Default 5 s.
	Drain time.Duration
	// Logger is told why a channel or the state failed. Default: nobody.
	Logger *slog.Logger
}

// Channel is one place where people are told.
type Channel struct {
	// Sender delivers. It must not be nil.
	Sender Sender
	// Rate is how many notifications it takes within any minute. Default Config.Rate.
	Rate int
	// Unlimited says that it takes any number, as a log or an Alertmanager does.
	Unlimited bool
	// Fallback is used instead while this one is broken or fails. Default
	// Config.Fallback.
	Fallback string
	// NoResolved leaves out notifications that a group is over.
	NoResolved bool
	// GroupWait, GroupInterval and Repeat are this channel's own, where they are
	// not 0: an Alertmanager, which groups by itself, wants to be told each minute.
	GroupWait, GroupInterval, Repeat time.Duration
}

// Route sends groups to channels. It is matched against what the alerts of a
// group share, and their highest severity.
type Route struct {
	Match    []string // matchers; none: every group
	Channels []string // names; at least one
	Continue bool     // look at the routes after this one too
}

// Escalation sends a group that goes on to more channels, beside its own.
type Escalation struct {
	Match    []string      // matchers; none: every group
	After    time.Duration // how long it has been firing; 0: at once
	Channels []string      // names; at least one
	// Unacknowledged says that nobody has to be told where somebody has called
	// Acknowledge by then.
	Unacknowledged bool
}

// Inhibition keeps alerts back while another fires: "broker down" inhibits what
// follows from it. An alert never inhibits itself.
type Inhibition struct {
	Source []string // matchers of what must fire; at least one
	Target []string // matchers of what is then kept back; at least one
	Equal  []string // labels that both must have alike; none: any two
}

// Watchdog is a heartbeat: a notification with the name WatchdogName, always
// firing, so that somebody else can tell when no alert would arrive any more.
type Watchdog struct {
	Channel string        // its name; empty: no heartbeat
	Every   time.Duration // from all replicas together; default 1 min
}
