package callback

import (
	"errors"
	"fmt"
	"log/slog"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The bounds of what is accepted.
const (
	maxDuration = 366 * 24 * time.Hour
	maxMaxBody  = 16 << 20
)

// token is a name of a header or method (RFC 9110, section 5.6.2).
var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$")

var serviceName = regexp.MustCompile(`^[a-z0-9._-]{1,48}$`)

// secretHeaders are never stored with a call.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key"}

// ownHeaders are set for each request.
var ownHeaders = []string{"Idempotency-Key", "Host", "Content-Length", "Transfer-Encoding", "Connection"}

func sendDelays() []time.Duration {
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) withDefaults() (Config, error) {
	if err := errors.Join(append(c.checkDurations(), c.checkRest()...)...); err != nil {
		return Config{}, err
	}
	orDefault(&c.Service, "default")
	orDefault(&c.Topic, DefaultTopic)
	orDefault(&c.Deadline, DefaultDeadline)
	orDefault(&c.QueryEvery, DefaultQueryEvery)
	orDefault(&c.QueryJitter, 0.05)
	orDefault(&c.LookUps, DefaultLookUps)
	orDefault(&c.LookUpEvery, DefaultLookUpEvery)
	orDefault(&c.ParkFor, DefaultParkFor)
	orDefault(&c.Timeout, DefaultTimeout)
	orDefault(&c.MaxBody, DefaultMaxBody)
	orDefault(&c.Retain, DefaultRetain)
	orDefault(&c.Known, DefaultKnown)
	orDefault(&c.MaxWaiting, DefaultMaxWaiting)
	orDefault(&c.History, DefaultHistory)
	if c.Encode == nil {
		c.Encode = encodeJSON
	}
	if c.Parse == nil {
		c.Parse = ParseJSON
	}
	if c.ReadSend == nil {
		c.ReadSend = ReadAccepted
	}
	if c.ReadQuery == nil {
		c.ReadQuery = ReadJSON
	}
	if c.Headers == nil {
		c.Headers = []string{"Content-Type", "Accept"}
	}
	c.Headers = slices.Clone(c.Headers)
	for i, h := range c.Headers {
		c.Headers[i] = textproto.CanonicalMIMEHeaderKey(h)
	}
	if len(c.SendDelays) == 0 {
		c.SendDelays = sendDelays()
	}
	c.SendDelays = slices.Clone(c.SendDelays)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (c Config) checkDurations() (errs []error) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Deadline", c.Deadline}, {"QueryEvery", c.QueryEvery}, {"LookUpEvery", c.LookUpEvery}, {"ParkFor", c.ParkFor},
		{"Timeout", c.Timeout}, {"SendDelay", c.SendDelay}, {"Tolerance", c.Tolerance},
	} {
		if d.value < 0 || d.value > maxDuration {
			errs = append(errs, fmt.Errorf("Config.%s: %v, use up to %v, or 0 for the default", d.name, d.value, maxDuration))
		}
	}
	for i, d := range c.SendDelays {
		if d <= 0 || d > maxDuration {
			errs = append(errs, fmt.Errorf("Config.SendDelays[%d]: %v, use more than 0, up to %v", i, d, maxDuration))
		}
	}
	return errs
}

func (c Config) checkRest() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("Config."+format, args...)) }
	if c.Service != "" && !serviceName.MatchString(c.Service) {
		bad("Service: %q, use 1 to 48 of a-z, 0-9, '.', '_' and '-'", c.Service)
	}
	if len(c.Topic) > 255 || strings.ContainsFunc(c.Topic, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		bad("Topic: %d bytes, use up to 255 without spaces and control characters", len(c.Topic))
	}
	switch {
	case len(c.Keys) == 0 && c.Verify == nil:
		bad("Keys: a key is needed to verify callbacks, or Config.Verify")
	case len(c.Keys) > 0 && c.Verify != nil:
		bad("Verify: set together with Keys, use one of them")
	}
	switch {
	case c.QueryURL != "" && c.Query != nil:
		bad("Query: set together with QueryURL, use one of them")
	case c.QueryURL != "" && !strings.Contains(c.QueryURL, numberMark):
		bad("QueryURL: has no %s", numberMark)
	}
	if c.QueryJitter != NoJitter && !(c.QueryJitter >= 0 && c.QueryJitter <= 1) {
		bad("QueryJitter: %v, use 0 to 1 or NoJitter", c.QueryJitter)
	}
	if c.LookUps < -1 || c.LookUps > 100 {
		bad("LookUps: %d, use 1 to 100, -1 for none, or 0 for %d", c.LookUps, DefaultLookUps)
	}
	for _, n := range []struct {
		name        string
		value, most int
	}{{"Concurrency", c.Concurrency, 1000}, {"PerHost", c.PerHost, 1000}, {"MaxBody", c.MaxBody, maxMaxBody}, {"Known", c.Known, 100_000_000}, {"MaxWaiting", c.MaxWaiting, 1_000_000}, {"History", c.History, 1_000_000}} {
		if n.value < 0 || n.value > n.most {
			bad("%s: %d, use up to %d, or 0 for the default", n.name, n.value, n.most)
		}
	}
	if c.Lease != 0 && (c.Lease < 100*time.Millisecond || c.Lease > maxDuration) {
		bad("Lease: %v, use at least 100 ms, or 0 for 1 min", c.Lease)
	}
	if c.PollMax != 0 && (c.PollMax < time.Millisecond || c.PollMax > maxDuration) {
		bad("PollMax: %v, use at least 1 ms, or 0 for 5 s", c.PollMax)
	}
	if c.PerHost > max(c.Concurrency, 16) || c.Concurrency > 0 && c.PerHost > c.Concurrency {
		bad("PerHost: %d, use up to Concurrency", c.PerHost)
	}
	for i, h := range c.Headers {
		name := textproto.CanonicalMIMEHeaderKey(h)
		switch {
		case !token.MatchString(h):
			bad("Headers[%d]: is no name of a header", i)
		case slices.Contains(secretHeaders, name):
			bad("Headers[%d]: %s would be stored; credentials belong in Config.Authorize", i, name)
		case slices.Contains(ownHeaders, name):
			bad("Headers[%d]: %s is set for each request", i, name)
		}
	}
	return errs
}
