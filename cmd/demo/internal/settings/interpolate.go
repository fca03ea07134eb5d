package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// interpolate replaces ${VAR} and ${VAR:default} by variables of the
// environment. It runs after the YAML was parsed, so that a value cannot become
// structure. $${ stands for ${ itself.
func interpolate(text string, env func(string) (string, bool)) (string, error) {
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
		value, set := env(name)
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
