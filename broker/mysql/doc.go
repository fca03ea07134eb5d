// Package mysql registers.
package mysql
