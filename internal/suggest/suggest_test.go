package suggest

import (
	"strings"
	"testing"
)

func TestNearestFindsTheWordThatWasMeant(t *testing.T) {
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"postgre", []string{"mysql", "postgres", "sqlite"}, "postgres"},
		{"sslmod", []string{"sslmode", "sslcert"}, "sslmode"},
		{"ordres", []string{"orders", "seed"}, "orders"},
		{"KAFKA", []string{"kafka"}, "kafka"},
		{"rols", []string{"roles", "seed"}, "roles"},
		{"x", []string{"orders"}, ""},
		{"colour", []string{"orders", "seed"}, ""},
		{"", []string{"orders"}, ""},
		{"kafak", []string{"memory", "kafka"}, "kafka"},
		{"kafka2", []string{"memory", "kafka"}, "kafka"},
		{"Memory", []string{"memory", "kafka"}, "memory"},
		{"mem", []string{"memory", "kafka"}, ""},
		{"postgres", []string{"memory", "kafka"}, ""},
		{strings.Repeat("orders", 8), []string{strings.Repeat("orders", 8) + "s"}, ""}, // more likely a secret than a typing error
	} {
		if got := Nearest(c.word, c.known...); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}

func TestHintListsWhatIsKnownWhereNothingIsNear(t *testing.T) {
	if got, want := Hint("zzz", "b", "a"), "known: a, b"; got != want {
		t.Errorf("Hint = %q, want %q", got, want)
	}
	if got, want := Hint("ordrs", "orders"), `did you mean "orders"?`; got != want {
		t.Errorf("Hint = %q, want %q", got, want)
	}
}
