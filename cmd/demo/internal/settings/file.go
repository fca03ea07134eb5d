package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	koanfyaml "github.com/knadh/koanf/parsers/yaml"
	"go.yaml.in/yaml/v3"

	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/internal/expand"
	"github.com/sluicegate/sluicegate/internal/suggest"
)

const (
	fileSuffix  = "_file"
	maxFileSize = 1 << 20
)

// entry is one setting of a file.
type entry struct{ key, text, written string } // written: the key as it stands there

// file is what a file says.
type file struct {
	entries []entry
	brokers topology.Config
}

// readFile reads a YAML file of one flat mapping, but for the brokers and topics
// in it.
func readFile(path string, env func(string) (string, bool)) (file, Problems) {
	var problems Problems
	text, err := readText(path)
	if err != nil {
		note(&problems, "--config "+path, err)
		return file{}, problems
	}
	if problems = checkShape(path, text); len(problems) > 0 {
		return file{}, problems
	}
	var f file
	text, brokers := cutBrokers(text)
	if len(brokers) > 0 {
		if f.brokers, err = topology.Parse(brokers, env); err != nil {
			note(&problems, path, errors.New(strings.TrimPrefix(err.Error(), "broker configuration: ")))
		}
	}
	var bad Problems
	f.entries, bad = readEntries(path, text, env)
	problems = append(problems, bad...)
	for _, e := range f.entries {
		if e.key == keyBroker && len(brokers) > 0 {
			note(&problems, path+": "+e.written, errors.New("and brokers say the same: keep one of them"))
		}
	}
	return f, problems
}

// cutBrokers takes the lines of brokers and topics out of text. Both results
// keep the numbers of the lines that they have.
func cutBrokers(text []byte) (rest, brokers []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || doc.Content[0].Style == yaml.FlowStyle {
		return text, nil
	}
	section := map[int]bool{} // whether brokers or topics begin at a line, or something else
	found := false
	for i := 0; i < len(doc.Content[0].Content); i += 2 {
		key := doc.Content[0].Content[i]
		section[key.Line] = key.Value == "brokers" || key.Value == "topics"
		found = found || section[key.Line]
	}
	if !found {
		return text, nil
	}
	ours := false
	for i, line := range bytes.SplitAfter(text, []byte("\n")) {
		if begins, ok := section[i+1]; ok {
			ours = begins
		}
		to, other := &rest, &brokers
		if ours {
			to, other = other, to
		}
		*to, *other = append(*to, line...), append(*other, '\n')
	}
	return rest, brokers
}

func readEntries(path string, text []byte, env func(string) (string, bool)) ([]entry, Problems) {
	var problems Problems
	tree, err := koanfyaml.Parser().Unmarshal(text)
	if err != nil {
		note(&problems, path, yamlError(err))
		return nil, problems
	}
	var entries []entry
	for _, key := range slices.Sorted(mapKeys(tree)) {
		e, err := readEntry(key, tree[key], env)
		if err != nil {
			note(&problems, path+": "+key, err)
			continue
		}
		if strings.HasSuffix(key, fileSuffix) && slices.ContainsFunc(entries, func(o entry) bool { return o.key == e.key }) {
			note(&problems, path+": "+key, fmt.Errorf("says the same as %s: keep one of them", e.key))
			continue
		}
		entries = append(entries, e)
	}
	return entries, problems
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func readEntry(key string, value any, env func(string) (string, bool)) (entry, error) {
	e := entry{key: key, written: key}
	base := strings.TrimSuffix(key, fileSuffix)
	f, known := fieldOf(key)
	if !known {
		if f, known = fieldOf(base); !known || !f.secret || base == key {
			return e, fmt.Errorf("is unknown: %s", suggest.Hint(key, fileKeys()...))
		}
	}
	text, err := scalar(value)
	if err != nil {
		return e, err
	}
	if text, err = expand.Variables(text, env); err != nil {
		return e, err
	}
	if e.key = f.key; f.key != key {
		text, err = expand.File(text)
	}
	e.text = text
	return e, err
}

// scalar turns a value into the text that a flag would have had.
func scalar(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errors.New("has no value: give one or remove the line")
	case []any:
		words := make([]string, len(v))
		for i, item := range v {
			word, ok := item.(string)
			if !ok {
				return "", errors.New("must be a list of words")
			}
			words[i] = word
		}
		return strings.Join(words, ","), nil
	case map[string]any, map[any]any:
		return "", errors.New("must be one value, not a mapping")
	default:
		return fmt.Sprint(v), nil
	}
}

// readText refuses what is no text in UTF-8, with what to do about it.
func readText(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	case info.IsDir():
		return nil, errors.New("is a folder: name a YAML file")
	case info.Size() > maxFileSize:
		return nil, errors.New("is larger than 1 MiB: it should hold a few settings")
	}
	b, err := os.ReadFile(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}), bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		return nil, errors.New("is in UTF-16: save it in UTF-8")
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return nil, errors.New("begins with a byte order mark: save it in UTF-8 without one")
	case !utf8.Valid(b):
		return nil, errors.New("is not in UTF-8: save it so")
	case len(bytes.TrimSpace(b)) == 0:
		return nil, errors.New("is empty: give settings, or leave --config out")
	}
	return b, nil
}

// checkShape finds what the YAML parser tells badly or not at all.
func checkShape(path string, text []byte) Problems {
	var problems Problems
	for i, line := range strings.Split(string(text), "\n") {
		if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "\t") && strings.TrimSpace(rest) != "" {
			note(&problems, fmt.Sprintf("%s: line %d", path, i+1), errors.New("is indented by a tab: use spaces"))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		note(&problems, path, yamlError(err))
		return problems
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		note(&problems, path, errors.New("holds several documents: keep one"))
		return problems
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		note(&problems, path, errors.New("holds no settings: give some, or leave --config out"))
		return problems
	}
	return append(problems, checkMapping(path, doc.Content[0])...)
}

func checkMapping(path string, root *yaml.Node) Problems {
	var problems Problems
	if root.Kind != yaml.MappingNode {
		note(&problems, path, errors.New("is no mapping: write lines such as broker: memory://"))
		return problems
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s: line %d", path, key.Line)
		if first, twice := lines[key.Value]; twice {
			note(&problems, at, fmt.Errorf("%s is given again, after line %d: keep one", key.Value, first))
		}
		lines[key.Value] = key.Line
		if key.Value == "brokers" || key.Value == "topics" {
			if root.Style == yaml.FlowStyle {
				note(&problems, at, fmt.Errorf("%s: begin it on a line of its own", key.Value))
			}
			continue // read by package topology
		}
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || hasAlias(value) {
			note(&problems, at, errors.New("uses an anchor or an alias: write the value out"))
		}
	}
	return problems
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, hasAlias)
}

// yamlError keeps the line that the parser tells, and no value of the file.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := strings.Index(text, "`"); at >= 0 {
		text = strings.TrimSpace(text[:at])
	}
	return fmt.Errorf("is no YAML: %s", strings.ReplaceAll(text, "\n", " "))
}
