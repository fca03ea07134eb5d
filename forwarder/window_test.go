package forwarder

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTheFloorTrailsWhatWasReadByTheLag(t *testing.T) {
	w := &window{}
	start := time.Now()
	const lag = time.Minute
	w.observe(start, 100, snapshot{}, lag)
	w.observe(start.Add(20*time.Second), 200, snapshot{}, lag)
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{59 * time.Second, 0}, {60 * time.Second, 100}, {79 * time.Second, 100}, {80 * time.Second, 200}} {
		if w.advance(start.Add(c.after), lag); w.floor != c.want {
			t.Errorf("after %v the floor is %d, want %d", c.after, w.floor, c.want)
		}
	}
}

func TestTheFloorStaysBelowWhatIsNotSettled(t *testing.T) {
	w := &window{}
	start := time.Now()
	w.observe(start, 100, snapshot{}, time.Second)
	w.advance(start.Add(time.Hour), time.Second)
	if got := w.below(42); got != 41 {
		t.Errorf("the floor is %d, want 41", got)
	}
}

func TestAResetReadsAgainFromTheRowOn(t *testing.T) {
	w := &window{floor: 90}
	start := time.Now()
	w.observe(start, 100, snapshot{}, time.Second)
	w.reset(50)
	if w.advance(start.Add(time.Hour), time.Second); w.floor != 49 {
		t.Errorf("the floor is %d, want 49", w.floor)
	}
}

func parsed(t *testing.T, text string) snapshot {
	t.Helper()
	s, err := parseSnapshot(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAFloorIsVoidOnceATransactionThatWasOpenBelowItHasEnded(t *testing.T) {
	start := time.Now()
	at := start.Add
	const lag = time.Second
	w := &window{}
	w.observe(at(0), 100, parsed(t, "7:20:7,12"), lag)
	w.observe(at(600*time.Millisecond), 200, parsed(t, "7:30:7,25"), lag)
	if w.adopt(at(900*time.Millisecond), parsed(t, "7:40:7,35"), 300, lag); w.floor != 0 {
		t.Fatalf("the floor moved to %d before the lag was over", w.floor)
	}
	// 12 has ended by now, and this read has found what it wrote. 7 has not, nor
	// has 18, which took its id before the first sample and began to write after it.
	// 35 began too late to have one below the floor.
	if w.adopt(at(1100*time.Millisecond), parsed(t, "7:40:7,18,35"), 300, lag); w.floor != 100 {
		t.Fatalf("the floor is %d, want 100", w.floor)
	}
	for text, void := range map[string]bool{
		"7:50:7,18":     false,
		"7:50:7,18,45":  false,
		"7:50:7":        true, // 18 has ended
		"18:50:18":      true,
		"50:50:":        true,
		"7:50:7,18,35":  false,
		"7:51:7,18,50":  false,
		"18:50:18,7777": true,
	} {
		if got := w.void(parsed(t, text)); got != void {
			t.Errorf("with snapshot %s the floor is void: %t, want %t", text, got, void)
		}
	}
}

// A transaction that had not begun when a floor was set has nothing below it.
func TestAVoidFloorGoesBackToOneFromBeforeTheTransaction(t *testing.T) {
	start := time.Now()
	const lag = time.Second
	w := &window{}
	adopt := func(second int, id int64, text string) {
		t.Helper()
		at := start.Add(time.Duration(second) * 2 * lag)
		w.observe(at, id, parsed(t, text), lag)
		w.adopt(at.Add(lag), parsed(t, text), id, lag)
		if w.floor != id {
			t.Fatalf("the floor is %d, want %d", w.floor, id)
		}
	}
	adopt(1, 100, "7:20:7")    // 7 is open
	adopt(2, 200, "7:30:7,25") // 25 has begun since
	adopt(3, 300, "7:40:7,25,35")

	later := parsed(t, "7:50:7,25") // 35 has ended
	if !w.void(later) {
		t.Fatal("the floor is not void though a transaction from before it has ended")
	}
	if w.restart(later); w.floor != 200 || !slices.Equal(w.latecomers, []uint64{7, 25}) {
		t.Errorf("the floor is %d with latecomers %d, want 200 with 7 and 25", w.floor, w.latecomers)
	}
	later = parsed(t, "25:60:25,55") // 7 has ended, which was there before all of them
	if !w.void(later) {
		t.Fatal("the floor is not void though a transaction from before it has ended")
	}
	if w.restart(later); w.floor != 0 || len(w.latecomers) != 0 {
		t.Errorf("the floor is %d with latecomers %d, want 0 with none", w.floor, w.latecomers)
	}
}

func TestOldFloorsAreKeptFurtherApart(t *testing.T) {
	w := &window{}
	for n := range 1000 {
		w.note(mark{int64(n), uint64(n)})
	}
	if n := len(w.marks); n > mostMarks || w.marks[0].floor > 900 {
		t.Errorf("%d marks, the oldest %d", n, w.marks[0].floor)
	}
	if !slices.IsSortedFunc(w.marks, func(a, b mark) int { return cmp.Compare(a.floor, b.floor) }) {
		t.Errorf("out of order: %v", w.marks)
	}
}

func TestAFloorIsNotTakenWhereTheReadDidNotReach(t *testing.T) {
	start := time.Now()
	w := &window{}
	w.observe(start, 100, snapshot{next: 5}, time.Second)
	if w.adopt(start.Add(time.Hour), snapshot{next: 9}, 99, time.Second); w.floor != 0 {
		t.Errorf("the floor is %d though the read ended before it", w.floor)
	}
}

func TestASnapshotThatIsNoneIsAnError(t *testing.T) {
	for _, text := range []string{"", "1:2", "1:x:", "1:2:3,x", "a:b:c", "1:2:3:4"} {
		if _, err := parseSnapshot(text); err == nil {
			t.Errorf("%q was read", text)
		}
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

func TestIdsWithoutGapsAreARangeAndOthersAList(t *testing.T) {
	for _, c := range []struct {
		ids  []int64
		want string
	}{
		{[]int64{7}, "(id BETWEEN 7 AND 7)"},
		{[]int64{1, 2, 3, 4, 5, 8, 9}, "(id BETWEEN 1 AND 5 OR id BETWEEN 8 AND 9)"},
		{[]int64{1, 3, 5, 7}, ""},
	} {
		if got, ok := runs(c.ids); got != c.want || ok != (c.want != "") {
			t.Errorf("%v: %q, want %q", c.ids, got, c.want)
		}
	}
}
