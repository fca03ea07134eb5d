package dispatch

import "slices"

// Close waits until nothing is under way and gives what was never acked to
// Handlers.Returned, each key in its order. The context must have ended, and
// Add must not be called at the same time or later.
func (d *Dispatcher[T]) Close() {
	d.mu.Lock()
	d.closed = true // no worker is started any more
	d.mu.Unlock()
	d.workers.Wait()

	d.mu.Lock()
	lanes := slices.Concat(d.left, d.ready.all())
	for l, timer := range d.resting {
		timer.Stop()
		lanes = append(lanes, l)
	}
	clear(d.resting)
	d.left, d.ready, d.lanes = nil, queue[*lane[T]]{}, newLanes[T]()
	d.mu.Unlock()
	if d.handlers.Returned == nil {
		return
	}
	for _, l := range lanes {
		for _, item := range l.items.all() {
			d.handlers.Returned(item)
		}
	}
}
