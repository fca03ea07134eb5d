package notify

import (
	"github.com/sluicegate/sluicegate/alert"
)

// The names of alerts.
const (
	NameExhausted = "notify_exhausted"   // a notification is stopped
	NameDisabled  = "notify_target_gone" // a target has answered 410
	NameDown      = "notify_target_down" // a target's circuit is open
)

func (n *Notifier) alert(j *job, name, summary, reason string) alert.Alert {
	return alert.Alert{
		Name: name, Severity: alert.Warning, Handler: Queue, Labels: map[string]string{"target": j.task.Target},
		Summary: summary, Key: j.request, Reason: reason,
	}
}

func (n *Notifier) tell(j *job, name, summary, reason string) {
	if n.cfg.Alerts != nil {
		n.cfg.Alerts.Emit(n.alert(j, name, summary, reason))
	}
}

// tellExhausted follows the commit that stopped a notification, and comes before its task is finished:
// a process that dies in between has its successor tell, so it is told at least once.
func (n *Notifier) tellExhausted(j *job) {
	n.tell(j, NameExhausted, "A notification was not delivered: its attempts are used up. The partner can fetch it; it can be sent again.", j.lastError)
}

// tellCircuit says that a target's circuit is open, or no longer.
func (n *Notifier) tellCircuit(j *job, c change, reason string) {
	if n.cfg.Alerts == nil || c == none {
		return
	}
	a := n.alert(j, NameDown, "A partner fails for several notifications; one at a time is tried until it is back.", reason)
	a.Condition, a.Key = true, ""
	if c == opened {
		n.cfg.Alerts.Emit(a)
	} else if r, ok := n.cfg.Alerts.(interface{ Resolve(alert.Alert) }); ok {
		r.Resolve(a)
	}
}
