package forwarder

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTheFloorTrailsWhatWasReadByTheLag(t *testing.T) {
	w := &window{}
	start := time.Now()
	const lag = time.Minute
	w.observe(start, 100, lag)
	w.observe(start.Add(20*time.Second), 200, lag)
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{59 * time.Second, 0}, {60 * time.Second, 100}, {79 * time.Second, 100}, {80 * time.Second, 200}} {
		if got := w.advance(start.Add(c.after), lag, 0); got != c.want {
			t.Errorf("after %v the floor is %d, want %d", c.after, got, c.want)
		}
	}
}

func TestTheFloorStaysBelowWhatIsNotSettled(t *testing.T) {
	w := &window{}
	start := time.Now()
	w.observe(start, 100, time.Second)
	if got := w.advance(start.Add(time.Hour), time.Second, 42); got != 41 {
		t.Errorf("the floor is %d, want 41", got)
	}
}

func TestAResetReadsAgainFromTheRowOn(t *testing.T) {
	w := &window{floor: 90}
	start := time.Now()
	w.observe(start, 100, time.Second)
	w.reset(50)
	if got := w.advance(start.Add(time.Hour), time.Second, 0); got != 49 {
		t.Errorf("the floor is %d, want 49", got)
	}
}

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	b := backoff{low: 100 * time.Millisecond, high: time.Second}
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		want *= time.Millisecond
		if got := b.next(); got < want/2 || got > want {
			t.Errorf("wait %d is %v, want %v to %v", i, got, want/2, want)
		}
	}
}

func TestErrorTextsAreShortAndValid(t *testing.T) {
	for _, s := range []string{"", "a\x00b", "\xff", strings.Repeat("é", 5000), strings.Repeat("x", maxErrorBytes-1) + "é"} {
		got := errorText(errors.New(s))
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) || len(got) > maxErrorBytes+len("…") {
			t.Errorf("%d bytes, valid: %v", len(got), utf8.ValidString(got))
		}
	}
}

func TestAKeyAlwaysHasTheSameShard(t *testing.T) {
	seen := map[int]int{}
	for i := range 10000 {
		key := newUUID()
		s := shardOf(key, "a")
		if s != shardOf(key, "b") || s < 0 || s >= shards {
			t.Fatalf("key %d: shards %d and %d", i, s, shardOf(key, "b"))
		}
		seen[s]++
	}
	for s := range shards {
		if seen[s] < 150 || seen[s] > 500 {
			t.Errorf("shard %d has %d of 10000 keys", s, seen[s])
		}
	}
	// The shard is stored in the table: the function must never change.
	if got := shardOf("order-1", ""); got != 13 {
		t.Errorf("shard of a known key: %d, want 13", got)
	}
}
