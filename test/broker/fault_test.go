package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// The tests of this file need faults at a chosen moment, which a real server
// does not offer: they run against a fake one in this process.

func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openFake(t *testing.T, c *kfake.Cluster, params string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), "kafka://"+c.ListenAddrs()[0]+"?"+params, broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestNoMessageOvertakesOneThatFailed sends several requests' worth of one
// key, lets one request fail, and publishes what was not acknowledged again,
// as a relay does. sarama alone goes on with the next request.
func TestNoMessageOvertakesOneThatFailed(t *testing.T) {
	const n = 3000
	for _, failing := range []int64{1, 2, 4} {
		for _, kind := range []*kerr.Error{kerr.UnknownServerError, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError} {
			t.Run(fmt.Sprintf("request %d/%s", failing, kind.Message), func(t *testing.T) {
				c := fakeCluster(t)
				b := openFake(t, c, "partitions=1&max_message_bytes=100000")
				publishKeyed(t, b, "t", "first") // connects, creates the topic
				var requests atomic.Int64
				c.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Err: kind,
					When: func(kmsg.Request) bool { return requests.Add(1) == failing },
				})
				published := publishUntilDone(t, b, n)
				c2 := subscribe(t, b.Group("g"), "t")
				next(t, c2).Ack() // the one that connected
				highest := -1
				for highest < n-1 {
					msg := next(t, c2)
					var number int
					if _, err := fmt.Sscan(msg.UUID, &number); err != nil {
						t.Fatal(err)
					}
					if number > highest+1 {
						t.Fatalf("%d came before %d", number, highest+1)
					}
					highest = max(highest, number)
					msg.Ack()
				}
				t.Logf("%d calls of PublishBatch, %d requests", published, requests.Load())
				if requests.Load() < failing {
					t.Error("the fault was never reached")
				}
			})
		}
	}
}

// publishUntilDone publishes n messages of one key, and again those that were
// not acknowledged. After the first failure of a call none may be acknowledged.
func publishUntilDone(t *testing.T, b *broker.Broker, n int) (calls int) {
	t.Helper()
	var left []broker.Outgoing
	for i := range n {
		msg := message.NewMessage(fmt.Sprint(i), []byte(strings.Repeat("x", 200)))
		msg.Metadata.Set(header.Key, "k")
		left = append(left, broker.Outgoing{Topic: "t", Message: msg})
	}
	for len(left) > 0 {
		if calls++; calls > 10 {
			t.Fatalf("%d messages are never acknowledged", len(left))
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		results := b.PublishBatch(ctx, left)
		cancel()
		var again []broker.Outgoing
		for i, err := range results {
			switch {
			case err != nil && failure.IsPermanent(err):
				t.Fatalf("message %s: %v", left[i].Message.UUID, err)
			case err != nil:
				again = append(again, left[i])
			case len(again) > 0:
				t.Fatalf("message %s is acknowledged and %s before it is not", left[i].Message.UUID, again[0].Message.UUID)
			}
		}
		left = again
	}
	return calls
}

func TestABrokerThatComesBackIsUsedAgain(t *testing.T) {
	dir := t.TempDir()
	start := func(port int) *kfake.Cluster { return fakeCluster(t, kfake.Ports(port), kfake.DataDir(dir)) }
	c := start(0)
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	_, _ = fmt.Sscan(port, &number)
	b := openFake(t, c, "partitions=1&commit_interval=50ms")
	ch := subscribe(t, b.Group("g"), "t")
	publishKeyed(t, b, "t", "before")
	next(t, ch).Ack()

	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.Check(ctx); !failure.IsUnavailable(err) {
		t.Errorf("check while it is away: %v", err)
	}
	began := time.Now()
	results := b.PublishBatch(ctx, []broker.Outgoing{{Topic: "t", Message: message.NewMessage("away", nil)}})
	if len(results) != 1 || !failure.IsUnavailable(results[0]) {
		t.Errorf("publish while it is away: %v", results)
	}
	t.Logf("publish gave up after %s", time.Since(began))
	if time.Since(began) > 3*time.Second {
		t.Errorf("publish gave up after %s", time.Since(began))
	}

	start(number)
	publishKeyed(t, b, "t", "after")
	for payload := ""; payload != "after"; { // what was acked and not yet committed may repeat
		msg := next(t, ch)
		payload = string(msg.Payload)
		msg.Ack()
	}
}

func TestTLSAndSASLLetInWhoMayAndShowNoPassword(t *testing.T) {
	caFile, server := selfSigned(t)
	const password = "p@ss:w/rd#%"
	escaped := "p%40ss%3Aw%2Frd%23%25"
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := fakeCluster(t, kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(mechanism, "us,er=", password))
			rest := "@" + c.ListenAddrs()[0] + "?partitions=1&tls=true&tls_ca_file=" + caFile + "&sasl=" + strings.ToLower(mechanism)
			b, err := broker.Open(t.Context(), "kafka://us%2Cer%3D:"+escaped+rest, broker.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			publishKeyed(t, b, "t", "a")
			next(t, subscribe(t, b.Group("g"), "t")).Ack()

			wrong, err := broker.Open(t.Context(), "kafka://us%2Cer%3D:x"+escaped+rest, broker.Config{PublishTimeout: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer wrong.Close()
			for what, err := range map[string]error{
				"check": wrong.Check(t.Context()), "publish": wrong.Publish("t", message.NewMessage("1", nil)),
			} {
				if !failure.IsUnavailable(err) || strings.Contains(err.Error(), password) {
					t.Errorf("%s with a wrong password: %v", what, err)
				}
			}
		})
	}
}

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (caFile string, server *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return caFile, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}
