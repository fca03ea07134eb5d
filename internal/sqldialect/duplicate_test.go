package sqldialect

import (
	"errors"
	"fmt"
	"testing"
)

// MySQLError stands for the driver's type of that name.
type MySQLError struct{ Number uint16 }

func (e *MySQLError) Error() string { return fmt.Sprint(e.Number) }

func TestAViolationOfAUniqueIndexIsKnownByTheTypeOfItsError(t *testing.T) {
	for _, c := range []struct {
		err       error
		duplicate bool
	}{
		{state("23505"), true}, {fmt.Errorf("insert: %w", state("23505")), true}, {errors.Join(errors.New("x"), state("23505")), true},
		{state("23503"), false}, {state("1062"), false},
		{&MySQLError{1062}, true}, {fmt.Errorf("insert: %w", &MySQLError{1062}), true}, {&MySQLError{1213}, false}, {&MySQLError{2067}, false},
		// A number is SQLite's only in an error of a driver of SQLite; see
		// TestAUniqueIndexGivesTheRowThatIsThere in httpidem.
		{errors.New("23505"), false}, {fmt.Errorf("status: %w", errors.New("1062")), false}, {nil, false},
	} {
		if got := IsDuplicateAnywhere(c.err); got != c.duplicate {
			t.Errorf("%T %v: %v", c.err, c.err, got)
		}
	}
}
