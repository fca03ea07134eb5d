package kafka

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

func begin(t *testing.T, tr *tracker, offsets ...int64) (numbers []uint64) {
	t.Helper()
	for _, o := range offsets {
		n, ok := tr.begin(t.Context(), o, 1)
		if !ok {
			t.Fatalf("offset %d was refused", o)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

var wide = limits{records: 1000, bytes: 1000, window: 1000}

func TestOffsetsMoveOnlyOverWhatIsFinished(t *testing.T) {
	var marked []int64
	tr := newTracker(wide, func(next int64) { marked = append(marked, next) })
	n := begin(t, tr, 5, 6, 9, 10) // compaction leaves gaps
	for _, step := range []struct {
		number uint64
		marks  int
		last   int64
	}{{n[1], 0, 0}, {n[3], 0, 0}, {n[0], 1, 7}, {n[2], 2, 11}} {
		tr.finish(step.number)
		if len(marked) != step.marks || step.marks > 0 && marked[step.marks-1] != step.last {
			t.Fatalf("marked %v after number %d, want %d marks up to %d", marked, step.number, step.marks, step.last)
		}
	}
	if tr.held != 0 || tr.bytes != 0 {
		t.Errorf("%d records of %d bytes are still held", tr.held, tr.bytes)
	}
}

func TestManyFinishAtOnceAndNoMarkIsEverBeyondAnUnfinishedOne(t *testing.T) {
	const n = 5000
	finished := make([]bool, n)
	var mu sync.Mutex
	var last int64
	tr := newTracker(limits{records: 500, bytes: 1 << 20, window: n}, func(next int64) {
		mu.Lock()
		defer mu.Unlock()
		if next <= last {
			t.Errorf("marked %d after %d", next, last)
		}
		for o := last; o < next; o++ {
			if !finished[o] {
				t.Errorf("marked %d before %d was finished", next, o)
			}
		}
		last = next
	})
	begun := make(chan uint64, 500)
	go func() {
		defer close(begun)
		for o := range int64(n) {
			number, _ := tr.begin(t.Context(), o, 1)
			begun <- number
		}
	}()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var mine []uint64
			for number := range begun {
				mine = append(mine, number)
				if len(mine) < 20 {
					continue
				}
				mine = finishAll(tr, &mu, finished, mine)
			}
			finishAll(tr, &mu, finished, mine)
		})
	}
	wg.Wait()
	if last != n {
		t.Errorf("marked up to %d", last)
	}
}

// finishAll finishes in any order. A number is an offset here.
func finishAll(tr *tracker, mu *sync.Mutex, finished []bool, numbers []uint64) []uint64 {
	rand.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	for _, number := range numbers {
		mu.Lock()
		finished[number] = true
		mu.Unlock()
		tr.finish(number)
	}
	return numbers[:0]
}

func TestAClaimThatHoldsAsMuchAsItMayWaits(t *testing.T) {
	for what, c := range map[string]struct {
		limits limits
		begun  []int64 // fit
		next   int64   // does not
		free   int     // which of those to finish first: it does not help
		then   int     // this one does
	}{
		"records": {limits{records: 2, bytes: 100, window: 100}, []int64{0, 1}, 2, -1, 1},
		"bytes":   {limits{records: 100, bytes: 2, window: 100}, []int64{0, 1}, 2, -1, 1},
		"window":  {limits{records: 100, bytes: 100, window: 10}, []int64{0, 5, 9}, 10, 1, 0},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracker(c.limits, func(int64) {})
				numbers := begin(t, tr, c.begun...)
				done := make(chan bool, 1)
				go func() {
					_, ok := tr.begin(t.Context(), c.next, 1)
					done <- ok
				}()
				synctest.Wait()
				if c.free >= 0 {
					tr.finish(numbers[c.free])
					synctest.Wait()
				}
				if len(done) > 0 {
					t.Fatal("it was taken")
				}
				tr.finish(numbers[c.then])
				if !<-done {
					t.Error("it was refused")
				}
			})
		})
	}
}

func TestARecordLargerThanAllBytesIsTakenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracker(limits{records: 10, bytes: 10, window: 10}, func(int64) {})
		if _, ok := tr.begin(t.Context(), 0, 1000); !ok {
			t.Fatal("refused")
		}
		ctx, cancel := context.WithCancel(t.Context())
		refused := make(chan bool, 1)
		go func() {
			_, ok := tr.begin(ctx, 1, 1)
			refused <- !ok
		}()
		synctest.Wait()
		cancel()
		if !<-refused {
			t.Error("a second one was taken beside it")
		}
	})
}
