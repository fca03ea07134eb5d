// Package suggest finds what somebody who mistyped a word may have meant.
package suggest

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest returns the known word that is closest to word, or "" where none is
// near: at most a third of the letters may differ, and one always may. A word of
// more than 40 bytes is near to nothing.
func Nearest(word string, known ...string) string {
	if len(word) > 40 {
		return ""
	}
	w := strings.ToLower(word)
	best, bestDistance := "", max(1, len(w)/3)+1
	for _, k := range known {
		if d := distance(w, strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// Hint returns the end of an error message about an unknown word: the nearest
// known one where there is one, and all known ones otherwise.
func Hint(word string, known ...string) string {
	if n := Nearest(word, known...); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(known) == 0 {
		return "nothing is known here"
	}
	return "known: " + List(known...)
}

// List returns the words in alphabetical order, each once, for a message.
func List(words ...string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(words))), ", ")
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range y {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
