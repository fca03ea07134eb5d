package sqldialect

// Instant is an expression for the database's clock at the beginning of the
// statement, in microseconds since the Unix epoch. Unlike Now, which may give
// another value for each row and therefore cannot bound the scan of an index, it
// can be compared with an indexed column.
func (d Dialect) Instant() string {
	switch d {
	case PostgreSQL:
		return "(extract(epoch from statement_timestamp()) * 1000000)::bigint"
	case MySQL:
		return "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
	default:
		return d.Now()
	}
}
