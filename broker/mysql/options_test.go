package mysql_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const canary = "cAnArY-5ecret"

func TestAGoodURLIsTaken(t *testing.T) {
	for _, raw := range []string{
		"mysql://u:p@h:3306/db", "mariadb://u:p%40%2F@[::1]/db?tls=true&timeout=3s&prefix=x_",
		"mysql://u@h/db?tls=true&tls_server_name=db.internal&retain=0s&consumer_group=stock",
	} {
		if err := broker.Validate(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestWhatIsWrongWithAURLIsSaidWithItsFieldAndNoSecret(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"@h:0/db", "its port is not a number from 1 to 65535"},
		{"@h", "names no database"},
		{"@h/db?sslmode=require", `unknown parameter "sslmode"`},
		{"@h/db?schema=x", `unknown parameter "schema"`},
		{"@h/db?tls=yes", "parameter tls: must be one of"},
		{"@h/db?tls=true&tls_cert_file=/no/such.pem", `"tls_cert_file" needs tls_key_file`},
		{"@h/db?tls=preferred&tls_server_name=x", `"tls" must be true`},
		{"@h/db?collation=latin1_bin", "parameter collation: must be one of utf8mb4"},
		{"@h/db?timeout=10", "parameter timeout: must be a duration with a unit"},
	} {
		err := broker.Validate("mysql://u:" + canary + c.query)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.query, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error has the password: %v", c.query, err)
		}
	}
	if err := broker.Validate("mysql://h/db"); err == nil || !strings.Contains(err.Error(), "names no user") {
		t.Errorf("without a user: %v", err)
	}
}

func TestADatabaseThatIsAwayIsSaidToBe(t *testing.T) {
	b, err := broker.Open(context.Background(), "mysql://u:"+canary+"@127.0.0.1:1/db", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	for what, err := range map[string]error{"Publish": b.Publish("t", message.NewMessage("1", nil)), "Check": b.Check(t.Context())} {
		if !failure.IsUnavailable(err) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.Group("g").Subscribe(t.Context(), "t"); err != nil {
		t.Errorf("Subscribe does not wait for the database: %v", err)
	}
}
