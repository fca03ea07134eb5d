package settings

import (
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/sluicegate/sluicegate/broker/topology"
)

// values are texts, with the place that each came from.
type values struct {
	texts *koanf.Koanf
	from  map[string]string

	brokers topology.Config // of the file
}

func (v values) set(key, text, from string) error {
	v.from[key] = from
	return v.texts.Load(confmap.Provider(map[string]any{key: text}, "."), nil)
}

func (v values) text(key string) string { return v.texts.String(key) }

// given reports whether key is more than a default.
func (v values) given(key string) bool { return v.from[key] != "default" }

// gather lays the sources over each other, the weakest first.
func gather(in Input) (values, Problems) {
	v := values{texts: koanf.New("."), from: map[string]string{}}
	var problems Problems
	set := func(key, text, from string) {
		if err := v.set(key, text, from); err != nil {
			note(&problems, from, err)
		}
	}
	for _, f := range fields {
		text := f.fallback
		if in.Command == Serve && f.serve != "" {
			text = f.serve
		}
		set(f.key, text, "default")
	}
	if in.File != "" {
		f, bad := readFile(in.File, in.Env)
		problems = append(problems, bad...)
		v.brokers = f.brokers
		for _, e := range f.entries {
			set(e.key, e.text, in.File+": "+e.written)
		}
	}
	for _, f := range fields {
		// A variable that is set to nothing is one that is not set: compose
		// files and shells leave them so.
		if text, ok := in.Env(f.env); ok && f.env != "" && text != "" {
			set(f.key, text, f.env)
		}
	}
	for name, text := range in.Flags {
		key := strings.ReplaceAll(name, "-", "_")
		if _, ok := fieldOf(key); ok {
			set(key, text, "--"+name)
		}
	}
	return v, problems
}
