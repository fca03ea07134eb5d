package objectsync

import (
	"fmt"

	"github.com/sluicegate/sluicegate/alert"
)

// The alerts, each with the label "objectsync", which is Config.Name.
const (
	// AlertFailed: an entity's upload was given up.
	AlertFailed = "objectsync_upload_failed"
	// AlertUnreachable: the store or the database cannot be reached. It is a condition: over
	// when it is no longer told.
	AlertUnreachable = "objectsync_unreachable"
	// AlertDrift: Reconcile found objects that were not equal to their rows.
	AlertDrift = "objectsync_drift"
)

func (s *Syncer) emit(a alert.Alert) {
	if s.cfg.Alerts == nil {
		return
	}
	a.Labels = map[string]string{"objectsync": s.cfg.Name}
	s.cfg.Alerts.Emit(a)
}

// tell alerts and logs what became of a run, once it is true.
func (s *Syncer) tell(r *run, v verdict) {
	switch {
	case r.err == nil:
	case v.status == Failed:
		s.log.Error("an upload was given up", "entity", r.entity, "attempts", v.outcome.Attempts, "error", r.err)
		s.emit(alert.Alert{
			Name: AlertFailed, Severity: alert.Critical, Key: r.entity, Reason: r.err.Error(),
			Summary: fmt.Sprintf("The object of an entity of %q could not be made equal to its row and was given up after %d attempts.", s.cfg.Name, v.outcome.Attempts),
		})
	case away(r.err):
		s.emit(alert.Alert{
			Name: AlertUnreachable, Key: r.entity, Reason: r.err.Error(), Condition: true,
			Summary: fmt.Sprintf("The objects of %q cannot be uploaded: the store or the database cannot be reached. Nothing is lost; uploads go on when it is back.", s.cfg.Name),
		})
	default:
		s.log.Warn("an upload failed and is tried again later", "entity", r.entity, "attempts", v.outcome.Attempts, "delay", v.outcome.Delay, "error", r.err)
	}
}
