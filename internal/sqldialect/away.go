package sqldialect

import (
	"database/sql/driver"
	"errors"
	"reflect"
	"strings"
)

// Away reports whether err itself, not what it wraps, is a database's word that
// it does not serve now: an error of one of the drivers with a code that
// IsUnavailable knows, or a connection that the driver has given up; not a lost
// race, which IsContention knows. It is for those who do not know whose error
// they have; a broken network is not among what it looks for.
func Away(err error) bool {
	if err == driver.ErrBadConn { //nolint:errorlint // err itself
		return true
	}
	if s, ok := err.(interface{ SQLState() string }); ok {
		return PostgreSQL.unavailableCode(code{state: s.SQLState()})
	}
	t := reflect.TypeOf(err)
	if t == nil {
		return false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch path := t.PkgPath(); {
	case strings.Contains(path, "sqlite"):
		c, ok := codeOf(err)
		// Busy and locked are a lost race, as a deadlock is elsewhere: a statement
		// may lose it every time.
		return ok && SQLite.unavailableCode(c) && !SQLite.IsContention(err)
	case t.Name() == "MySQLError":
		c, ok := codeOf(err)
		return ok && MySQL.unavailableCode(c)
	}
	// What go-sql-driver/mysql says for a connection that broke in use.
	return errors.Unwrap(err) == nil && err.Error() == "invalid connection"
}
