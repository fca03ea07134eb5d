// Package expand completes what stands in a configuration file: by variables of
// the environment, and by the content of other files. It never repeats a value.
package expand

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Variables replaces ${VAR} and ${VAR:default} in text by what lookup returns,
// as os.LookupEnv does. It is for values that were parsed already, so that a
// variable cannot become structure. $${ stands for ${ itself; a variable that is
// set to nothing counts as not set. All problems are reported together.
func Variables(text string, lookup func(string) (string, bool)) (string, error) {
	var errs []error
	out := variable.ReplaceAllStringFunc(text, func(mark string) string {
		if strings.HasPrefix(mark, "$$") {
			return mark[1:]
		}
		name, fallback, hasFallback := strings.Cut(mark[2:len(mark)-1], ":")
		if !variableName.MatchString(name) {
			errs = append(errs, errors.New("has a ${} without the name of a variable in it: write ${VAR} or ${VAR:default}, and $${ for the letters themselves"))
			return ""
		}
		value, set := lookup(name)
		switch {
		case set && value != "":
			return value
		case hasFallback:
			return fallback
		}
		errs = append(errs, fmt.Errorf("needs the variable %s, which is not set: set it, or write ${%s:default}", name, name))
		return ""
	})
	return out, errors.Join(errs...)
}

// maxSecret is the size of a secret's file, in bytes.
const maxSecret = 64 << 10

// File reads a file that holds one value, such as a secret, and returns it
// without the spaces and the line end around it.
func File(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("file %s cannot be read: %w", path, errors.Unwrap(err))
	case info.IsDir():
		return "", fmt.Errorf("%s is a folder: name a file", path)
	case info.Size() > maxSecret:
		return "", fmt.Errorf("file %s is larger than 64 KiB: it should hold one value", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("file %s cannot be read: %w", path, errors.Unwrap(err))
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("file %s is empty: it should hold one value", path)
	}
	if strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("file %s has several lines: it should hold one value", path)
	}
	return text, nil
}
