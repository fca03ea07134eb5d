package contender

import (
	"errors"

	"github.com/sluicegate/sluicegate/bench/child"
)

// Committer is implemented by outboxes that want to hear of each commit.
type Committer interface {
	// Committed is called after a transaction with messages has committed.
	Committed()
}

// newNotifyOutbox and newNotifyRelay are ours with the debounced notification.
func newNotifyOutbox(p Place) Outbox { return &ourOutbox{place: p, notify: true} }

func newNotifyRelay(p Place) child.Task { return &ours{place: p, settings: ourSettings{notify: true}} }

var errNoNotify = errors.New("cannot run here: the forwarder has no notification yet")
