package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/internal/schema"
)

// Reason is why a process cannot work, fit to be shown to anybody: it names no
// host and no user.
type Reason struct {
	Component string `json:"component"`
	Reason    string `json:"reason"`
}

// NotReadyError is what keeps a process from working. Its text is for the log.
type NotReadyError struct {
	Reasons []Reason
	errs    []error
}

func (e *NotReadyError) Error() string   { return errors.Join(e.errs...).Error() }
func (e *NotReadyError) Unwrap() []error { return e.errs }

// add notes err of a component, with a hint where waiting does not cure it.
func (e *NotReadyError) add(component string, err error, denied bool) {
	r := Reason{Component: component, Reason: "cannot be reached"}
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.As(err, &verify) || errors.As(err, &authority):
		r.Reason, err = "has a certificate that is not trusted", &RefusedError{component, "its certificate is not trusted: name the authority's file in the URL (tls_ca_file, for PostgreSQL sslrootcert), or put the host's name right", err}
	case denied:
		r.Reason, err = "refuses the user", &RefusedError{component, "the user is refused, or may not do this: check name, password and database in the URL, and what the user was granted", err}
	case errors.Is(err, schema.ErrOutdated):
		r.Reason = "lacks tables of this version"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		r.Reason = "does not answer in time"
	}
	e.Reasons, e.errs = append(e.Reasons, r), append(e.errs, err)
}

// err returns e, or nil where nothing was added.
func (e *NotReadyError) err() error {
	if len(e.errs) == 0 {
		return nil
	}
	return e
}

// RefusedError is a problem that somebody must put right: waiting does not.
type RefusedError struct {
	component, hint string
	err             error
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s: %s: %v", e.component, e.hint, e.err) }
func (e *RefusedError) Unwrap() error { return e.err }

// refusals are words by which brokers and Redis refuse a user. Each client has
// errors of its own, without a common kind.
var refusals = []string{
	"sasl authentication", "not authorized", "authorization failed", // Kafka
	"wrongpass", "noauth", "noperm", "invalid username-password", // Redis
	"authorization violation", "permissions violation", "authentication error", // NATS
	"access_refused", "username or password not allowed", "does not accept the user name", // RabbitMQ
	"sqlstate 28", "sqlstate 42501", "sqlstate 3d000", "access denied", "command denied", "error 1049", // SQL as a queue
}

// deniesUser reports whether a broker or a store refuses the user.
func deniesUser(err error) bool {
	text := strings.ToLower(err.Error())
	return slices.ContainsFunc(refusals, func(word string) bool { return strings.Contains(text, word) })
}
