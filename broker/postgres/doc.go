// Package postgres registers.
package postgres
