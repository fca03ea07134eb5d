package expand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const canary = "cAnArY-5ecret"

func TestVariablesAreReplacedAndEscapesKept(t *testing.T) {
	vars := map[string]string{"HOST": "h", "PASS": canary, "EMPTY": ""}
	lookup := func(k string) (string, bool) { v, ok := vars[k]; return v, ok }
	for text, want := range map[string]string{
		"plain":                    "plain",
		"kafka://${HOST}:9092":     "kafka://h:9092",
		"${NONE:memory://}":        "memory://",
		"${EMPTY:fallback}":        "fallback",
		"${NONE:}":                 "",
		"$${HOST} and ${HOST}":     "${HOST} and h",
		"u:${PASS}@${HOST}:${X:1}": "u:" + canary + "@h:1",
		"$HOST $ {HOST}":           "$HOST $ {HOST}",
	} {
		if got, err := Variables(text, lookup); err != nil || got != want {
			t.Errorf("%q became %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestWhatAVariableHoldsIsNotExpandedAgain(t *testing.T) {
	got, err := Variables("${A}", func(string) (string, bool) { return "${A}", true })
	if err != nil || got != "${A}" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEveryVariableThatIsMissingIsTold(t *testing.T) {
	_, err := Variables("${A}"+canary+"${} ${B-C} ${EMPTY}", func(k string) (string, bool) { return "", k == "EMPTY" })
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"variable A,", "without the name", "variable EMPTY,"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestASecretsFileHoldsOneValue(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if got, err := File(write("good", " "+canary+"\r\n")); err != nil || got != canary {
		t.Errorf("got %q, %v", got, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):         "cannot be read",
		dir:                                "is a folder",
		write("empty", "\n"):               "is empty",
		write("lines", canary+"\n"+canary): "several lines",
		write("large", strings.Repeat(canary, 10_000)): "larger than 64 KiB",
	} {
		if _, err := File(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
