package idempotency

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// lanes gathers members into batches and gives each to work, on a goroutine of
// its own, for up to so many of them at a time.
//
// A batch starts at once where none is at work; else where it is full, or its
// first member has waited for Linger, and a lane is free. So a handler that has
// little to do waits for nothing, and one that has much fills its batches.
type lanes struct {
	cfg  BatchConfig
	work func([]*member)

	mu      sync.Mutex
	waiting []*member // in the order in which they came
	active  int
	timer   *time.Timer
	timed   *member // the timer is set for it
}

func newLanes(cfg BatchConfig, work func([]*member)) *lanes {
	l := &lanes{cfg: cfg, work: work}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	return l
}

func (l *lanes) join(m *member) {
	m.joined = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, m)
	l.start()
}

// leave takes m out, and reports whether it was still waiting.
func (l *lanes) leave(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, m)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return true
}

func (l *lanes) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timed = nil
	l.start()
}

// start starts every batch whose time has come; the caller holds the lock.
func (l *lanes) start() {
	for len(l.waiting) > 0 && l.active < l.cfg.Lanes {
		if head := l.waiting[0]; l.active > 0 && len(l.waiting) < l.cfg.MaxBatch {
			left := l.cfg.Linger - time.Since(head.joined)
			if left > 0 {
				if l.timed != head {
					l.timed = head
					l.timer.Reset(left)
				}
				return
			}
		}
		l.active++
		go l.lane(l.take(nil))
	}
	if l.timed != nil {
		l.timed = nil
		l.timer.Stop()
	}
}

// take moves members from the front of waiting to batch until that is full; the
// caller holds the lock.
func (l *lanes) take(batch []*member) []*member {
	n := min(len(l.waiting), l.cfg.MaxBatch-len(batch))
	batch = append(batch, l.waiting[:n]...)
	l.waiting = slices.Delete(l.waiting, 0, n)
	return batch
}

// lane takes one batch to its end and starts what has gathered meanwhile.
func (l *lanes) lane(batch []*member) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.active--
		l.start()
	}()
	if len(batch) < l.cfg.MaxBatch {
		runtime.Gosched() // lets those who are on their way join
		l.mu.Lock()
		batch = l.take(batch)
		l.mu.Unlock()
	}
	l.work(batch)
}
