package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const guide = "../../docs/guides/handler-kit.md"

// Every piece of Go in the guide is a piece of the example, word for word.
func TestTheGuideShowsTheCodeThatRuns(t *testing.T) {
	page, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("label/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var code strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("the guide has %d pieces of Go", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(code.String(), block) {
			t.Errorf("the guide shows what is not in label/:\n%s", block)
		}
	}
}
