package httpidem

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// private are the response headers that are one client's, or one connection's.
var private = []string{
	"Set-Cookie", "Set-Cookie2", "Authorization", "Authentication-Info", "Proxy-Authorization", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Www-Authenticate", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade", "Content-Length", "Date", ReplayedHeader,
}

func (c Config) validate() error { return errors.Join(c.check("Config")...) }

func (c Config) check(in string) []error {
	p := &problems{in: in}
	p.name(c.Name)
	p.require("Scope", c.Scope != nil, "is nil: say which client asks, or use Anyone")
	p.header("Header", c.Header)
	for _, h := range c.FingerprintHeaders {
		p.header("FingerprintHeaders", h)
	}
	p.replay(c.ReplayHeaders)
	p.require("MaxBody", c.MaxBody > 0, "%d: must be positive", c.MaxBody)
	p.require("MaxResponse", c.MaxResponse > 0, "%d: must be positive", c.MaxResponse)
	p.terms(c.terms())
	p.require("RetryAfter", c.RetryAfter > 0, "%v: must be positive", c.RetryAfter)
	p.require("BusyWait", c.BusyWait >= 0, "%v: must not be negative", c.BusyWait)
	p.require("Takeover", c.Takeover <= TakeoverRefuse, "%d: use TakeoverRerun or TakeoverRefuse", c.Takeover)
	p.require("Outage", c.Outage <= FailOpen, "%d: use FailClosed or FailOpen", c.Outage)
	return p.errs
}

func (c Config) terms() terms {
	return terms{lease: c.Lease, heartbeat: c.Heartbeat, retention: c.Retention, wait: c.StoreWait}
}

// forTx refuses what a transaction has no use for.
func (c Config) forTx() error {
	p := &problems{in: "Config"}
	p.require("Lease", c.Lease == 0, "a transaction has no lease; leave it 0 for NewTx")
	p.require("Heartbeat", c.Heartbeat == 0, "a transaction has no lease; leave it 0 for NewTx")
	p.require("Takeover", c.Takeover == TakeoverRerun, "a transaction leaves nothing in doubt; leave it 0 for NewTx")
	p.require("Outage", c.Outage == FailClosed, "a handler cannot run without its transaction; use FailClosed for NewTx")
	return errors.Join(p.errs...)
}

// terms are the times of a claim.
type terms struct{ lease, heartbeat, retention, wait time.Duration }

// problems gathers what is wrong with a configuration.
type problems struct {
	in   string
	errs []error
}

func (p *problems) require(field string, ok bool, format string, args ...any) {
	if !ok {
		p.errs = append(p.errs, fmt.Errorf(p.in+"."+field+": "+format, args...))
	}
}

func (p *problems) name(name string) {
	if _, err := (idemstore.Key{Handler: name, ID: "-"}).Normalize(); err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s.Name: %w", p.in, err))
	}
}

func (p *problems) terms(t terms) {
	p.require("Lease", t.lease >= 10*time.Millisecond, "%v: use at least 10ms", t.lease)
	p.require("Heartbeat", t.heartbeat > 0 && t.heartbeat <= t.lease/2, "%v: use more than 0 and at most half of Lease (%v)", t.heartbeat, t.lease)
	p.require("Retention", t.retention >= time.Millisecond, "%v: use at least 1ms", t.retention)
	p.require("StoreWait", t.wait > 0, "%v: must be positive", t.wait)
}

func (p *problems) header(field, name string) {
	ok := name != ""
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	p.require(field, ok, "%q is no name of a header", name)
}

func (p *problems) replay(names []string) {
	for _, name := range names {
		p.header("ReplayHeaders", name)
		for _, bad := range private {
			p.require("ReplayHeaders", name != bad, "%s must not be stored: it is one client's, or one connection's", name)
		}
	}
}
