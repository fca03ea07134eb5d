package demo_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

const canary = "cAnArY-5ecret"

// withUser returns raw with another user and password.
func withUser(t *testing.T, raw, user string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, canary)
	return u.String()
}

// Waiting does not help who is refused: the process says so and ends, where one
// whose server is away would wait.
func TestWhoIsRefusedIsToldAtStart(t *testing.T) {
	for _, c := range []struct {
		name string
		args func(t *testing.T) []string
		want []string
	}{
		{"a password of PostgreSQL", func(t *testing.T) []string {
			return []string{"--database", withUser(t, server(t, "POSTGRES_URL"), "nobody_"+random())}
		}, []string{"database: the user is refused", "check name, password and database"}},
		{"a password of MariaDB", func(t *testing.T) []string {
			return []string{"--database", withUser(t, server(t, "MYSQL_URL"), "nobody_"+random())}
		}, []string{"database: the user is refused"}},
		{"a database that is not there", func(t *testing.T) []string {
			return []string{"--database", strings.Replace(server(t, "POSTGRES_URL"), "/sluicegate?", "/none_"+random()+"?", 1)}
		}, []string{"database: the user is refused, or may not do this: check name, password and database"}},
		{"no right to make tables", func(t *testing.T) []string {
			raw := freshDatabase(t, server(t, "POSTGRES_URL"))
			if _, err := open(t, raw).ExecContext(t.Context(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner"); err != nil {
				t.Fatal(err)
			}
			return []string{"--database", raw}
		}, []string{"database: the user is refused, or may not do this", "what the user was granted", "permission denied for schema public"}},
		{"a password of Redis, as store", func(t *testing.T) []string {
			return []string{"--idempotency", withUser(t, server(t, "REDIS_URL"), "nobody")}
		}, []string{"idempotency store: the user is refused"}},
		{"a password of Redis, as broker", func(t *testing.T) []string {
			return []string{"--broker", withUser(t, server(t, "REDIS_URL"), "nobody")}
		}, []string{"broker: the user is refused"}},
		{"a password of NATS", func(t *testing.T) []string {
			return []string{"--broker", withUser(t, server(t, "NATS_URL"), "nobody")}
		}, []string{"broker: the user is refused"}},
		{"a password of RabbitMQ", func(t *testing.T) []string {
			return []string{"--broker", withUser(t, server(t, "AMQP_URL"), "nobody")}
		}, []string{"broker: the user is refused"}},
		{"a password of a queue in PostgreSQL", func(t *testing.T) []string {
			return []string{"--broker", withUser(t, server(t, "POSTGRES_URL"), "nobody_"+random())}
		}, []string{"broker: the user is refused"}},
		{"a password of a queue in MariaDB", func(t *testing.T) []string {
			return []string{"--broker", withUser(t, server(t, "MYSQL_URL"), "nobody_"+random())}
		}, []string{"broker: the user is refused"}},
		{"a password of Kafka", func(t *testing.T) []string {
			return []string{"--broker", "kafka://nobody:" + canary + "@" + refusingKafka(t) + "?sasl=plain"}
		}, []string{"broker: the user is refused", "SASL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{"--listen", "127.0.0.1:0"}, c.args(t)...)...)
			code := p.wait(t)
			log := strings.Join(p.lines(), "\n")
			if code != 1 || strings.Contains(log, canary) {
				t.Errorf("exit code %d\n%s", code, log)
			}
			for _, w := range c.want {
				if !strings.Contains(log, w) {
					t.Errorf("%q is not told:\n%s", w, log)
				}
			}
		})
	}
}

// Who may not make tables can use those that somebody else has made.
func TestTablesThatAreThereNeedNoRightToMakeThem(t *testing.T) {
	raw := freshDatabase(t, server(t, "POSTGRES_URL"))
	first := start(t, "--database", raw, "--listen", "127.0.0.1:0")
	first.waitReady(t)
	if code := first.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if _, err := open(t, raw).ExecContext(t.Context(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner"); err != nil {
		t.Fatal(err)
	}
	second := start(t, "--database", raw, "--listen", "127.0.0.1:0")
	second.waitReady(t)
	placeUntilTaken(t, <-second.url)
}

// refusingKafka is a Kafka that refuses every password.
func refusingKafka(t *testing.T) string {
	t.Helper()
	b := sarama.NewMockBroker(t, 1)
	t.Cleanup(b.Close)
	b.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest":      sarama.NewMockApiVersionsResponse(t),
		"SaslHandshakeRequest":    sarama.NewMockSaslHandshakeResponse(t).SetEnabledMechanisms([]string{sarama.SASLTypePlaintext}),
		"SaslAuthenticateRequest": sarama.NewMockSaslAuthenticateResponse(t).SetError(sarama.ErrSASLAuthenticationFailed),
	})
	return b.Addr()
}
