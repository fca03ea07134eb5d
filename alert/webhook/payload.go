package webhook

import (
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/promalert"
)

// payload is Alertmanager's webhook message.
type payload struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []item            `json:"alerts"`
}

type item struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // the zero time while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func (c *Channel) payload(n alert.Notification, description string) payload {
	p := payload{
		Version: "4", GroupKey: n.Fingerprint, TruncatedAlerts: n.Omitted,
		Status: string(alert.Firing), Receiver: c.cfg.Receiver, ExternalURL: c.cfg.ExternalURL,
		GroupLabels: map[string]string{"alertname": n.Name},
	}
	if n.Status == alert.Resolved {
		p.Status = string(alert.Resolved)
	}
	for i, a := range promalert.List(n, description) {
		if i == 0 {
			p.CommonLabels, p.CommonAnnotations = a.Labels, a.Annotations
		}
		p.CommonLabels = common(p.CommonLabels, a.Labels)
		p.CommonAnnotations = common(p.CommonAnnotations, a.Annotations)
		p.Alerts = append(p.Alerts, item{
			Status: string(a.Status()), Labels: a.Labels, Annotations: a.Annotations,
			StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(), GeneratorURL: a.Link, Fingerprint: a.Fingerprint(),
		})
	}
	return p
}

// common returns what both have.
func common(a, b map[string]string) map[string]string {
	both := map[string]string{}
	for name, value := range a {
		if other, ok := b[name]; ok && other == value {
			both[name] = value
		}
	}
	return both
}
