package schedule

import (
	"cmp"
	"slices"
)

// candidate is a task that is due.
type candidate struct {
	id     int64
	target string
	at     int64
}

// fair puts the candidates in the order in which they should be claimed: targets
// take turns, those with the fewest tasks at work first, and within a target the
// longest due comes first.
func fair(all []candidate, running map[string]int) []candidate {
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
	})
	type ranked struct {
		candidate
		rank int
	}
	seen := make(map[string]int, len(running))
	list := make([]ranked, len(all))
	for i, c := range all {
		list[i] = ranked{c, running[c.target] + seen[c.target]}
		seen[c.target]++
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for i, r := range list {
		all[i] = r.candidate
	}
	return all
}

// room counts what may still be claimed of each target.
type room struct {
	perTarget int // 0: any number
	used      map[string]int
}

// pick takes up to n candidates for which there is room, in their order, and
// returns the others too.
func (r room) pick(all []candidate, n int) (picked, rest []candidate) {
	inChunk := map[string]int{}
	for _, c := range all {
		if len(picked) < n && (r.perTarget == 0 || r.used[c.target]+inChunk[c.target] < r.perTarget) {
			picked = append(picked, c)
			inChunk[c.target]++
		} else {
			rest = append(rest, c)
		}
	}
	return picked, rest
}
