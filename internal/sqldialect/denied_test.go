package sqldialect

import (
	"errors"
	"fmt"
	"testing"
)

type state string

func (s state) Error() string    { return string(s) }
func (s state) SQLState() string { return string(s) }

type number int

func (n number) Error() string { return fmt.Sprint(int(n)) }
func (n number) Code() int     { return int(n) }

func TestARefusedUserIsToldApartFromADatabaseThatIsAway(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		err     error
		denied  bool
	}{
		{PostgreSQL, state("28P01"), true}, {PostgreSQL, state("28000"), true}, {PostgreSQL, state("42501"), true}, {PostgreSQL, state("3D000"), true},
		{PostgreSQL, fmt.Errorf("ping: %w", errors.Join(errors.New("host 1"), state("28P01"))), true},
		{PostgreSQL, state("57P03"), false}, {PostgreSQL, state("08006"), false}, {PostgreSQL, state("42P01"), false}, {PostgreSQL, errors.New("28P01"), false},
		{MySQL, number(1045), true}, {MySQL, number(1142), true}, {MySQL, number(1049), true}, {MySQL, number(1040), false},
		{SQLite, number(8), true}, {SQLite, number(8 | 1<<8), true}, {SQLite, number(26), true}, {SQLite, number(5), false}, {SQLite, number(14), false},
		{PostgreSQL, nil, false},
	} {
		if got := c.dialect.IsDenied(c.err); got != c.denied {
			t.Errorf("%s: %v is denied: %v, want %v", c.dialect, c.err, got, c.denied)
		}
		if c.denied && c.dialect.IsUnavailable(c.err) {
			t.Errorf("%s: %v is unavailable as well", c.dialect, c.err)
		}
	}
}
