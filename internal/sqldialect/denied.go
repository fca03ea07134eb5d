package sqldialect

// IsDenied reports whether err says that the database refuses the user, or what
// the user may do, or has no database of that name: nothing that waiting cures.
func (d Dialect) IsDenied(err error) bool {
	c, ok := codeOf(err)
	if !ok {
		return false
	}
	switch d {
	case PostgreSQL:
		// 28 invalid authorization, 42501 insufficient privilege, 3D000 no such database.
		return len(c.state) == 5 && (c.state[:2] == "28" || c.state == "42501" || c.state == "3D000")
	case MySQL:
		switch c.number {
		case 1044, 1045, 1698, // access denied
			1142, 1143, 1227, // command denied, a privilege is missing
			1049: // no such database
			return true
		}
		return false
	default:
		// 3 permission, 8 read-only, 23 authorization, 26 not a database.
		primary := c.number & 0xff
		return primary == 3 || primary == 8 || primary == 23 || primary == 26
	}
}
