package demo_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestALoadOnServersIsExact(t *testing.T) {
	for name, database := range map[string]string{"PostgreSQL": "POSTGRES_URL", "MariaDB": "MYSQL_URL"} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := demo(t, "load", "--clients", "16", "--seconds", "3", "--output", "json",
				"--database", freshDatabase(t, server(t, database)), "--broker", server(t, "KAFKA_URL"))
			if code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
			}
			lines := strings.Split(strings.TrimSpace(stdout), "\n")
			var s struct {
				Orders, Lost, Duplicated, Failed int
				Applied                          map[string]int
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
				t.Fatal(err)
			}
			if s.Orders < 50 || s.Lost+s.Duplicated+s.Failed != 0 || s.Applied["shipping"] != s.Orders {
				t.Errorf("got %s", stdout)
			}
			t.Log(lines[len(lines)-1])
		})
	}
}
