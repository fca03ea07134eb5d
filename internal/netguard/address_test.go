package netguard_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/netguard"
)

func guard(t *testing.T, cfg netguard.Config) *netguard.Guard {
	t.Helper()
	g, err := netguard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestOfAddressesThePublicOnesOnlyAreAllowed(t *testing.T) {
	for _, c := range []struct {
		host                   string
		public, private, named bool // allowed by the zero Config; by AllowPrivate; by Allow with the address itself
	}{
		{"8.8.8.8", true, true, true},
		{"[2606:4700::1111]", true, true, true},
		{"127.0.0.1", false, true, true},
		{"127.255.255.254", false, true, true},
		{"[::1]", false, true, true},
		{"10.0.0.1", false, true, true},
		{"172.31.255.255", false, true, true},
		{"172.32.0.1", true, true, true},
		{"192.168.1.1", false, true, true},
		{"[fd12::1]", false, true, true},
		{"100.64.0.1", false, true, true},
		{"100.127.255.255", false, true, true},
		{"100.128.0.1", true, true, true},
		{"169.254.169.254", false, false, true},
		{"[fe80::1]", false, false, true},
		{"[fd00:ec2::254]", false, false, true},
		{"[fd20:ce::254]", false, false, true},
		{"100.100.100.200", false, false, true},
		{"168.63.129.16", false, false, true},
		{"0.0.0.0", false, false, true},
		{"[::]", false, false, true},
		{"224.0.0.1", false, false, true},
		{"[ff02::1]", false, false, true},
		{"255.255.255.255", false, false, true},
		{"198.18.0.1", false, false, true},
		{"[64:ff9b::7f00:1]", false, false, true},
		{"[64:ff9b:1::7f00:1]", false, false, true},
		{"[2002:7f00:1::]", false, false, true},
		{"[2001:0:7f00:1::]", false, false, true},
		{"[::7f00:1]", false, false, true},
		{"[fec0::1]", false, false, true},
		{"[fe80::1%25eth0]", false, false, false},
		{"[::ffff:127.0.0.1]", false, false, false},
		{"[::ffff:8.8.8.8]", false, false, false},
		{"localhost", false, true, false},
		{"a.localhost.", false, true, false},
	} {
		raw := "https://" + c.host + "/x"
		if err := netguard.CheckURL(raw); (err == nil) != c.public {
			t.Errorf("%s: %v", c.host, err)
		}
		if err := guard(t, netguard.Config{AllowPrivate: true}).CheckURL(raw); (err == nil) != c.private {
			t.Errorf("%s with AllowPrivate: %v", c.host, err)
		}
		ip, err := netip.ParseAddr(strings.Trim(c.host, "[]"))
		if err != nil {
			continue
		}
		g := guard(t, netguard.Config{Allow: []netip.Prefix{netip.PrefixFrom(ip.WithZone(""), ip.BitLen())}})
		if err := g.CheckURL(raw); (err == nil) != c.named {
			t.Errorf("%s with Allow: %v", c.host, err)
		}
	}
}

func TestURLsThatCannotBeUsedAreRefusedAndNotShown(t *testing.T) {
	for _, raw := range []string{
		"", "/path", "partner.example", "ftp://canary.example", "javascript:canary()", "file:///etc/canary", "http:canary", "http://", "https:///canary",
		"http://user@canary.example", "http://user:pass@canary.example", "http://:@canary.example", "http://canary.example#x",
		"http://0x7f.1", "http://0x7f000001", "http://2130706433", "http://127.1", "http://017700000001", "http://127.0.0.0x1", "http://1.2.3.4.5", "http://0x",
		"http://canary.example:0", "http://canary.example:65536", "http://canary.example:", "http://canary.example:http",
		"http://canary .example", "http://canary.example\r\nX: y", "http://canary\\.example", "http://canäry.example", "http://can%61ry.example",
		"http://canary..example", "http://[::1", "http://canary.example/%zz", "http://canary*.example", "https://canary.example/" + strings.Repeat("a", 2048),
	} {
		err := netguard.CheckURL(raw)
		if !errors.Is(err, netguard.ErrURL) || strings.Contains(err.Error(), "can") && strings.Contains(err.Error(), "canary") {
			t.Errorf("%.60q: %v", raw, err)
		}
	}
	for _, raw := range []string{"http://partner.example", "https://partner.example:8443/a/b?token=c", "https://p_1.partner-7.example./x", "https://xn--mnchen-3ya.example"} {
		if err := netguard.CheckURL(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	_, err := netguard.New(netguard.Config{Timeout: -1, MaxBody: -1, MaxIdle: -1, Allow: []netip.Prefix{{}}})
	for _, field := range []string{"Config.Timeout", "Config.MaxBody", "Config.MaxIdle", "Config.Allow"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func Example() {
	fmt.Println(netguard.CheckURL("https://partner.example/paid"))
	fmt.Println(netguard.CheckURL("http://169.254.169.254/latest/meta-data"))
	fmt.Println(netguard.CheckURL("http://0x7f.1/"))
	// Output:
	// <nil>
	// address is not allowed: 169.254.169.254 is not public
	// invalid URL: its host is a number and no address
}
