// Package webhook checks our signatures against what others wrote.
package webhook
