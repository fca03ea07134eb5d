// Package tlsparam reads the TLS parameters that all drivers share: tls,
// tls_ca_file, tls_cert_file, tls_key_file and tls_server_name. Certificates
// are always verified.
package tlsparam

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Read reads the parameters of a scheme that has no TLS of its own. The second
// result is the value of tls, default false; the others are errors without it.
func Read(q *urlparam.Query) (*tls.Config, bool) {
	enabled := q.Bool("tls", false)
	config, given := read(q)
	if given && !enabled {
		q.Problem("tls", "must be true where another tls_ parameter is given")
	}
	return config, enabled
}

// Always reads the parameters of a scheme that means TLS, like amqps. It has no
// parameter tls.
func Always(q *urlparam.Query) *tls.Config {
	config, _ := read(q)
	return config
}

func read(q *urlparam.Query) (config *tls.Config, given bool) {
	config = &tls.Config{MinVersion: tls.VersionTLS12}
	ca, hasCA := q.Lookup("tls_ca_file")
	cert, hasCert := q.Lookup("tls_cert_file")
	key, hasKey := q.Lookup("tls_key_file")
	name, hasName := q.Lookup("tls_server_name")
	config.ServerName = name
	if hasCA {
		pem, err := os.ReadFile(ca)
		config.RootCAs = x509.NewCertPool()
		if err != nil {
			q.Problem("tls_ca_file", "cannot be read: %w", err)
		} else if !config.RootCAs.AppendCertsFromPEM(pem) {
			q.Problem("tls_ca_file", "has no certificate in PEM form")
		}
	}
	switch {
	case hasCert != hasKey:
		q.Problem("tls_cert_file", "needs tls_key_file, and the other way round")
	case hasCert:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			q.Problem("tls_cert_file", "cannot be loaded with tls_key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, hasCA || hasCert || hasKey || hasName
}
