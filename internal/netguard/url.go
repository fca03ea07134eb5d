package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// ErrURL is what errors.Is finds where a URL cannot be used.
var ErrURL = errors.New("invalid URL")

// maxURL is the longest URL, in bytes.
const maxURL = 2048

// CheckURL is Guard.CheckURL of a guard that allows nothing in particular.
func CheckURL(raw string) error { return (&Guard{}).CheckURL(raw) }

// CheckURL returns what can be seen to be wrong with a URL without asking
// anybody: ErrURL, or ErrRefused for an address that the guard would not let be
// connected to. The error does not show the URL, which may hold a secret.
func (g *Guard) CheckURL(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("%w: %d bytes, use at most %d", ErrURL, len(raw), maxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f || r == '\\' }) {
		return fmt.Errorf("%w: it has a character that no URL has", ErrURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("%w: it cannot be read", ErrURL) // url.Error shows it
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: its scheme must be http or https", ErrURL)
	case u.User != nil:
		return fmt.Errorf("%w: it must not have a user name", ErrURL)
	case u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%w: it has no host", ErrURL)
	case u.Fragment != "":
		return fmt.Errorf("%w: what follows # is never sent", ErrURL)
	}
	if err := checkPort(u.Host, u.Port()); err != nil {
		return err
	}
	return g.checkHost(u.Hostname())
}

func checkPort(host, port string) error {
	if port == "" {
		if strings.HasSuffix(host, ":") {
			return fmt.Errorf("%w: it has no port after the colon", ErrURL)
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%w: its port must be 1 to 65535", ErrURL)
	}
	return nil
}

func (g *Guard) checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Is4In6() {
			return fmt.Errorf("%w: write the address as one of IPv4", ErrURL)
		}
		return g.check(ip)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	for _, label := range labels {
		if label == "" || len(label) > 63 || len(name) > 253 || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}) {
			return fmt.Errorf("%w: its host is no name", ErrURL)
		}
	}
	switch {
	case number(last):
		// 0x7f.1, 127.1 and 2130706433 are addresses to some resolvers.
		return fmt.Errorf("%w: its host is a number and no address", ErrURL)
	case last == "localhost":
		return g.check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return nil
}

// number reports whether a label would make a host an address, by the rule of the
// URL standard of WHATWG ("ends in a number").
func number(label string) bool {
	digits, base := label, 10
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		digits, base = rest, 16
	}
	if digits == "" {
		return base == 16
	}
	_, err := strconv.ParseUint(digits, base, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// Strip returns err without the URL that http.Client puts into its errors; what
// else errors.Is and errors.As find in it stays.
func Strip(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// Timeout reports whether err says that the other side did not answer in time.
func Timeout(err error) bool {
	timed, ok := errors.AsType[net.Error](err)
	return ok && timed.Timeout()
}
