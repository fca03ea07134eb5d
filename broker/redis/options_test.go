package redis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func mustOptions(t *testing.T, raw string) options {
	t.Helper()
	u, err := urlparam.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	o, err := readOptions(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheZeroURLKeepsOrderAndDeletesNothing(t *testing.T) {
	o := mustOptions(t, "redis://localhost")
	if o.addr != "localhost:6379" || o.db != 0 || o.tls != nil {
		t.Errorf("server %q, database %d", o.addr, o.db)
	}
	if !o.ordered || o.maxlen != 0 || o.retain != 0 || o.claimIdle != 30*time.Second {
		t.Errorf("%+v", o)
	}
}

func TestGoodURLsAreAccepted(t *testing.T) {
	for _, raw := range []string{
		"redis://h:6380/3?consumer_group=g&order=none&concurrency=1&prefetch=0",
		"REDIS://:p%40ss@[::1]/?retain=168h&maxlen=1000000&wait_replicas=2&wait_timeout=500ms",
		"rediss://user:pw@h?tls_server_name=redis.internal",
	} {
		if err := broker.Validate(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	o := mustOptions(t, "rediss://us%40er:p%2Fw%23@h:6380/7")
	if o.username != "us@er" || o.password != "p/w#" || o.db != 7 || o.tls.ServerName != "h" {
		t.Error("user name, password, database or server name is wrong")
	}
}

func TestBadURLsAreRefusedWithWhatToDo(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, wants := range map[string][]string{
		"redsi://h":                                      {"unknown scheme"},
		"redis://":                                       {"no host"},
		"redis://h:99999":                                {"host 1: its port"},
		"redis://h1,h2":                                  {"Redis Cluster and Sentinel are not supported"},
		"redis://h/one":                                  {"number of the database"},
		"redis://h/-1":                                   {"number of the database"},
		"redis://user@h":                                 {"without a password"},
		"redis://h?order=keys":                           {"did you mean key?"},
		"redis://h?claim_idle=10ms":                      {"claim_idle: must be from 1s"},
		"redis://h?concurency=3&prefetch=x":              {"did you mean concurrency?", "prefetch: must be"},
		"redis://h?wait_timeout=1s":                      {"wait_timeout: needs wait_replicas"},
		"redis://h?maxlen=0":                             {"maxlen: must be"},
		"redis://h?retain=1":                             {"retain: must be a duration with its unit"},
		"redis://h?tls_ca_file=" + empty:                 {"tls_ca_file: needs the scheme rediss"},
		"rediss://h?tls_ca_file=" + empty:                {"no certificate"},
		"rediss://h?tls=true":                            {"unknown parameter"},
		"redis://h?nack_delay=1m&nack_delay_max=1s&db=3": {"nack_delay_max: must not be less", "unknown parameter"},
	} {
		err := broker.Validate(raw)
		if err == nil {
			t.Errorf("%q is accepted", raw)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q is missing in: %v", raw, want, err)
			}
		}
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	const secret = "hunter2"
	for _, raw := range []string{
		"redis://user:" + secret + "@h:99999?order=kee", "redis://:" + secret + "@h1,h2", "redis://:" + secret + "@h/x",
		"redis://h?password=" + secret, "redis://h?order=" + secret, "redis://h?concurrency=" + secret, "redis://h/" + secret,
	} {
		err := broker.Validate(raw)
		if err == nil {
			t.Errorf("%q is accepted", raw)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("shown: %v", err)
		}
	}
}
