package fault

import (
	"errors"
	"testing"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
)

func TestUploadsFailBySeedBeforeAndAfterTheyAreDone(t *testing.T) {
	const puts = 200
	run := func(seed uint64) (failures []bool, lost, refused, away int) {
		inner := memstore.New()
		s := NewStore(inner, NewPlan(seed, 1))
		for i := range puts {
			key := SKU(i)
			_, err := s.Put(t.Context(), key, objectsync.Blob{Body: []byte("x")})
			_, statErr := inner.Stat(t.Context(), key)
			there := statErr == nil
			switch {
			case errors.Is(err, errWritten) && there:
				lost++
			case errors.Is(err, errUpload) && !there:
				refused++
			case errors.Is(err, errStoreAway) && !there:
				away++
			case err != nil || !there:
				t.Errorf("put %d: %v, and it is there: %t", i, err, there)
			}
			failures = append(failures, err != nil)
		}
		if n, failed := s.Counts(); n != puts || failed != lost+refused+away {
			t.Errorf("counts are %d and %d, want %d and %d", n, failed, puts, lost+refused+away)
		}
		return failures, lost, refused, away
	}
	first, lost, refused, away := run(1)
	if lost == 0 || refused == 0 || away == 0 || !first[0] {
		t.Errorf("lost %d, refused %d, away %d, the first failed: %t", lost, refused, away, first[0])
	}
	again, _, _, _ := run(1)
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("put %d fails in one run of a seed only", i)
		}
	}
}

func TestEveryMannerOfACourierIsInARun(t *testing.T) {
	p := NewPlan(1, 200)
	seen := map[int]bool{}
	declined := 0
	c := p.Courier()
	for i := range 200 {
		seen[int(c.Manner(SKU(i)))] = true
		if c.Declines(SKU(i)) {
			declined++
		}
	}
	if len(seen) != len(manners)+1 || declined == 0 {
		t.Errorf("manners are %v, %d declined", seen, declined)
	}
	if m := p.Merchant(200); m.AwayAfter < 50 || m.AwayAfter > 100 || m.AwayFor <= 0 {
		t.Errorf("merchant is %+v", m)
	}
}
