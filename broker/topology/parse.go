package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluicegate/sluicegate/internal/expand"
)

// Parse reads a configuration from YAML: variables by lookup, as os.LookupEnv
// looks them up (nil knows none), and the files that url_file and
// password_file name. It checks all of it, as Config.Validate does, and reports
// all problems together, each with its line. It connects to nothing.
func Parse(data []byte, lookup func(string) (string, bool)) (Config, error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	r := &reader{
		lookup: lookup,
		config: Config{Brokers: map[string]Broker{}, Topics: map[string]Topic{}, lines: map[string]int{}, broken: map[string]bool{}},
	}
	root, err := document(data)
	if err != nil {
		return Config{}, fmt.Errorf("broker configuration: %w", err)
	}
	r.root(root)
	r.problems = append(r.problems, r.config.problems()...)
	if len(r.problems) > 0 {
		return Config{}, fmt.Errorf("broker configuration: %w", errors.Join(r.problems...))
	}
	return r.config, nil
}

// document parses data into the one mapping that it must be.
func document(data []byte) (*yaml.Node, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("is not in UTF-8: save it so")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		return nil, errors.New("is empty: name a broker with its url under brokers")
	case err != nil:
		return nil, syntaxError(err)
	case doc.Content[0].Kind != yaml.MappingNode:
		return nil, fmt.Errorf("line %d: is no mapping: begin with brokers:", doc.Content[0].Line)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds several documents: keep one")
	}
	return doc.Content[0], nil
}

// syntaxError keeps the line that the parser tells, and no value of the text.
func syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := strings.IndexAny(text, "`'\""); at >= 0 {
		text = strings.TrimSpace(text[:at])
	}
	return fmt.Errorf("is no YAML: %s (values with : # { } or [ ] need quotes)", strings.ReplaceAll(text, "\n", " "))
}

// reader collects what is read and what is wrong with it.
type reader struct {
	lookup   func(string) (string, bool)
	config   Config
	problems []error
}

func (r *reader) problem(n *yaml.Node, path, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.problems = append(r.problems, fmt.Errorf("line %d: %s: %s", n.Line, path, line))
	}
}

func (r *reader) root(n *yaml.Node) {
	r.mapping(n, "", map[string]func(*yaml.Node, string){
		"brokers": func(n *yaml.Node, path string) {
			known := len(r.problems)
			r.each(n, path, r.broker)
			if len(r.config.Brokers) == 0 && len(r.problems) > known {
				r.config.broken["brokers"] = true
			}
		},
		"topics": func(n *yaml.Node, path string) { r.each(n, path, r.topic) },
	})
}

func (r *reader) broker(n *yaml.Node, path, name string) {
	var b Broker
	var urlNode, fileNode *yaml.Node
	bad := func() { r.config.broken[path] = true }
	read := func(n *yaml.Node, path string, into *string, file bool) {
		text, ok := r.text(n, path)
		if ok && file {
			var err error
			if text, err = expand.File(text); err != nil {
				r.problem(n, path, "%w", err)
				ok = false
			}
		}
		if *into = text; !ok {
			bad()
		}
	}
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"url":            func(n *yaml.Node, path string) { urlNode = n; read(n, path, &b.URL, false) },
		"url_file":       func(n *yaml.Node, path string) { fileNode = n; read(n, path, &b.URL, true) },
		"password_file":  func(n *yaml.Node, path string) { read(n, path, &b.Password, true) },
		"options":        func(n *yaml.Node, path string) { r.options(n, path, &b) },
		"driver_options": func(n *yaml.Node, path string) { b.DriverOptions = r.driverOptions(n, path) },
	})
	if urlNode != nil && fileNode != nil {
		r.problem(fileNode, path+".url_file", "says the same as url in line %d: keep one of them", urlNode.Line)
		bad()
	}
	if n.Kind != yaml.MappingNode {
		bad()
	}
	r.config.Brokers[name] = b
}

func (r *reader) options(n *yaml.Node, path string, b *Broker) {
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"consumer_group":  func(n *yaml.Node, path string) { b.ConsumerGroup, _ = r.text(n, path) },
		"publish_timeout": func(n *yaml.Node, path string) { b.PublishTimeout = r.duration(n, path) },
		"close_timeout":   func(n *yaml.Node, path string) { b.CloseTimeout = r.duration(n, path) },
	})
}

func (r *reader) driverOptions(n *yaml.Node, path string) map[string]map[string]string {
	all := map[string]map[string]string{}
	r.each(n, path, func(n *yaml.Node, path, scheme string) {
		all[scheme] = map[string]string{}
		r.each(n, path, func(n *yaml.Node, path, name string) {
			if text, ok := r.text(n, path); ok {
				all[scheme][name] = text
			}
		})
	})
	return all
}

func (r *reader) topic(n *yaml.Node, path, name string) {
	var t Topic
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"broker":      func(n *yaml.Node, path string) { t.Broker, _ = r.text(n, path) },
		"dead_letter": func(n *yaml.Node, path string) { t.DeadLetter, _ = r.text(n, path) },
	})
	r.config.Topics[name] = t
}
