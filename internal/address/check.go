package address

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// Check says what is wrong with the value of a parameter, or nothing. The
// message follows the parameter's name.
type Check func(value string) error

// Text takes anything but nothing.
func Text(v string) error {
	if v == "" {
		return errors.New("is empty: give a value or leave it out")
	}
	return nil
}

// Secret takes anything; what it takes is never repeated.
func Secret(string) error { return nil }

// Bool takes true and false.
func Bool(v string) error { return OneOf("true", "false")(v) }

// OneOf takes the given words.
func OneOf(words ...string) Check {
	return func(v string) error {
		if slices.Contains(words, v) {
			return nil
		}
		if n := suggest.Nearest(v, words...); n != "" {
			return fmt.Errorf("must be one of %s, did you mean %q?", strings.Join(words, ", "), n)
		}
		return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
	}
}

// Int takes whole numbers from low to high.
func Int(low, high int) Check {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return nil
	}
}

// Duration takes durations from low to high.
func Duration(low, high time.Duration) Check {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		switch {
		case err != nil:
			return errors.New("must be a duration with a unit, such as 500ms, 10s or 1m")
		case d < low || d > high:
			return fmt.Errorf("must be from %s to %s", low, high)
		}
		return nil
	}
}
