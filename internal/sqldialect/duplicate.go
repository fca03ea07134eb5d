package sqldialect

import (
	"errors"
	"reflect"
	"slices"
	"strings"
)

// IsDuplicateAnywhere is IsDuplicate for those who do not know whose error they
// have: it goes by the type of each error that err wraps.
func IsDuplicateAnywhere(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			return slices.ContainsFunc(joined.Unwrap(), IsDuplicateAnywhere)
		}
		if s, ok := err.(interface{ SQLState() string }); ok {
			return s.SQLState() == "23505"
		}
		t := reflect.TypeOf(err)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case strings.Contains(t.PkgPath(), "sqlite"):
			return SQLite.IsDuplicate(err)
		case t.Name() == "MySQLError":
			return MySQL.IsDuplicate(err)
		}
	}
	return false
}
