package kafka

// tracker knows which records of one claimed partition are handled, and up to
// where all are: no offset may be marked beyond the lowest unfinished one,
// or a crash would skip it. It is for one goroutine.
type tracker struct {
	open     []int64 // begun, in order
	finished map[int64]struct{}
}

// begin notes a record that is about to be delivered. Offsets grow.
func (t *tracker) begin(offset int64) { t.open = append(t.open, offset) }

// finish notes an acked record. It returns the offset to mark, the one after
// the last of those finished without a gap, and whether it has moved.
func (t *tracker) finish(offset int64) (next int64, moved bool) {
	if t.finished == nil {
		t.finished = map[int64]struct{}{}
	}
	t.finished[offset] = struct{}{}
	for len(t.open) > 0 {
		lowest := t.open[0]
		if _, done := t.finished[lowest]; !done {
			break
		}
		delete(t.finished, lowest)
		t.open = t.open[1:]
		next, moved = lowest+1, true
	}
	return next, moved
}
