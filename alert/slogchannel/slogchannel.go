// Package slogchannel delivers alerts as records of a slog.Logger: for
// development, for tests, and for systems whose alerting reads logs.
package slogchannel

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/sluicegate/sluicegate/alert"
)

// Config of the channel. There is nothing to set yet.
type Config struct{}

// Channel is an alert.Channel on a slog.Logger. It is safe for concurrent use.
type Channel struct{ logger *slog.Logger }

// New returns a channel on logger, which must not be nil: alerts that nobody
// sees would count as sent.
func New(logger *slog.Logger, _ Config) (*Channel, error) {
	if logger == nil {
		return nil, errors.New("configure slog alert channel: logger: is nil")
	}
	return &Channel{logger: logger}, nil
}

// Send logs a: Critical as an error, Info as info, anything else as a warning.
// The message is the summary, or the name where there is none. It never fails.
func (c *Channel) Send(ctx context.Context, a alert.Alert) error {
	attrs := []slog.Attr{slog.String("alert", a.Name), slog.String("severity", string(a.Severity)), slog.Int("count", a.Count)}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("handler", a.Handler)
	add("topic", a.Topic)
	add("key", a.Key)
	add("reason", a.Reason)
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		add("label."+k, a.Labels[k])
	}
	text := a.Summary
	if text == "" {
		text = a.Name
	}
	c.logger.LogAttrs(ctx, level(a.Severity), text, attrs...) //nolint:sloglint // the alert is the message
	return nil
}

func level(s alert.Severity) slog.Level {
	switch s {
	case alert.Critical:
		return slog.LevelError
	case alert.Info:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}
