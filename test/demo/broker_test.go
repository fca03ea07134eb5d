package demo_test

import (
	"path/filepath"
	"testing"

	"github.com/sluicegate/sluicegate/internal/database"
)

// One URL swaps the broker, and the ledger stays exact.
func TestTheLedgerIsExactOnEveryBroker(t *testing.T) {
	for _, c := range []struct{ name, url string }{
		{"Redis", "REDIS_URL"}, {"NATS", "NATS_URL"}, {"RabbitMQ", "AMQP_URL"},
		{"PostgreSQL", "POSTGRES_URL"}, {"MariaDB", "MYSQL_URL"}, {"SQLite", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			orders := freshDatabase(t, server(t, "POSTGRES_URL"))
			var broker string
			switch c.name {
			case "PostgreSQL", "MariaDB":
				broker = freshDatabase(t, server(t, c.url)) // a queue has tables of its own
			case "SQLite":
				broker = database.SQLiteURL(filepath.Join(t.TempDir(), "queue.db"))
			default:
				broker = server(t, c.url)
			}
			stdout, stderr, code := demo(t, "--orders", "300", "--seed", "7", "--output", "json", "--deadline", "110s", "--database", orders, "--broker", broker)
			if code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
			}
			checkSummary(t, stdout)
		})
	}
}
