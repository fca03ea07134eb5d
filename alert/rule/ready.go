package rule

import (
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// The names of the alerts of the ready-made rules.
const (
	NameOutboxLag              = "outbox_lag"
	NameOutboxBacklog          = "outbox_backlog"
	NameDeadLettersGrow        = "dead_letters_grow"
	NameCircuitOpen            = "circuit_open"
	NameLeaseLost              = "lease_lost"
	NameRetryCapReached        = "retry_cap_reached"
	NamePoisonMessage          = "poison_message"
	NameReconciliationMismatch = "reconciliation_mismatch"
	NameUploadExhausted        = "upload_exhausted"
	NameNotificationExhausted  = "notification_exhausted"
	NameBrokerDown             = "broker_down"
	NameDatabaseDown           = "database_down"
)

// OutboxLag fires where the oldest message that waits in the outbox is 60 s old
// or older, for a minute; it is resolved at 10 s. The gauge returns seconds.
func OutboxLag(age Gauge) Rule {
	return Rule{
		Name: NameOutboxLag, Summary: "Messages leave the outbox late.", Unit: "s",
		Gauge: age, High: 60, Low: 10, For: time.Minute,
	}
}

// OutboxBacklog fires where 10,000 messages or more wait in the outbox for two
// minutes; it is resolved at 1,000. The gauge returns their number.
func OutboxBacklog(waiting Gauge) Rule {
	return Rule{
		Name: NameOutboxBacklog, Summary: "More messages come into the outbox than leave it.", Unit: "messages",
		Gauge: waiting, High: 10_000, Low: 1_000, For: 2 * time.Minute,
	}
}

// DeadLettersGrow fires where 10 dead letters or more came within 5 minutes. The
// gauge returns how many there were ever, or how many there are.
func DeadLettersGrow(letters Gauge) Rule {
	return Rule{
		Name: NameDeadLettersGrow, Summary: "Many messages could not be handled and were set aside.", Unit: "dead letters",
		Gauge: letters, High: 10, Growth: 5 * time.Minute,
	}
}

// CircuitOpen fires while a circuit is open. The gauge returns how many are.
func CircuitOpen(open Gauge) Rule {
	return Rule{
		Name: NameCircuitOpen, Severity: alert.Critical, Summary: "A handler or what it depends on fails for many messages; it is left alone for now.",
		Gauge: open, High: 1,
	}
}

// LeaseLost fires where 3 leases or more were lost within 10 minutes: owners that
// froze, or took too long. The gauge returns how many there were ever.
func LeaseLost(lost Gauge) Rule {
	return Rule{
		Name: NameLeaseLost, Summary: "Leases end before their work does.", Unit: "leases",
		Gauge: lost, High: 3, Growth: 10 * time.Minute,
	}
}

// RetryCapReached fires where a message has spent all its attempts within 15
// minutes. The gauge returns how many there were ever.
func RetryCapReached(messages Gauge) Rule {
	return exhausted(NameRetryCapReached, "Messages have spent all their attempts.", messages)
}

// PoisonMessage fires where a message turned out to be one that cannot be
// handled within 15 minutes. The gauge returns how many there were ever.
func PoisonMessage(messages Gauge) Rule {
	return exhausted(NamePoisonMessage, "Messages cannot be handled, however often they are tried.", messages)
}

// ReconciliationMismatch fires while things that should agree do not. The gauge
// returns how many.
func ReconciliationMismatch(mismatches Gauge) Rule {
	return Rule{
		Name: NameReconciliationMismatch, Severity: alert.Critical, Summary: "What should agree does not.", Unit: "mismatches",
		Gauge: mismatches, High: 1,
	}
}

// UploadExhausted fires where an upload has spent all its attempts within 15
// minutes. The gauge returns how many there were ever.
func UploadExhausted(uploads Gauge) Rule {
	return exhausted(NameUploadExhausted, "Objects could not be uploaded.", uploads)
}

// NotificationExhausted fires where a notification to a partner has spent all its
// attempts within 15 minutes. The gauge returns how many there were ever.
func NotificationExhausted(notifications Gauge) Rule {
	return exhausted(NameNotificationExhausted, "Partners could not be notified.", notifications)
}

// BrokerDown fires while the broker cannot be reached for 30 s. The gauge returns
// 1 while it cannot, and 0 while it can; it fails in neither case.
func BrokerDown(down Gauge) Rule {
	return Rule{
		Name: NameBrokerDown, Severity: alert.Critical, Summary: "The broker cannot be reached.",
		Gauge: down, High: 1, For: 30 * time.Second, Clear: 30 * time.Second,
	}
}

// DatabaseDown is BrokerDown for the database.
func DatabaseDown(down Gauge) Rule {
	return Rule{
		Name: NameDatabaseDown, Severity: alert.Critical, Summary: "The database cannot be reached.",
		Gauge: down, High: 1, For: 30 * time.Second, Clear: 30 * time.Second,
	}
}

func exhausted(name, summary string, total Gauge) Rule {
	return Rule{Name: name, Summary: summary, Gauge: total, High: 1, Growth: 15 * time.Minute}
}

// Inhibitions keep back what follows from a broker or a database that is down,
// for alert.Config.
func Inhibitions() []alert.Inhibition {
	follows := func(source, targets string) alert.Inhibition {
		return alert.Inhibition{Source: []string{"name=" + source}, Target: []string{"name=~" + targets}}
	}
	return []alert.Inhibition{
		follows(NameBrokerDown, NameOutboxLag+"|"+NameOutboxBacklog),
		follows(NameDatabaseDown, NameOutboxLag+"|"+NameOutboxBacklog+"|"+NameLeaseLost+"|"+NameGaugeFailed),
	}
}
