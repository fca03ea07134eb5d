package postgres_test

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
		"postgres://u:p@h:5432/db",
		"postgresql://u:p%40%2F@[::1]/db?sslmode=disable&schema=queue&prefix=x_&pool_max_conns=4",
		"postgres:///db?host=/var/run/postgresql",
		"postgres://u@h/db?concurrency=1&prefetch=1&nack_delay=1s&nack_delay_max=1m&lease=1m&poll_min=1ms&poll_max=1s&retain=0s" +
			"&max_message_bytes=2000000&redelivery_horizon=48h&migrate=false&consumer_group=stock",
	} {
		if err := broker.Validate(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestWhatIsWrongWithAURLIsSaidWithItsFieldAndNoSecret(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"@h:99999/db", "its port is not a number from 1 to 65535"},
		{"@h:1,g:2/db", "several hosts"},
		{"@h", "names no database"},
		{"@h/a/b", "with a / in it"},
		{"@/db", "has no host"},
		{"@h/db?sslmod=require", "did you mean sslmode?"},
		{"@h/db?sslrootcert=/no/such.pem&sslmode=verify-full", "sslrootcert"},
		{"@h/db?sslpassword=" + canary + "&sslpassword=" + canary, "parameter sslpassword: is given 2 times"},
		{"@h/db?pool_max_conns=1", "parameter pool_max_conns: must be a whole number from 2"},
		{"@h/db?prefix=a-b", "parameter prefix: must be letters"},
		{"@h/db?poll_min=1s&poll_max=10ms", "parameter poll_max: must not be less than poll_min"},
		{"@h/db?lease=1ms", "parameter lease: must be from"},
		{"@h/db?retain=-1s", "parameter retain: must be from"},
		{"@h/db?default_query_exec_mode=simple", "parameter default_query_exec_mode: must be one of"},
	} {
		err := broker.Validate("postgres://u:" + canary + c.query)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.query, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error has the password: %v", c.query, err)
		}
	}
}

func TestADatabaseThatIsAwayIsSaidToBe(t *testing.T) {
	b, err := broker.Open(context.Background(), "postgres://u:"+canary+"@127.0.0.1:1/db?sslmode=disable", broker.Config{})
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
