package kafka

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"

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

func TestTheZeroURLConfirmsEveryPublishAndStartsAtTheOldest(t *testing.T) {
	o := mustOptions(t, "kafka://localhost")
	c := o.config
	if o.addrs[0] != "localhost:9092" {
		t.Errorf("address %q", o.addrs[0])
	}
	if c.Producer.RequiredAcks != sarama.WaitForAll || !c.Producer.Idempotent || c.Net.MaxOpenRequests != 1 {
		t.Error("the producer is not confirmed by all, idempotent and in order")
	}
	if c.Consumer.Offsets.Initial != sarama.OffsetOldest {
		t.Error("a new group misses what was published before")
	}
	if c.Metadata.AllowAutoTopicCreation {
		t.Error("topics are created behind our back")
	}
}

func TestBadURLsAreRefusedWithWhatToDo(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, wants := range map[string][]string{
		"":                               {"empty"},
		"localhost:9092":                 {"no scheme"},
		"kafak://h":                      {"did you mean kafka://?"},
		"kafka://":                       {"no host"},
		"kafka://h:99999":                {"host 1: its port"},
		"kafka://h1:9092,,h3:x":          {"host 2: it is empty", "host 3: its port"},
		"kafka://::1:9092":               {"brackets"},
		"kafka://h/topic":                {"no path"},
		"kafka://h?consumer_groop=a":     {"consumer_groop"},
		"kafka://h?acks=1":               {"acks: must be all"},
		"kafka://h?partitons=3&tls=yes":  {"did you mean partitions?", "tls: unknown value"},
		"kafka://h?partitions=0":         {"partitions: must be"},
		"kafka://h?replication_factor=0": {"replication_factor"},
		"kafka://h?commit_interval=5":    {"with its unit"},
		"kafka://h?concurrency=0&window=0&prefetch=-1&prefetch_bytes=x": {
			"concurrency: must be", "window: must be", "prefetch: must be", "prefetch_bytes: ",
		},
		"kafka://h?session_timeout=1s":                   {"session_timeout: must be from 6s"},
		"kafka://h?tls_ca_file=/x":                       {"tls: must be true"},
		"kafka://h?tls=true&tls_ca_file=/does/not/exist": {"tls_ca_file: cannot be read"},
		"kafka://h?tls=true&tls_ca_file=" + empty:        {"no certificate"},
		"kafka://h?tls=true&tls_cert_file=" + empty:      {"needs tls_key_file"},
		"kafka://h?sasl=plain":                           {"needs a user name and a password"},
		"kafka://user:pw@h":                              {"sasl: is missing"},
		"kafka://user:pw@h?sasl=scram-sha-25":            {"did you mean scram-sha-256?"},
		"kafka://h?nack_delay=1m&nack_delay_max=1s":      {"nack_delay_max: must not be less"},
		"kafka://h?tls=true&tls=true":                    {"2 times"},
		"kafka://h?consumer_group=":                      {"consumer_group: is empty"},
		"kafka://h?a=%zz":                                {"broken %-escape"},
		"kafka://user:p@ss@h?sasl=plain":                 {"two \"@\""},
		"kafka://user:p/w@h":                             {`write "/" as %2F`},
		"kafka://user:p?w@h":                             {`write "?" as %3F`},
		"kafka://user:p#w@h":                             {"write it as %23"},
		"kafka://h\n":                                    {"control character"},
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
		"kafka://user:" + secret + "@h",
		"kafka://user:" + secret + "@h:99999?sasl=plian",
		"kafka://user:" + secret + "/x@h",
		"kafka://user:" + secret + "?x@h",
		"kafka://user:" + secret + "#x@h",
		"kafka://user:x?" + secret + "@h",
		"kafka://user:x/" + secret + "@h",
		"kafka://user:%zz" + secret + "@h?sasl=plain",
		"kafak://user:" + secret + "@h",
		"kafka://" + secret + "@h?sasl=plain",
		"kafka:user:" + secret + "@h",
		"kafka://h?password=" + secret,
		"kafka://h?sasl=" + secret,
		"kafka://h?partitions=" + secret,
		"kafka://user:" + secret + "@h,user2:" + secret + "@h2?sasl=plain",
	} {
		err := broker.Validate(raw)
		if err == nil {
			t.Errorf("%q is accepted", raw)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("shown: %v", err)
		}
	}
}

func TestGoodURLsAreAccepted(t *testing.T) {
	for _, raw := range []string{
		"kafka://h1:9092,h2:9093,[::1]:9094,h4?consumer_group=g&create_topics=false",
		"KAFKA://h?tls=true&partitioner=fnv&compression=zstd&acks=all",
		"kafka://us%40er:p%2Fw%23@h:9093?tls=true&sasl=scram-sha-512&nack_delay=1m",
		"kafka://user:p%40ss@h?sasl=plain",
	} {
		if err := broker.Validate(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	c := mustOptions(t, "kafka://us%40er:p%2Fw%23@h:9093?sasl=scram-sha-512").config
	if c.Net.SASL.User != "us@er" || c.Net.SASL.Password != "p/w#" || c.Net.SASL.Mechanism != sarama.SASLTypeSCRAMSHA512 {
		t.Error("user name, password or mechanism is wrong")
	}
}
