package schedule

import (
	"context"
	"sync"
)

type asideKey struct{}

// aside is what a handler's context carries of its worker.
type aside struct {
	w    *Worker
	once sync.Once
	back func() // nil: the task has its place
}

// Aside gives up the place that the task of a handler's context takes of its
// worker's Concurrency, for as long as the handler waits for others: while it does
// nothing with our database, it keeps no other task from running. The function that it
// returns is called before the handler goes on; it waits for a place, before
// tasks that are yet to be claimed. The task still counts for PerTarget. Nothing
// changes where WorkerConfig.Aside tasks have stepped aside already, and for a context
// that is not a handler's. A handler may step aside once.
func Aside(ctx context.Context) (back func()) {
	a, ok := ctx.Value(asideKey{}).(*aside)
	if !ok {
		return func() {}
	}
	a.once.Do(func() {
		if a.w.leave() {
			a.back = sync.OnceFunc(a.w.comeBack)
		}
	})
	if a.back == nil {
		return func() {}
	}
	return a.back
}

// ended takes the place back where the handler has not, as one that panicked.
func (a *aside) ended() {
	a.once.Do(func() {})
	if a.back != nil {
		a.back()
	}
}

func (w *Worker) leave() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.aside >= w.cfg.Aside {
		return false
	}
	w.aside++
	w.total--
	w.room.Signal()
	signal(w.done)
	return true
}

func (w *Worker) comeBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returning++
	for w.total >= w.cfg.Concurrency {
		w.room.Wait()
	}
	w.returning--
	w.aside--
	w.total++
}
