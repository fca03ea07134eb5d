package alerting

import (
	"errors"
	"fmt"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/text"
)

// The names of the alerts, where Config.Name is empty.
const (
	NameFailed     = "message_failed"        // of New
	NameDeadLetter = "message_dead_lettered" // of Observe
)

const maxReason = 512

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true.
type Observer = event.Observer

// Config of both functions. The zero value is ready to use.
type Config struct {
	// Name of the alerts. Default NameFailed or NameDeadLetter.
	Name string
	// Severity of the alerts. Default alert.Warning.
	Severity alert.Severity
	// Labels are added to each alert; they are part of its fingerprint, so they
	// must be stable, such as an environment. Default none.
	Labels map[string]string
}

func (c Config) withDefaults(emitter alert.Emitter, name string) (Config, error) {
	var errs []error
	if emitter == nil {
		errs = append(errs, errors.New("emitter: is nil"))
	}
	switch c.Severity {
	case "":
		c.Severity = alert.Warning
	case alert.Info, alert.Warning, alert.Critical:
	default:
		errs = append(errs, fmt.Errorf("Config.Severity: %q is unknown; use info, warning or critical", c.Severity))
	}
	if c.Name == "" {
		c.Name = name
	}
	c.Labels = maps.Clone(c.Labels)
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("configure alerting: %w", err)
	}
	return c, nil
}

// New returns the middleware that alerts on each error that gets past it. It is
// safe for concurrent use and owns no goroutine.
func New(emitter alert.Emitter, cfg Config) (message.HandlerMiddleware, error) {
	cfg, err := cfg.withDefaults(emitter, NameFailed)
	if err != nil {
		return nil, err
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			d, undo := delivery.Ensure(msg)
			defer undo()
			ctx := msg.Context()
			out, err := h(msg)
			if err != nil && ctx.Err() == nil && !failure.IsUnavailable(err) {
				emitter.Emit(cfg.alert("A message failed and was not set aside.", d.Scope(), d.Topic, d.Key(), err))
			}
			return out, err
		}
	}, nil
}

// Observe returns an observer that alerts on dead letters and ignores every
// other event. It is safe for concurrent use.
func Observe(emitter alert.Emitter, cfg Config) (Observer, error) {
	cfg, err := cfg.withDefaults(emitter, NameDeadLetter)
	if err != nil {
		return nil, err
	}
	return func(e Event) {
		if e.Kind == event.DeadLettered {
			emitter.Emit(cfg.alert("A message could not be handled and was set aside.", e.Handler, e.Topic, e.Key, e.Err))
		}
	}, nil
}

func (c Config) alert(summary, handler, topic, key string, err error) alert.Alert {
	a := alert.Alert{
		Name: c.Name, Severity: c.Severity, Labels: c.Labels, Summary: summary,
		Handler: handler, Topic: topic, Key: key,
	}
	if err != nil {
		a.Reason = text.Short(err.Error(), maxReason)
	}
	return a
}
