package broker_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/logtest"
)

func TestRedisTLSAndPasswordsLetInWhoMayAndShowNoPassword(t *testing.T) {
	caFile, server := selfSigned(t)
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	const password = "p@ss:w/rd#%"
	escaped := "p%40ss%3Aw%2Frd%23%25"
	port := redisFreePort(t)
	startRedis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", caFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", caFile, "--tls-auth-clients", "no",
		"--requirepass", password, "--user", "us,er=", "on", ">"+password, "~*", "&*", "+@all")
	for _, user := range []string{"", "us%2Cer%3D"} {
		rest := fmt.Sprintf("@127.0.0.1:%d/0?tls_ca_file=%s", port, caFile)
		b := openRedis(t, "rediss://"+user+":"+escaped+rest)
		if err := b.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		redisPublished(t, b, "t", message.NewMessage("1", nil))
		next(t, subscribe(t, b.Group("g"+user), "t")).Ack()
		if driver := b.Capabilities().Driver; driver != "rediss" {
			t.Errorf("driver %q", driver)
		}
		for what, url := range map[string]string{
			"a wrong password":         "rediss://" + user + ":x" + escaped + rest,
			"an authority not trusted": fmt.Sprintf("rediss://%s:%s@127.0.0.1:%d/0", user, escaped, port),
			"another name":             "rediss://" + user + ":" + escaped + rest + "&tls_server_name=example.org",
		} {
			wrong := openRedis(t, url)
			for step, err := range map[string]error{
				"check": wrong.Check(t.Context()), "publish": wrong.Publish("t", message.NewMessage("1", nil)),
			} {
				if !failure.IsUnavailable(err) || strings.Contains(err.Error(), password) {
					t.Errorf("%s, %s: %v", what, step, err)
				}
			}
		}
	}
}

func TestRedisAPublishWaitsForReplicasWhereItIsTold(t *testing.T) {
	s := startRedis(t, "--repl-diskless-sync-delay", "0")
	b := openRedis(t, s.url("wait_replicas=1&wait_timeout=300ms"))
	results := b.PublishBatch(t.Context(), redisNumbered("t", "k", 0, 3))
	if len(results) != 3 || !failure.IsUnavailable(results[0]) || !strings.Contains(results[0].Error(), "0 of 1 replicas") {
		t.Errorf("without a replica: %v", results)
	}
	host, port, _ := strings.Cut(s.addr, ":")
	startRedis(t, "--replicaof", host+" "+port)
	redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 3))
	if !strings.Contains(b.Capabilities().Guarantee, "1 of its replicas") {
		t.Errorf("guarantee: %s", b.Capabilities().Guarantee)
	}
}

func TestRedisRetainRemovesOnlyWhatEveryGroupHasAcked(t *testing.T) {
	url, c := redisServer(t)
	b := openRedis(t, url+"?retain=1s&prefetch=2000")
	const n = 1500
	all := redisNumbered("t", "", 0, n)
	for _, m := range all {
		m.Message.Metadata = nil // without a key, so that one holds up none
	}
	redisPublishAll(t.Context(), t, b, all)
	slow, quick := subscribe(t, b.Group("slow"), "t"), subscribe(t, b.Group("quick"), "t")
	for range n {
		next(t, quick).Ack()
	}
	first := next(t, slow)
	if comes(quick, 3*time.Second) || c.XLen(t.Context(), "t").Val() != n {
		t.Fatalf("%d of %d are left while one group has acked none", c.XLen(t.Context(), "t").Val(), n)
	}
	first.Ack()
	for range n - 1 {
		next(t, slow).Ack()
	}
	for deadline := time.Now().Add(patience); c.XLen(t.Context(), "t").Val() > 200; {
		if time.Now().After(deadline) {
			t.Fatalf("%d are left though every group has acked all", c.XLen(t.Context(), "t").Val())
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestRedisMaxlenIsSaidInTheGuarantee(t *testing.T) {
	url, c := redisServer(t)
	b := openRedis(t, url+"?maxlen=200")
	for i := range 10 {
		redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", i*100, 100))
	}
	if n := c.XLen(t.Context(), "t").Val(); n < 200 || n > 400 {
		t.Errorf("%d entries", n)
	}
	if !strings.Contains(b.Capabilities().Guarantee, "maxlen") {
		t.Errorf("guarantee: %s", b.Capabilities().Guarantee)
	}
}

// A member that goes leaves nothing behind: not itself, and no claim.
func TestRedisAMemberThatLeavesIsRemoved(t *testing.T) {
	for _, order := range []string{"key", "none"} {
		t.Run("order="+order, func(t *testing.T) {
			url, c := redisServer(t)
			b := openRedis(t, url+"?order="+order)
			redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 3))
			g := b.Group("g")
			next(t, subscribe(t, g, "t")).Ack()
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			consumers, err := c.XInfoConsumers(t.Context(), "t", "g").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, consumer := range consumers {
				if consumer.Name != "sluicegate-returned" {
					t.Errorf("%s is left with %d pending", consumer.Name, consumer.Pending)
				}
			}
			if keys := c.Keys(t.Context(), "sluicegate:lease:*").Val(); len(keys) > 0 {
				t.Errorf("left are %v", keys)
			}
			ch := subscribe(t, b.Group("g"), "t")
			for i := 1; i < 3; i++ {
				msg := next(t, ch)
				if msg.UUID != fmt.Sprintf("k/%d", i) {
					t.Errorf("%s came", msg.UUID)
				}
				msg.Ack()
			}
		})
	}
}

// A standby takes over at once when the active member leaves.
func TestRedisAStandbyTakesOverInOrder(t *testing.T) {
	url, _ := redisServer(t)
	b := openRedis(t, url)
	active := b.Group("g")
	first := subscribe(t, active, "t")
	redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 0, 1))
	held := next(t, first)
	standby := subscribe(t, b.Group("g"), "t")
	redisPublishAll(t.Context(), t, b, redisNumbered("t", "k", 1, 20))
	if comes(standby, 300*time.Millisecond) {
		t.Fatal("two members are active")
	}
	_ = held
	start := time.Now()
	if err := active.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 21 {
		msg := next(t, standby)
		if msg.UUID != fmt.Sprintf("k/%d", i) {
			t.Fatalf("%s came, want k/%d", msg.UUID, i)
		}
		msg.Ack()
	}
	t.Logf("after %s", time.Since(start))
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("only after %s", took)
	}
}

func TestRedisSaysWhatItsServerMayLose(t *testing.T) {
	s := startRedis(t, "--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
	var log logtest.Buffer
	b, err := broker.Open(t.Context(), s.url(""), broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 2 {
		if err := b.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, setting := range []string{"appendonly", "maxmemory-policy"} {
		if n := strings.Count(log.String(), "setting="+setting); n != 1 {
			t.Errorf("%s is told %d times:\n%s", setting, n, log.String())
		}
	}
}
