package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// Gauge returns the present value of something. It returns soon after ctx ends,
// and is called by one goroutine at a time for each rule.
type Gauge func(ctx context.Context) (float64, error)

// Rule is a threshold.
type Rule struct {
	// Name, Severity, Labels, Handler, Topic, Summary and Link are those of the
	// alert. Name is needed. Severity has the default alert.Warning.
	Name           string
	Severity       alert.Severity
	Labels         map[string]string
	Handler, Topic string
	Summary        string
	Link           string
	// Gauge is what is measured. It must not be nil.
	Gauge Gauge
	// Unit stands behind values in texts, such as "s". Default none.
	Unit string
	// High is the value at or above which it fires.
	High float64
	// Low is the value at or below which it is resolved; not above High.
	Low float64
	// For is how long the value must have been high before it fires. Default 0: at
	// once.
	For time.Duration
	// Clear is how long the value must have been low before it is resolved.
	// Default 0: at once.
	Clear time.Duration
	// Growth, where it is not 0, is the time over which the growth of the value is
	// compared instead of the value. A value that falls has begun anew from 0.
	Growth time.Duration
}

// Target is told. *alert.Notifier is one.
type Target interface {
	alert.Emitter
	Resolve(a alert.Alert)
}

// Config of an Engine. The zero value is ready to use.
type Config struct {
	// Every is how often gauges are read. It must be well below the notifier's
	// Quiet, or what goes on seems to be over. Default 15 s.
	Every time.Duration
	// Timeout limits one call of a gauge. Default 10 s.
	Timeout time.Duration
	// Patience is how often in a row a gauge may fail before that is an alert.
	// Default 5.
	Patience int
	// Logger is told why a gauge failed. Default: nobody.
	Logger *slog.Logger
}

// NameGaugeFailed is the alert that a rule cannot be judged; its label rule is
// the name of the rule.
const NameGaugeFailed = "alert_rule_failed"

// Engine evaluates rules. While it runs it owns one goroutine a rule.
type Engine struct {
	target Target
	rules  []Rule
	cfg    Config

	mu      sync.Mutex
	running bool
}

// New returns an Engine that tells target.
func New(target Target, rules []Rule, cfg Config) (*Engine, error) {
	var errs []error
	problem := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if target == nil {
		problem("target", "is nil")
	}
	for field, d := range map[string]struct {
		value *time.Duration
		def   time.Duration
	}{"Config.Every": {&cfg.Every, 15 * time.Second}, "Config.Timeout": {&cfg.Timeout, 10 * time.Second}} {
		switch {
		case *d.value < 0:
			problem(field, "%s is negative; use a duration, or 0 for %s", *d.value, d.def)
		case *d.value == 0:
			*d.value = d.def
		}
	}
	if cfg.Patience < 0 {
		problem("Config.Patience", "%d is negative; use 1 or more, or 0 for 5", cfg.Patience)
	}
	if cfg.Patience == 0 {
		cfg.Patience = 5
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	seen := map[string]int{}
	for i, r := range rules {
		field := fmt.Sprintf("rules[%d]", i)
		r.check(field, problem)
		if first, ok := seen[r.alert("").Fingerprint()]; ok {
			problem(field, "has the name, handler, topic and labels of rules[%d]", first)
			continue
		}
		seen[r.alert("").Fingerprint()] = i
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("configure alert rules: %w", errors.Join(errs...))
	}
	return &Engine{target: target, rules: append([]Rule(nil), rules...), cfg: cfg}, nil
}

func (r Rule) check(field string, problem func(field, format string, args ...any)) {
	if r.Name == "" {
		problem(field+".Name", "is empty")
	}
	switch r.Severity {
	case "", alert.Info, alert.Warning, alert.Critical:
	default:
		problem(field+".Severity", "%q is unknown; use info, warning or critical", r.Severity)
	}
	if r.Gauge == nil {
		problem(field+".Gauge", "is nil")
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	if !finite(r.High) {
		problem(field+".High", "%v is no number to compare with", r.High)
	}
	if !finite(r.Low) {
		problem(field+".Low", "%v is no number to compare with", r.Low)
	}
	if r.Low > r.High {
		problem(field+".Low", "%v is above High, %v", r.Low, r.High)
	}
	if r.Growth > 0 && r.High <= 0 {
		problem(field+".High", "%v; with Growth use more than 0", r.High)
	}
	for name, d := range map[string]time.Duration{"For": r.For, "Clear": r.Clear, "Growth": r.Growth} {
		if d < 0 {
			problem(field+"."+name, "%s is negative", d)
		}
	}
}

func (r Rule) alert(reason string) alert.Alert {
	return alert.Alert{
		Name: r.Name, Severity: r.Severity, Labels: r.Labels, Handler: r.Handler, Topic: r.Topic,
		Summary: r.Summary, Link: r.Link, Reason: reason, Condition: true,
	}
}

// ErrRunning says that Run was called while it ran.
var ErrRunning = errors.New("alert rules are running already")

// Run evaluates all rules until ctx ends, and returns nil. What fires then is
// left to fire: another replica, or the next start, knows whether it goes on.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return ErrRunning
	}
	e.running = true
	e.mu.Unlock()
	var wg sync.WaitGroup
	for _, r := range e.rules {
		wg.Go(func() { e.watch(ctx, r) })
	}
	wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = false
	return nil
}

func (e *Engine) watch(ctx context.Context, r Rule) {
	ticker := time.NewTicker(e.cfg.Every)
	defer ticker.Stop()
	w := &watched{rule: r}
	for {
		e.evaluate(ctx, w)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *Engine) evaluate(ctx context.Context, w *watched) {
	value, err := e.read(ctx, w.rule)
	if ctx.Err() != nil {
		return
	}
	broken := alert.Alert{
		Name: NameGaugeFailed, Labels: map[string]string{"rule": w.rule.Name}, Handler: w.rule.Handler, Topic: w.rule.Topic,
		Summary: "An alert rule cannot be judged: what it measures cannot be read.", Condition: true,
	}
	if err != nil {
		w.failures++
		e.cfg.Logger.Warn("alert rule failed", "rule", w.rule.Name, "in_a_row", w.failures, "error", err)
		if w.failures >= e.cfg.Patience {
			broken.Reason = err.Error()
			e.target.Emit(broken)
		}
		if w.firing { // as far as anybody knows
			e.target.Emit(w.rule.alert(w.reason))
		}
		return
	}
	if w.failures >= e.cfg.Patience || !w.begun {
		e.target.Resolve(broken)
	}
	w.failures = 0
	switch w.judge(value, time.Now()) {
	case fire:
		e.target.Emit(w.rule.alert(w.reason))
	case resolve:
		e.target.Resolve(w.rule.alert(""))
	case wait:
	}
}

func (e *Engine) read(ctx context.Context, r Rule) (value float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gauge panicked: %v", p)
		}
	}()
	value, err = r.Gauge(ctx)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read gauge: %w", err)
	case math.IsNaN(value), r.Growth > 0 && math.IsInf(value, 0):
		return 0, errors.New("read gauge: the value is not a number")
	}
	return value, nil
}
