package circuit

import (
	"container/list"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

const (
	maxDependencies = 256
	maxReason       = 512
)

// group is one handler's circuits. The first of them is the handler's own.
type group struct {
	cfg   *Config
	scope string

	circuits  atomic.Pointer[[]*circuit] // replaced under the lock, never changed
	notClosed atomic.Int32

	mu      sync.Mutex
	waiting list.List   // of *waiter, in order of arrival
	timer   *time.Timer // runs while somebody waits
}

func newGroup(cfg *Config, scope string) *group {
	g := &group{cfg: cfg, scope: scope}
	g.circuits.Store(&[]*circuit{{cfg: cfg}})
	return g
}

// circuit returns that of a dependency, the handler's own for "" and where there
// are too many. It needs the lock.
func (g *group) circuit(name string) *circuit {
	known := *g.circuits.Load()
	for _, c := range known {
		if c.name == name {
			return c
		}
	}
	if len(known) > maxDependencies {
		return known[0]
	}
	c := &circuit{cfg: g.cfg, name: name}
	grown := append(slices.Clone(known), c)
	g.circuits.Store(&grown)
	return c
}

// settle counts the end of an attempt and returns the circuits that opened or
// closed, and those that stay open after a probe that failed.
func (g *group) settle(p *pass, uses []string, o outcome, err error, now time.Time) (changed, lasting []Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range uses {
		g.circuit(name).used.Store(true)
	}
	var blamed *circuit
	if o == failing {
		blamed = g.circuit(blame(uses, err))
		blamed.reason = text.Short(err.Error(), maxReason)
		if !blamed.open && blamed.fail(p.key, now) {
			g.notClosed.Add(1)
			changed = append(changed, g.status(blamed, now))
		}
	}
	if o == success {
		for _, c := range *g.circuits.Load() {
			if g.tells(c, p, uses) {
				c.successes.Add(1)
			}
		}
	}
	for _, t := range p.tickets {
		verdict := nothing
		switch {
		case t.circuit == blamed, o == success && g.tells(t.circuit, p, uses):
			verdict = o
		}
		switch closed := t.circuit.end(t, p.key, verdict, now); {
		case closed:
			g.notClosed.Add(-1)
			changed = append(changed, g.status(t.circuit, now))
		case verdict == failing && t.circuit.open:
			lasting = append(lasting, g.status(t.circuit, now))
		}
	}
	g.elect(now)
	return changed, lasting
}

// tells reports whether a success of p says something about c.
func (g *group) tells(c *circuit, p *pass, uses []string) bool {
	if c.used.Load() {
		return slices.Contains(uses, c.name)
	}
	return p.needsIt(c)
}

// blame names the dependency that failed.
func blame(uses []string, err error) string {
	var d *dependencyError
	if errors.As(err, &d) {
		return d.name
	}
	if len(uses) > 0 {
		return uses[len(uses)-1]
	}
	return ""
}
