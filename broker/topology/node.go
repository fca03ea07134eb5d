package topology

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegate/sluicegate/internal/expand"
	"github.com/sluicegate/sluicegate/internal/suggest"
)

// each calls read for each entry of a mapping, whose keys are names.
func (r *reader) each(n *yaml.Node, path string, read func(n *yaml.Node, path, name string)) {
	if !r.isMapping(n, path) {
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+shortened(key.Value), ".")
		line, twice := first[key.Value]
		first[key.Value] = key.Line
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || value.Kind == yaml.AliasNode || value.Anchor != "":
			r.problem(key, at, "uses an anchor, an alias or a key that is no word: write it out")
		case twice:
			r.problem(key, at, "is given again, after line %d: keep one", line)
		default:
			r.config.lines[at] = key.Line
			read(value, at, key.Value)
		}
	}
}

// mapping is each with the keys that there are.
func (r *reader) mapping(n *yaml.Node, path string, keys map[string]func(n *yaml.Node, path string)) {
	r.each(n, path, func(value *yaml.Node, at, name string) {
		if read, known := keys[name]; known {
			read(value, at)
			return
		}
		// The value may be on a later line than the key that is wrong.
		line := &yaml.Node{Line: r.config.lines[at]}
		r.problem(line, at, "unknown key: %s", suggest.Hint(shortened(name), slices.Collect(maps.Keys(keys))...))
	})
}

func (r *reader) isMapping(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.MappingNode:
		return true
	case n.Tag == "!!null":
		r.problem(n, path, "has nothing under it: give something or remove the line")
	default:
		r.problem(n, path, "must be a mapping, with one key: value a line or in braces")
	}
	return false
}

// text returns a value with its variables replaced, and whether there is one.
func (r *reader) text(n *yaml.Node, path string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.problem(n, path, "must be one value")
		return "", false
	case n.Tag == "!!null":
		r.problem(n, path, "has no value: give one or remove the line")
		return "", false
	}
	text, err := expand.Variables(n.Value, r.lookup)
	if err == nil && strings.TrimSpace(text) == "" {
		r.problem(n, path, "is empty: give a value or remove the line")
		return "", false
	}
	if err != nil {
		r.problem(n, path, "%w", err)
		return "", false
	}
	return text, true
}

func (r *reader) duration(n *yaml.Node, path string) time.Duration {
	text, ok := r.text(n, path)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		r.problem(n, path, "must be a duration with its unit, such as 500ms or 10s")
		return 0
	}
	return d
}

// shortened keeps a hostile key short in messages.
func shortened(key string) string {
	if r := []rune(key); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return key
}
