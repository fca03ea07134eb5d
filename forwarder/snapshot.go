package forwarder

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// snapshot says which transactions a PostgreSQL statement could not see: those
// in open, and all from next on. The zero value sees everything.
// See https://www.postgresql.org/docs/current/functions-info.html, pg_snapshot.
type snapshot struct {
	next uint64
	open []uint64 // in order
}

var errSnapshot = errors.New("read outbox: the database's snapshot cannot be read")

// parseSnapshot reads xmin:xmax:xip_list.
func parseSnapshot(text string) (snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, errSnapshot
	}
	next, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return snapshot{}, errSnapshot
	}
	s := snapshot{next: next}
	if parts[2] == "" {
		return s, nil
	}
	for item := range strings.SplitSeq(parts[2], ",") {
		xid, err := strconv.ParseUint(item, 10, 64)
		if err != nil {
			return snapshot{}, errSnapshot
		}
		s.open = append(s.open, xid)
	}
	slices.Sort(s.open)
	return s, nil
}

// ended reports whether the transaction had ended.
func (s snapshot) ended(xid uint64) bool {
	_, open := slices.BinarySearch(s.open, xid)
	return xid < s.next && !open
}

// before returns those of open that are lower than xid.
func (s snapshot) before(xid uint64) []uint64 {
	n, _ := slices.BinarySearch(s.open, xid)
	return slices.Clone(s.open[:n])
}
