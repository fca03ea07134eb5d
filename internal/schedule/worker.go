package schedule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/janitor"
)

// Worker claims the due tasks of a queue and works them off. Any number of
// workers, in any number of processes, may serve a queue.
type Worker struct {
	s       *Schedule
	queue   string
	handler Handler
	cfg     WorkerConfig
	log     *slog.Logger

	wake chan struct{} // holds one: look now
	done chan struct{} // holds one: a task has ended

	mu      sync.Mutex
	started bool
	running map[string]int // tasks by target, those aside too
	total   int            // tasks that take a place
	aside   int            // tasks that have given up theirs
	// returning of those want it back, when there is room.
	returning int
	room      *sync.Cond
}

// NewWorker returns a worker of a queue; Run starts it.
func NewWorker(s *Schedule, queue string, h Handler, cfg WorkerConfig) (*Worker, error) {
	cfg = cfg.withDefaults()
	errs := append(names("NewWorker", queue, ""), cfg.validate())
	if s == nil {
		errs = append(errs, errors.New("s: a schedule is needed, got nil"))
	}
	if h == nil {
		errs = append(errs, errors.New("h: a handler is needed, got nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	w := &Worker{
		s: s, queue: queue, handler: h, cfg: cfg, log: cfg.Logger.With("queue", queue),
		wake: make(chan struct{}, 1), done: make(chan struct{}, 1), running: map[string]int{},
	}
	w.room = sync.NewCond(&w.mu)
	return w, nil
}

// Wake makes the worker look for due tasks now: after a commit that added one in
// this process. It never blocks.
func (w *Worker) Wake() { signal(w.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It then claims nothing more, ends the handlers'
// contexts, waits for the handlers, and settles what they return; tasks that are to
// run again are given back with no attempt spent. It returns nil then, and an
// error only where the worker runs already: a database that is away is waited for.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.started {
		w.mu.Unlock()
		return errors.New("worker runs already")
	}
	w.started = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.started = false
		w.mu.Unlock()
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.pruneLoop(ctx) })
	l := looking{pause: backoff.Policy{Initial: w.cfg.PollMin, Max: w.cfg.PollMax, Multiplier: 2}}
	for ctx.Err() == nil {
		asked := time.Now()
		a := w.claim(ctx)
		for _, t := range a.tasks {
			wg.Go(func() { w.work(ctx, t, asked) })
		}
		w.sleep(ctx, l.next(ctx, w, a, asked))
	}
	return nil
}

// answer is what a claim came to.
type answer struct {
	tasks []Task
	full  bool // all places are taken
	more  bool // the end of a task makes room for one that may be due already
	err   error
}

// claim takes as many tasks as there is room for.
func (w *Worker) claim(ctx context.Context) answer {
	r := ClaimRequest{Queue: w.queue, PerTarget: w.cfg.PerTarget, Lease: w.cfg.Lease}
	if w.cfg.Targets != nil {
		if r.Targets = w.cfg.Targets(); len(r.Targets) == 0 {
			return answer{}
		}
	}
	w.mu.Lock()
	r.Limit, r.Running = w.cfg.Concurrency-w.total-w.returning, maps.Clone(w.running)
	w.mu.Unlock()
	if r.Limit <= 0 {
		return answer{full: true, more: true}
	}
	// A claim that was cut off could have left tasks claimed that nobody works on,
	// except after the time of a lease: they are anybody's by then.
	ctx, cancel := linger(ctx, stopGrace)
	defer cancel()
	ctx, end := context.WithTimeout(ctx, w.cfg.Lease)
	defer end()
	tasks, err := w.s.Claim(ctx, r)
	if err != nil {
		return answer{err: err}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range tasks {
		w.running[t.Target]++
		w.total++
	}
	a := answer{tasks: tasks, full: w.total >= w.cfg.Concurrency, more: len(tasks) == r.Limit}
	for _, running := range []map[string]int{r.Running, w.running} {
		for _, n := range running {
			a.more = a.more || n >= w.cfg.PerTarget // more of that target may be due
		}
	}
	return a
}

// ended makes room.
func (w *Worker) ended(t Task) {
	w.mu.Lock()
	w.total--
	w.room.Signal()
	if w.running[t.Target]--; w.running[t.Target] == 0 {
		delete(w.running, t.Target)
	}
	w.mu.Unlock()
	signal(w.done)
}

// looking decides when to look again.
type looking struct {
	pause  backoff.Policy
	failed int
}

// rest is until when the worker sleeps: for so long, or until it is woken, or
// until a task ends where that makes room.
type rest struct {
	wait time.Duration
	room bool
}

func (l *looking) next(ctx context.Context, w *Worker, a answer, asked time.Time) rest {
	switch {
	case ctx.Err() != nil:
		return rest{}
	case a.err != nil:
		l.failed++
		if l.failed == 1 {
			w.log.Warn("worker could not claim tasks", "error", a.err)
		}
		return rest{wait: backoff.Half(l.pause.Delay(l.failed))}
	case l.failed > 0:
		w.log.Info("worker claims tasks again")
		l.failed = 0
	}
	if a.full {
		return rest{wait: w.cfg.PollMax, room: true}
	}
	if len(a.tasks) > 0 {
		return rest{} // there may be others, beyond what was looked at
	}
	var targets []string
	if w.cfg.Targets != nil {
		if targets = w.cfg.Targets(); len(targets) == 0 {
			return rest{wait: w.cfg.PollMax}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease)
	defer cancel()
	left, found, err := w.s.until(ctx, w.queue, targets, time.Since(asked))
	if err != nil || !found {
		left = w.cfg.PollMax
	}
	return rest{wait: min(max(left, w.cfg.PollMin), w.cfg.PollMax), room: a.more}
}

func (w *Worker) sleep(ctx context.Context, r rest) {
	if r.wait <= 0 {
		return
	}
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
	done := w.done
	if !r.room {
		done = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.wake:
	case <-done:
	}
}

// jitter lengthens d.
func (w *Worker) jitter(d time.Duration) time.Duration {
	if w.cfg.Jitter == NoJitter || d <= 0 {
		return d
	}
	return min(d+time.Duration(w.cfg.Jitter*rand.Float64()*float64(d)), maxDelay)
}

// pruneEvery is how often finished tasks whose retention is over are removed.
const pruneEvery = time.Minute

func (w *Worker) pruneLoop(ctx context.Context) {
	for backoff.Wait(ctx, backoff.Half(2*pruneEvery)) == nil {
		for _, r := range []PruneRequest{
			{Queue: w.queue, Statuses: []Status{Done, Cancelled, Expired}, OlderThan: w.cfg.Retain},
			{Queue: w.queue, Statuses: []Status{Dead}, OlderThan: w.cfg.RetainDead},
		} {
			if r.OlderThan < 0 {
				continue
			}
			_, err := janitor.Drain(ctx, pruneBatch, func(ctx context.Context, limit int) (int64, error) {
				r.Batch = limit
				return w.s.Prune(ctx, r)
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrContended) {
				w.log.Warn("worker could not remove old tasks", "error", err)
			}
		}
	}
}
