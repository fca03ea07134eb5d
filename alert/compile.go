package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// plan is a Config that has been checked.
type plan struct {
	cfg         Config // with defaults
	channels    map[string]*channel
	names       []string // of the channels, sorted
	routes      []route
	escalations []escalation
	inhibitions []inhibition
}

type channel struct {
	name string
	Channel
}

type route struct {
	match matchers
	Route
}

type escalation struct {
	match matchers
	Escalation
}

type inhibition struct {
	source, target matchers
	equal          []string
}

// maxName is how many bytes the name of a channel has at most.
const maxName = 64

// check collects problems, each with its field.
type check struct{ errs []error }

func (c *check) problem(field, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(field+": "+format, args...))
}

func (c *check) duration(field string, d *time.Duration, def time.Duration) {
	switch {
	case *d < 0:
		c.problem(field, "%s is negative; use a duration, or 0 for %s", *d, def)
	case *d == 0:
		*d = def
	}
}

func (c *check) number(field string, n *int, def int) {
	switch {
	case *n < 0:
		c.problem(field, "%d is negative; use 1 or more, or 0 for %d", *n, def)
	case *n == 0:
		*n = def
	}
}

func (c *check) matchers(field string, list []string, needed bool) matchers {
	if needed && len(list) == 0 {
		c.problem(field, "is empty; use at least one matcher, as severity=critical")
	}
	ms, err := parseMatchers(field, list)
	if err != nil {
		c.errs = append(c.errs, err)
	}
	return ms
}

func compile(sender Sender, cfg Config) (*plan, error) {
	c := &check{}
	c.duration("Config.GroupWait", &cfg.GroupWait, 30*time.Second)
	c.duration("Config.GroupInterval", &cfg.GroupInterval, 5*time.Minute)
	c.duration("Config.Repeat", &cfg.Repeat, 4*time.Hour)
	c.duration("Config.Quiet", &cfg.Quiet, 15*time.Minute)
	c.duration("Config.Poll", &cfg.Poll, 5*time.Second)
	c.duration("Config.SendTimeout", &cfg.SendTimeout, 10*time.Second)
	c.duration("Config.Drain", &cfg.Drain, 5*time.Second)
	c.number("Config.Buffer", &cfg.Buffer, 1024)
	c.number("Config.Rate", &cfg.Rate, 18)
	c.number("Config.MaxAttempts", &cfg.MaxAttempts, 5)
	if slices.Contains(cfg.GroupBy, "") {
		c.problem("Config.GroupBy", "has an empty label")
	}
	cfg.GroupBy = slices.Sorted(slices.Values(cfg.GroupBy))
	switch cfg.State.(type) {
	case nil:
		cfg.State = NewMemory()
	case *Memory:
	default:
		cfg.State = &timed{cfg.State}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &plan{cfg: cfg}
	p.addChannels(c, sender)
	p.addRules(c)
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("configure alert notifier: %w", errors.Join(c.errs...))
	}
	return p, nil
}

func (p *plan) addChannels(c *check, sender Sender) {
	all := map[string]Channel{}
	for name, ch := range p.cfg.Channels {
		field := fmt.Sprintf("Config.Channels[%q]", name)
		switch {
		case name == DefaultChannel:
			c.problem(field, "is the name of the channel that New is given")
		case name == "" || len(name) > maxName:
			c.problem(field, "the name has %d bytes; use 1 to %d", len(name), maxName)
		}
		if ch.Sender == nil {
			c.problem(field+".Sender", "is nil")
		}
		all[name] = ch
	}
	if sender == nil {
		c.problem("sender", "is nil")
	}
	all[DefaultChannel] = Channel{Sender: sender}
	p.channels = make(map[string]*channel, len(all))
	p.names = slices.Sorted(maps.Keys(all))
	for _, name := range p.names {
		ch, field := all[name], fmt.Sprintf("Config.Channels[%q]", name)
		c.number(field+".Rate", &ch.Rate, p.cfg.Rate)
		c.duration(field+".GroupWait", &ch.GroupWait, p.cfg.GroupWait)
		c.duration(field+".GroupInterval", &ch.GroupInterval, p.cfg.GroupInterval)
		c.duration(field+".Repeat", &ch.Repeat, p.cfg.Repeat)
		if ch.Fallback == "" && p.cfg.Fallback != name {
			ch.Fallback = p.cfg.Fallback
		} else if ch.Fallback != "" {
			p.known(c, field+".Fallback", ch.Fallback)
		}
		p.channels[name] = &channel{name: name, Channel: ch}
	}
	if p.cfg.Fallback != "" {
		p.known(c, "Config.Fallback", p.cfg.Fallback)
	}
	p.checkFallbacks(c)
}

func (p *plan) known(c *check, field string, names ...string) {
	for _, name := range names {
		if !slices.Contains(p.names, name) {
			c.problem(field, "there is no channel %q; there are %q", name, p.names)
		}
	}
}

// checkFallbacks refuses those that come back to where they began.
func (p *plan) checkFallbacks(c *check) {
	for _, name := range p.names {
		at := p.channels[name]
		for range p.names {
			if at = p.channels[at.Fallback]; at == nil {
				break
			}
			if at.name == name {
				c.problem(fmt.Sprintf("Config.Channels[%q].Fallback", name), "the fallbacks come back to it")
				break
			}
		}
	}
}

func (p *plan) addRules(c *check) {
	for i, r := range p.cfg.Routes {
		field := fmt.Sprintf("Config.Routes[%d]", i)
		p.routes = append(p.routes, route{match: c.matchers(field+".Match", r.Match, false), Route: r})
		p.some(c, field+".Channels", r.Channels)
	}
	for i, e := range p.cfg.Escalations {
		field := fmt.Sprintf("Config.Escalations[%d]", i)
		c.duration(field+".After", &e.After, 0)
		p.escalations = append(p.escalations, escalation{match: c.matchers(field+".Match", e.Match, false), Escalation: e})
		p.some(c, field+".Channels", e.Channels)
	}
	for i, in := range p.cfg.Inhibitions {
		field := fmt.Sprintf("Config.Inhibitions[%d]", i)
		p.inhibitions = append(p.inhibitions, inhibition{
			source: c.matchers(field+".Source", in.Source, true), target: c.matchers(field+".Target", in.Target, true), equal: in.Equal,
		})
	}
	w := &p.cfg.Watchdog
	c.duration("Config.Watchdog.Every", &w.Every, time.Minute)
	if w.Channel != "" {
		p.known(c, "Config.Watchdog.Channel", w.Channel)
	}
}

func (p *plan) some(c *check, field string, names []string) {
	if len(names) == 0 {
		c.problem(field, "is empty; name at least one channel")
	}
	p.known(c, field, names...)
}
