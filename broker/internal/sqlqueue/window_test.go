package sqlqueue

import (
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
)

func TestTheFloorTrailsWhatWasRead(t *testing.T) {
	var w window
	now := time.Now()
	w.observe(now, 10)
	w.observe(now.Add(floorLag/samplesPerLag), 20)
	if f := w.advance(now.Add(floorLag - 1)); f != 0 {
		t.Errorf("the floor is at %d within the lag", f)
	}
	if f := w.advance(now.Add(floorLag)); f != 10 {
		t.Errorf("the floor is at %d, want 10", f)
	}
	w.reset(5)
	if f := w.advance(now.Add(10 * floorLag)); f != 4 {
		t.Errorf("after a reset to 5 the floor is at %d", f)
	}
}

func TestTheFloorStaysBelowAFailingKey(t *testing.T) {
	c := newClaim(lease.Held{})
	now := time.Now()
	c.window.observe(now, 100)
	c.failing[7] = 50
	if f := c.floor(now.Add(floorLag)); f != 49 {
		t.Errorf("the floor is at %d, want 49", f)
	}
}
