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

// Channel is an alert.Sender on a slog.Logger. It is safe for concurrent use.
type Channel struct{ logger *slog.Logger }

// New returns a channel on logger, which must not be nil: alerts that nobody
// sees would count as sent.
func New(logger *slog.Logger, _ Config) (*Channel, error) {
	if logger == nil {
		return nil, errors.New("configure slog alert channel: logger: is nil")
	}
	return &Channel{logger: logger}, nil
}

// Send logs n: Critical as an error, Info and what is resolved as info, anything
// else as a warning. The message is the summary, or the name where there is none;
// key and reason are those of the last sample. What a digest names are records of
// their own. It never fails.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	c.log(ctx, n)
	for _, d := range n.Digest {
		c.log(ctx, alert.Notification{Status: d.Status, Name: d.Name, Severity: d.Severity, Handler: d.Handler, Topic: d.Topic, Count: d.Count})
	}
	return nil
}

func (c *Channel) log(ctx context.Context, n alert.Notification) {
	attrs := []slog.Attr{slog.String("alert", n.Name), slog.String("severity", string(n.Severity))}
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if n.Status == alert.Resolved {
		add("status", string(n.Status))
	}
	attrs = append(attrs, slog.Int64("count", n.Count))
	add("handler", n.Handler)
	add("topic", n.Topic)
	if len(n.Samples) > 0 {
		last := n.Samples[len(n.Samples)-1]
		add("key", last.Key)
		add("reason", last.Reason)
	}
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		add("label."+k, n.Labels[k])
	}
	add("link", n.Link)
	text := n.Summary
	if text == "" {
		text = n.Name
	}
	c.logger.LogAttrs(ctx, level(n), text, attrs...) //nolint:sloglint // the alert is the message
}

func level(n alert.Notification) slog.Level {
	switch {
	case n.Status == alert.Resolved, n.Severity == alert.Info:
		return slog.LevelInfo
	case n.Severity == alert.Critical:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}
