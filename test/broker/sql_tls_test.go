package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// sqlCertificate makes a certificate of 127.0.0.1 and writes it to a file.
func sqlCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// tlsFront takes TLS off in front of a server that has none: upgrade does what
// the protocol wants before and after the handshake.
func tlsFront(t *testing.T, cert tls.Certificate, server string, upgrade func(client, server net.Conn, config *tls.Config) (net.Conn, error)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		passing.Wait()
	})
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() {
				defer func() { _ = client.Close() }()
				upstream, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer func() { _ = upstream.Close() }()
				secure, err := upgrade(client, upstream, config)
				if err != nil {
					return
				}
				passing.Go(func() {
					_, _ = io.Copy(secure, upstream)
					_ = secure.Close()
				})
				_, _ = io.Copy(upstream, secure)
			})
		}
	})
	return l.Addr().String()
}

// upgradePostgres answers the request for TLS with yes.
func upgradePostgres(client, _ net.Conn, config *tls.Config) (net.Conn, error) {
	var request [8]byte
	if _, err := io.ReadFull(client, request[:]); err != nil {
		return nil, err
	}
	if request[6] != 0x16 || request[7] != 0x2f { // 80877103
		return nil, fmt.Errorf("the client does not ask for TLS: %x", request)
	}
	if _, err := client.Write([]byte{'S'}); err != nil {
		return nil, err
	}
	secure := tls.Server(client, config)
	return secure, secure.Handshake()
}

// upgradeMySQL announces TLS in the server's greeting and numbers the packets of
// the login as if the request for it had not been made.
func upgradeMySQL(client, server net.Conn, config *tls.Config) (net.Conn, error) {
	greeting, err := readPacket(server)
	if err != nil {
		return nil, err
	}
	end := 5 // protocol, then the version up to its NUL, thread, scramble, filler
	for greeting[end] != 0 {
		end++
	}
	greeting[end+1+4+8+1+1] |= 0x08 // CLIENT_SSL is 0x0800 of the lower capabilities
	if _, err := client.Write(greeting); err != nil {
		return nil, err
	}
	if request, err := readPacket(client); err != nil || len(request) != 4+32 {
		return nil, fmt.Errorf("the client does not ask for TLS: %w", err)
	}
	secure := tls.Server(client, config)
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	for {
		answer, err := readPacket(secure)
		if err != nil {
			return nil, err
		}
		answer[3]--
		if _, err := server.Write(answer); err != nil {
			return nil, err
		}
		reply, err := readPacket(server)
		if err != nil {
			return nil, err
		}
		reply[3]++
		if _, err := secure.Write(reply); err != nil {
			return nil, err
		}
		if reply[4] == 0 || reply[4] == 0xff { // logged in, or not
			return secure, nil
		}
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, 4+(int(head[0])|int(head[1])<<8|int(head[2])<<16))
	copy(packet, head[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

func TestSQLOverTLSWithACertificateThatIsChecked(t *testing.T) {
	cert, ca := sqlCertificate(t)
	_, otherCA := sqlCertificate(t)
	for _, c := range []struct {
		name, variable string
		upgrade        func(net.Conn, net.Conn, *tls.Config) (net.Conn, error)
		params         func(ca string) string
	}{
		{"PostgreSQL", "POSTGRES_URL", upgradePostgres, func(ca string) string { return "sslmode=verify-full&sslrootcert=" + url.QueryEscape(ca) }},
		{"MariaDB", "MYSQL_URL", upgradeMySQL, func(ca string) string { return "tls=true&tls_ca_file=" + url.QueryEscape(ca) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSQLServer(t, c.variable)
			u, err := url.Parse(strings.Replace(s.url(""), "sslmode=disable&", "", 1))
			if err != nil {
				t.Fatal(err)
			}
			front := tlsFront(t, cert, u.Host, c.upgrade)
			raw := strings.Replace(u.String(), u.Host, front, 1)
			try := func(ca string) error {
				b, err := broker.Open(t.Context(), raw+"&"+c.params(ca), broker.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = b.Close() }()
				return b.Publish("secret", message.NewMessage("1", nil))
			}
			if err := try(ca); err != nil {
				t.Errorf("with the right authority: %v", err)
			}
			if err := try(otherCA); !failure.IsUnavailable(err) || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("with another authority: %v", err)
			}
		})
	}
}
