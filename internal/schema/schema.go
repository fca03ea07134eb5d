// Package schema holds the tables of Sluicegate as embedded, versioned
// migrations, one folder a dialect, and applies them.
//
// A migration is a file NNNN_name.sql. A file that has been released is never
// changed; what must change comes as a new one. In it, {outbox} stands for the
// quoted, qualified name of a table, {prefix} for the prefix of plain index
// names and {now} for the database's clock in microseconds. Every statement may
// run twice.
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

//go:embed postgres/*.sql mysql/*.sql sqlite/*.sql
var files embed.FS

// The tables, without their prefix.
const (
	Outbox        = "outbox"
	OutboxHistory = "outbox_history"
	Lease         = "lease"
	Inbox         = "inbox"
	DeadLetter    = "dead_letter"
	DeadAction    = "dead_letter_action"
	QueueTopic    = "queue_topic"
	QueueGroup    = "queue_group"
	QueueMessage  = "queue_message"
	QueuePending  = "queue_pending"
	Task          = "task"
	Alert         = "alert"
	NotifyTarget  = "notify_target"
	NotifyMessage = "notify_message"
	NotifyAttempt = "notify_attempt"
	NotifyAction  = "notify_action"
	Call          = "call"
	CallEvent     = "call_event"
	migrationsTab = "migration"
)

// Migration is one step, ready to run.
type Migration struct {
	Version    int
	Name       string
	Statements []string
}

// Tables returns all tables, without their prefix.
func Tables() []string {
	return []string{
		Outbox, OutboxHistory, Lease, Inbox, DeadLetter, DeadAction,
		QueueTopic, QueueGroup, QueueMessage, QueuePending,
		Task,
		Alert,
		NotifyTarget, NotifyMessage, NotifyAttempt, NotifyAction,
		Call, CallEvent,
		migrationsTab,
	}
}

var tableMark = regexp.MustCompile(`\{([a-z_]+)\}`)

// List returns all migrations in order.
func List(d sqldialect.Dialect, n sqldialect.Names) ([]Migration, error) {
	if err := n.Validate(d); err != nil {
		return nil, err
	}
	if !d.Valid() {
		return nil, sqldialect.ErrUnknown
	}
	entries, err := fs.ReadDir(files, d.String()) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	out := make([]Migration, 0, len(entries))
	for _, e := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || !ok {
			return nil, fmt.Errorf("migration file %s: want NNNN_name.sql", e.Name())
		}
		text, err := fs.ReadFile(files, d.String()+"/"+e.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		out = append(out, Migration{Version: version, Name: name, Statements: statements(expand(d, n, string(text)))})
	}
	return out, nil
}

func expand(d sqldialect.Dialect, n sqldialect.Names, text string) string {
	return tableMark.ReplaceAllStringFunc(text, func(mark string) string {
		switch name := mark[1 : len(mark)-1]; name {
		case "prefix":
			return n.Plain("")
		case "now":
			return d.Now()
		default:
			return n.Table(d, name)
		}
	})
}

func statements(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// SQL returns all migrations as one script, for those who apply it by hand.
// It includes the rows of the migration table, so that Up finds nothing to do.
func SQL(d sqldialect.Dialect, n sqldialect.Names) (string, error) {
	list, err := List(d, n)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s;\n\n", createMigrationTable(d, n))
	for _, m := range list {
		fmt.Fprintf(&b, "-- %04d %s\n", m.Version, m.Name)
		for _, s := range m.Statements {
			b.WriteString(s + ";\n")
		}
		fmt.Fprintf(&b, "INSERT INTO %s (version, name, applied_at) VALUES (%d, '%s', %s);\n\n",
			n.Table(d, migrationsTab), m.Version, m.Name, d.Now())
	}
	return b.String(), nil
}

func createMigrationTable(d sqldialect.Dialect, n sqldialect.Names) string {
	return "CREATE TABLE IF NOT EXISTS " + n.Table(d, migrationsTab) +
		" (version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(128) NOT NULL, applied_at BIGINT NOT NULL)"
}
