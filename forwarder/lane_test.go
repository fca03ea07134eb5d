package forwarder

import (
	"testing"
	"time"
)

func TestALateAnswerThatCouldNotBeSettledDoesNotHoldItsKeyForEver(t *testing.T) {
	m := &record{id: 7, key: "k", shard: 3}
	l := &lane{
		windows: map[int]*window{3: {floor: 6}},
		holds:   holds{m.block(): {shard: 3, first: 7, inFlight: true}},
	}
	l.unsettled(&settlement{delivered: []*record{m}}) // the call has returned, and will not again
	if keys, _ := l.holds.excluded(3, time.Now()); len(keys) != 0 {
		t.Errorf("keys %q are left out of reads, and nobody will end that", keys)
	}
	if floor := l.windows[3].below(l.holds.lowest(3)); floor >= 7 {
		t.Errorf("the floor %d is above the row", floor)
	}
}
