package delivery

import "slices"

// Use notes that the running attempt turns to the dependency of that name.
func (d *Delivery) Use(name string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.uses, name); i >= 0 {
		d.uses = slices.Delete(d.uses, i, i+1)
	}
	d.uses = append(d.uses, name)
}

// TakeUses returns the dependencies that were named since the last call, each
// once, the one named last at the end.
func (d *Delivery) TakeUses() []string {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	uses := d.uses
	d.uses = nil
	return uses
}
