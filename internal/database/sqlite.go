package database

import "github.com/sluicegate/sluicegate/internal/sqlopen/sqlite"

// SQLiteURL returns the URL of a file.
func SQLiteURL(path string) string { return sqlite.URL(path) }
