package nats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestTLSAndPasswordsLetInWhoMayAndShowNoPassword(t *testing.T) {
	cert, key := certificate(t)
	const password = "p@ss:w/rd#%"
	escaped := "p%40ss%3Aw%2Frd%23%25"
	s := startServer(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\nauthorization { user: \"us,er\", password: %q }", cert, key, cert, password))
	rest := "@" + s.addr + "?dial_timeout=300ms&tls=true&tls_ca_file=" + cert
	client := "&tls_cert_file=" + cert + "&tls_key_file=" + key
	b := openBroker(t, "nats://us%2Cer:"+escaped+rest+client)
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	publishAll(t, b, "t", 2, 1, 2)
	next(t, subscribe(t, b.Group("g"), "t")).Ack()
	for what, url := range map[string]string{
		"a wrong password":      "nats://us%2Cer:x" + escaped + rest + client,
		"no client certificate": "nats://us%2Cer:" + escaped + rest,
		"no TLS":                "nats://us%2Cer:" + escaped + "@" + s.addr + "?dial_timeout=300ms",
		"an unknown authority":  "nats://us%2Cer:" + escaped + "@" + s.addr + "?dial_timeout=300ms&tls=true" + client,
	} {
		wrong, err := broker.Open(t.Context(), url, broker.Config{PublishTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for did, err := range map[string]error{"check": wrong.Check(t.Context()), "publish": wrong.Publish("t", message.NewMessage("1", nil))} {
			if !failure.IsUnavailable(err) || strings.Contains(fmt.Sprint(err), password) {
				t.Errorf("%s with %s: %v", did, what, err)
			}
		}
		if err := wrong.Close(); err != nil {
			t.Error(err)
		}
	}
}

// certificate makes one for 127.0.0.1, of a server and of a client, that is its
// own authority.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
