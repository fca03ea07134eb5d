package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluicegate/sluicegate/bench/report"
)

// The marks between which the results stand in benchmarks.md.
const (
	docsBegin = "<!-- results: begin; written by make bench -->"
	docsEnd   = "<!-- results: end -->"
)

// publish replaces the results in the docs.
func publish(dir string, rows []report.Row, about []string) error {
	path := filepath.Join(dir, "benchmarks.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read docs: %w", err)
	}
	pictures, err := draw(filepath.Join(dir, "bench"), rows)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n```text\n%s\n```\n\n%s", strings.Join(about, "\n"), pictures)
	if err := report.Table(&b, rows); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	updated, err := replaceBetween(string(old), docsBegin, docsEnd, b.String())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(updated), 0o600); err != nil {
		return fmt.Errorf("write docs: %w", err)
	}
	return nil
}

// replaceBetween replaces what stands between two marks.
func replaceBetween(text, begin, end, content string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		return "", fmt.Errorf("the marks %q and %q are missing", begin, end)
	}
	return head + begin + "\n" + content + end + tail, nil
}
