package contender

import (
	"database/sql"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgnotify"
)

// Committer is implemented by outboxes that want to hear of each commit.
type Committer interface {
	// Committed is called after a transaction with messages has committed.
	Committed()
}

// newNotifyOutbox and newNotifyRelay are ours with the debounced notification.
func newNotifyOutbox(p Place) Outbox { return &notifyOutbox{ourOutbox{place: p, notify: true}} }

func newNotifyRelay(p Place) child.Task { return &ours{place: p, settings: ourSettings{notify: true}} }

// notifyOutbox calls Wake after each commit.
type notifyOutbox struct{ ourOutbox }

func (o *notifyOutbox) Committed() { o.outbox.Wake() }

// outboxConfig returns the configuration of both sides.
func outboxConfig(p Place, db *sql.DB, notify bool) (forwarder.Config, error) {
	if !notify {
		return forwarder.Config{}, nil
	}
	// Channels are those of the whole database: each trial has its own.
	signal, err := pgnotify.New(db, pgnotify.Config{Channel: p.Topic})
	return forwarder.Config{Signal: signal}, err
}
