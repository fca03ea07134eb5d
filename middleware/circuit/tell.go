package circuit

import (
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/event"
)

// NameOpen is the name of the alert about a circuit that opened.
const NameOpen = "circuit_open"

// tell reports that a circuit opened or closed; nobody holds the lock.
func (g *group) tell(s Status, err error) {
	e := event.Event{Kind: event.CircuitClosed, Handler: s.Handler, Dependency: s.Dependency}
	if s.State != Closed {
		e.Kind, e.Err = event.CircuitOpened, err
	}
	g.alert(s)
	g.cfg.Observe.Emit(e)
	if g.cfg.OnChange != nil {
		g.cfg.OnChange(s)
	}
}

// alert says that a circuit is open, or no longer. It is said again after each
// probe that failed, for another replica may have said that it is over.
func (g *group) alert(s Status) {
	if g.cfg.Alerts == nil {
		return
	}
	a := alert.Alert{
		Name: NameOpen, Severity: alert.Critical, Condition: true, Handler: s.Handler, Reason: s.Reason, At: s.Since,
		Summary: "A handler fails for several messages; they wait until it works again.",
	}
	if s.Dependency != "" {
		a.Labels = map[string]string{"dependency": s.Dependency}
	}
	if s.State != Closed {
		g.cfg.Alerts.Emit(a)
	} else if r, ok := g.cfg.Alerts.(interface{ Resolve(alert.Alert) }); ok {
		r.Resolve(a)
	}
}
