package dispatch

// lane holds the items of a key. While it is queued it has items, and is ready,
// or its first one is under way, or that one rests after a nack.
type lane[T any] struct {
	key    string
	items  queue[T]
	nacks  int // of the first item
	queued bool
}

// idleLanes is how many lanes without items are kept for when their key comes
// again, so that a key in use costs no allocation.
const idleLanes = 2048

// lanes finds the lane of a key.
type lanes[T any] struct {
	byKey map[string]*lane[T]
	idle  int        // of byKey, without items
	free  []*lane[T] // of no key
}

func newLanes[T any]() lanes[T] { return lanes[T]{byKey: map[string]*lane[T]{}} }

// of returns the lane of a key, to which an item is then added. An item
// without a key has a lane of its own.
func (s *lanes[T]) of(key string) *lane[T] {
	if key == "" {
		return s.blank()
	}
	l := s.byKey[key]
	if l == nil {
		if s.idle >= idleLanes {
			s.evict()
		}
		l = s.blank()
		l.key = key
		s.byKey[key] = l
	} else if !l.queued {
		s.idle--
	}
	return l
}

func (s *lanes[T]) blank() *lane[T] {
	n := len(s.free)
	if n == 0 {
		return &lane[T]{}
	}
	l := s.free[n-1]
	s.free = s.free[:n-1]
	return l
}

// release keeps a lane without items.
func (s *lanes[T]) release(l *lane[T]) {
	if l.key != "" {
		s.idle++
	} else if len(s.free) < idleLanes {
		s.free = append(s.free, l)
	}
}

// evict frees all idle lanes: one sweep for as many new keys.
func (s *lanes[T]) evict() {
	for key, l := range s.byKey {
		if l.queued {
			continue
		}
		delete(s.byKey, key)
		if len(s.free) < idleLanes {
			l.key = ""
			s.free = append(s.free, l)
		}
	}
	s.idle = 0
}

// queue is first in, first out. Its zero value is empty.
type queue[E any] struct {
	elements []E
	head     int
}

func (q *queue[E]) len() int { return len(q.elements) - q.head }

func (q *queue[E]) push(e E) { q.elements = append(q.elements, e) }

func (q *queue[E]) first() E { return q.elements[q.head] }

// all returns the elements, until the queue is next changed.
func (q *queue[E]) all() []E { return q.elements[q.head:] }

// pop removes the first element. What it frees is used again once it is more
// than half of what is allocated, so that a queue that never empties does not
// grow.
func (q *queue[E]) pop() E {
	var none E
	e := q.elements[q.head]
	q.elements[q.head] = none
	q.head++
	switch {
	case q.head == len(q.elements):
		q.elements, q.head = q.elements[:0], 0
	case q.head >= 64 && q.head*2 >= len(q.elements):
		n := copy(q.elements, q.elements[q.head:])
		clear(q.elements[n:])
		q.elements, q.head = q.elements[:n], 0
	}
	return e
}
