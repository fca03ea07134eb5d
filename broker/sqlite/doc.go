// Package sqlite registers.
package sqlite
