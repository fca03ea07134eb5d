package netguard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrRefused is what errors.Is finds where an address is not allowed. Nothing was
// connected to.
var ErrRefused = errors.New("address is not allowed")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

var (
	// own is what AllowPrivate opens: RFC 1122 loopback, RFC 1918 and 4193 private,
	// RFC 6598 carrier-grade NAT.
	own = prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10")

	// metadata are services of clouds that give credentials to whoever asks from
	// this machine: in private ranges, in those of carriers, and in a public one.
	metadata = prefixes("169.254.0.0/16", "fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32")

	// special is the rest of what the registries of IANA do not count as global
	// unicast (RFC 6890 and its successors), and what carries an address of IPv4
	// in one of IPv6: that is read again by a gateway which knows no guard.
	special = prefixes(
		"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	)

	// global is where addresses of IPv6 are given out; all else is refused: among it
	// NAT64 (64:ff9b::/96, 64:ff9b:1::/48), link-local and multicast.
	global = netip.MustParsePrefix("2000::/3")
)

func within(ip netip.Addr, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// check returns ErrRefused where ip must not be connected to.
func (g *Guard) check(ip netip.Addr) error {
	ip = ip.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1 to the kernel
	switch {
	case ip.Zone() != "":
	case within(ip, g.cfg.Allow):
		return nil
	case within(ip, metadata), within(ip, special):
	case within(ip, own):
		if g.cfg.AllowPrivate {
			return nil
		}
	case ip.Is4(), global.Contains(ip):
		return nil
	}
	return fmt.Errorf("%w: %s is not public", ErrRefused, ip)
}
