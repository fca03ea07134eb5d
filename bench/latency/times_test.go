package latency

import (
	"testing"
	"time"
)

func TestAPercentileIsTheNearestRankInWhateverOrder(t *testing.T) {
	var times Times
	if times.Percentile(99) != 0 {
		t.Error("something of nothing")
	}
	for _, n := range []int{100, 1, 50, 99, 51} {
		times.Add(time.Duration(n) * time.Millisecond)
	}
	for p, want := range map[float64]float64{0: 1, 20: 1, 50: 51, 80: 99, 99: 100, 100: 100} {
		if got := times.Percentile(p); got != want {
			t.Errorf("p%v is %v ms, want %v", p, got, want)
		}
	}
	if times.Len() != 5 {
		t.Errorf("%d values", times.Len())
	}
}
