package campaign

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
)

// Summary is what a run found. Its JSON fields are a contract.
type Summary struct {
	Orders           int            `json:"orders"`            // committed
	Applied          map[string]int `json:"applied"`           // orders applied, by service
	Lost             int            `json:"lost"`              // orders that a service neither applied nor was meant to set aside
	Duplicated       int            `json:"duplicated"`        // effects beyond the first
	Redelivered      int            `json:"redelivered"`       // deliveries beyond the first of a message to a service
	Deduplicated     int            `json:"deduplicated"`      // deliveries whose effect was there already
	Retried          int            `json:"retried"`           // attempts that failed and were followed by another
	Parked           int            `json:"parked"`            // messages that waited for a later attempt
	DeadLettered     int            `json:"dead_lettered"`     // messages set aside
	AlertsSent       int64          `json:"alerts_sent"`       // alerts that a person would have got
	AlertsSuppressed int64          `json:"alerts_suppressed"` // occurrences that were folded into others
	ElapsedSeconds   float64        `json:"elapsed_seconds"`

	HTTPReplayed  int `json:"http_replayed"`  // requests that were answered with what an earlier one has done
	HTTPConflicts int `json:"http_conflicts"` // requests that came while another with their key was at work
	merchantSummary
	courierSummary
	pageSummary
	Mismatched int `json:"mismatched"` // what partners know and should not, or should and do not

	report   ledger.Report
	seed     uint64
	problems []string
}

// Exact reports whether nothing is lost, duplicated or made up.
func (s Summary) Exact() bool { return s.report.Exact() && len(s.problems) == 0 }

// Problems are what is wrong, in words.
func (s Summary) Problems() []string {
	return append(append([]string(nil), s.problems...), s.report.Problems...)
}

// WriteJSON writes one line.
func (s Summary) WriteJSON(w io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// WriteText writes the ledger for people.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe ledger of %d orders (seed %d, %.1f s)\n\n", s.Orders, s.seed, s.ElapsedSeconds)
	fmt.Fprintf(&b, "  %-10s %8s %14s\n", "service", "applied", "dead-lettered")
	for _, service := range ledger.Services {
		fmt.Fprintf(&b, "  %-10s %8d %14d\n", service, s.Applied[service], s.report.DeadLettered[service])
	}
	fmt.Fprintf(&b, "\n  %d redelivered, %d of them recognised; %d attempts retried, %d messages parked for later; %d dead letters; %d alerts sent, %d folded into them\n",
		s.Redelivered, s.Deduplicated, s.Retried, s.Parked, s.DeadLettered, s.AlertsSent, s.AlertsSuppressed)
	fmt.Fprintf(&b, "  orders: %d requests came twice and were answered with the order that is there, %d met the other one at work\n", s.HTTPReplayed, s.HTTPConflicts)
	fmt.Fprintf(&b, "  merchant: knows of %d payments from %d requests, %d of which met nobody; asked for %d when it was back\n", s.MerchantTold, s.MerchantPosts, s.MerchantMissed, s.MerchantAsked)
	fmt.Fprintf(&b, "  courier: %d calls have ended, in %d requests; of its callbacks %d ended a call, %d came too early, %d too late or again, %d were forged\n",
		s.CallsEnded, s.CallsSent, s.CallbacksApplied, s.CallbacksParked, s.CallbacksLate, s.CallbacksForged)
	fmt.Fprintf(&b, "  pages: %d products are in the folder as in the database, after %d changes and %d uploads, %d of which failed\n",
		s.PagesEqual, s.PriceChanges, s.Uploads, s.UploadsFailed)
	fmt.Fprintf(&b, "  lost %d, duplicated %d, phantom %d, mismatched %d", s.Lost, s.Duplicated, s.report.Phantom, s.Mismatched)
	if s.Exact() {
		b.WriteString(": every effect is there once.\n")
	} else {
		b.WriteString(": the ledger is WRONG.\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
