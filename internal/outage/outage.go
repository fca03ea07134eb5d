// Package outage recognises errors which say that a dependency is away: it
// could not be reached, hung up before it answered, or said itself that it does
// not serve now. Such an error tells nothing about the message that met it.
//
// What it does not recognise counts as a failure, which costs a message an
// attempt; what it wrongly took for an outage would have a hopeless message come
// back for as long as it may be excused. Where an error could be either, it is
// therefore a failure: a time-out while waiting for an answer, io.EOF and
// io.ErrUnexpectedEOF outside of an HTTP call (a decoder says the same of a
// truncated payload), a lost race in a database, a host name that does not
// exist, a certificate that is refused, a password that is wrong.
package outage

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Is reports whether err, or an error that it wraps, says that a dependency is
// away, or was marked so. What was marked as permanent, and a time-out that we
// imposed, never is.
func Is(err error) bool {
	switch {
	case err == nil, errors.Is(err, failure.ErrTimeout), failure.IsPermanent(err):
		return false
	case failure.IsUnavailable(err):
		return true
	}
	return within(err)
}

// within walks the tree of err.
func within(err error) bool {
	if err == nil {
		return false
	}
	if away(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), within)
	case interface{ Unwrap() error }:
		return within(e.Unwrap())
	}
	return false
}

// away judges err itself, not what it wraps.
func away(err error) bool {
	switch e := err.(type) { //nolint:errorlint // one node of the walk
	case *net.OpError:
		return operation(e)
	case *net.DNSError:
		return !e.IsNotFound && (e.IsTemporary || e.IsTimeout)
	case *url.Error:
		// The server hung up before it answered.
		return errors.Is(e.Err, io.EOF) || e.Err != nil && e.Err.Error() == "http: server closed idle connection"
	case interface{ StatusCode() int }:
		switch e.StatusCode() {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	return sqldialect.Away(err) || broker(err)
}

// operation judges an operation on a socket.
func operation(e *net.OpError) bool {
	var errno syscall.Errno
	numbered := errors.As(e.Err, &errno)
	if e.Op == "dial" {
		// Nobody was reached, whatever the reason, unless it lies in what was
		// asked for. A dial that took too long reached nobody either.
		return e.Timeout() || numbered && !asked(errno, e.Net)
	}
	if !numbered {
		return false // a time-out or a cancellation of the caller's own, a closed connection
	}
	switch errno {
	case syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ENETRESET, syscall.EHOSTDOWN, syscall.EHOSTUNREACH:
		return true
	default:
		return false
	}
}

// asked reports whether the address itself is at fault.
func asked(errno syscall.Errno, network string) bool {
	switch errno {
	case syscall.EACCES, syscall.EPERM, syscall.EINVAL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT:
		return true
	case syscall.ENOENT: // the socket's file is there while its server runs
		return network != "unix" && network != "unixgram" && network != "unixpacket"
	default:
		return false
	}
}
