package sqldialect

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"reflect"
)

// code is what the three drivers' errors come down to: PostgreSQL's SQLSTATE,
// or MySQL's or SQLite's number.
type code struct {
	state  string
	number int
}

// codeOf finds the database's error code in err without importing a driver:
// by the methods that pgx, pq and modernc.org/sqlite offer, by the exported
// field of go-sql-driver/mysql and mattn/go-sqlite3.
func codeOf(err error) (code, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok { // pgx tells of each address that it tried
			for _, err := range joined.Unwrap() {
				if c, ok := codeOf(err); ok {
					return c, true
				}
			}
			return code{}, false
		}
		if s, ok := err.(interface{ SQLState() string }); ok {
			return code{state: s.SQLState()}, true
		}
		if c, ok := err.(interface{ Code() int }); ok {
			return code{number: c.Code()}, true
		}
		v := reflect.ValueOf(err)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			continue
		}
		switch v.Type().Name() {
		case "MySQLError":
			if n := v.FieldByName("Number"); n.IsValid() && n.CanUint() {
				return code{number: int(n.Uint())}, true //nolint:gosec // a uint16
			}
		case "Error":
			if n := v.FieldByName("ExtendedCode"); n.IsValid() && n.CanInt() {
				return code{number: int(n.Int())}, true
			}
		}
	}
	return code{}, false
}

// IsDuplicate reports whether err is the violation of a unique index or
// primary key: 23505 in PostgreSQL, 1062 in MySQL, 2067 or 1555 in SQLite.
func (d Dialect) IsDuplicate(err error) bool {
	c, ok := codeOf(err)
	if !ok {
		return false
	}
	switch d {
	case PostgreSQL:
		return c.state == "23505"
	case MySQL:
		return c.number == 1062
	default:
		return c.number == 2067 || c.number == 1555
	}
}

// IsAdded reports whether err says that the column or the index to be added is
// there: 1060 and 1061 in MySQL. The others have words for it, or transactions.
func (d Dialect) IsAdded(err error) bool {
	c, ok := codeOf(err)
	return ok && d == MySQL && (c.number == 1060 || c.number == 1061)
}

// IsContention reports whether err is a lost race that a fresh transaction
// can win: a deadlock, a serialisation failure, a lock time-out, a busy database.
func (d Dialect) IsContention(err error) bool {
	c, ok := codeOf(err)
	if !ok {
		return false
	}
	switch d {
	case PostgreSQL:
		return c.state == "40001" || c.state == "40P01" || c.state == "55P03"
	case MySQL:
		return c.number == 1213 || c.number == 1205 || c.number == 1020 || c.number == 3572
	default:
		primary := c.number & 0xff
		return primary == 5 || primary == 6
	}
}

// IsUnavailable reports whether err says that the database could not be
// reached or does not serve now, rather than that a statement is wrong.
func (d Dialect) IsUnavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if c, ok := codeOf(err); ok {
		return d.unavailableCode(c)
	}
	var netErr net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.As(err, &netErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || err.Error() == "invalid connection"
}

func (d Dialect) unavailableCode(c code) bool {
	switch d {
	case PostgreSQL:
		// 08 connection exception, 53 insufficient resources, 57P operator
		// intervention (shutdown, cannot connect now), 25006 read-only.
		return len(c.state) == 5 && (c.state[:2] == "08" || c.state[:2] == "53" || c.state[:3] == "57P" || c.state == "25006")
	case MySQL:
		// 1040 too many connections, 1053 shutdown in progress, 1290 read-only,
		// 1836 read-only mode.
		return c.number == 1040 || c.number == 1053 || c.number == 1290 || c.number == 1836
	default:
		// 5 busy, 6 locked, 10 I/O error, 13 disk full, 14 cannot open.
		primary := c.number & 0xff
		return primary == 5 || primary == 6 || primary == 10 || primary == 13 || primary == 14
	}
}
