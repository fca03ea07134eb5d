package topology_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker/topology"
)

const swappable = `
brokers:
  main:
    url: ${BROKER_URL:fake://one}
    options: {consumer_group: orders, publish_timeout: 3s, close_timeout: 200ms}
    driver_options:
      kafka: {acks: all, partitions: 4}
      redis: {nack_delay: 200ms}
      nats: {stream: ORDERS}
topics: {orders.created: {broker: main, dead_letter: orders.dead}}
`

func TestOneVariableSwapsTheBroker(t *testing.T) {
	for url, want := range map[string]string{
		"":                                     "fake://one ",
		"kafka://h:1":                          "kafka://h:1 acks=all&partitions=4",
		"kafka://h:1?tls=true":                 "kafka://h:1 tls=true&acks=all&partitions=4",
		"kafka://h:1?acks=all&partitions=4":    "kafka://h:1 acks=all&partitions=4",
		"rediss://h/0?consumer_group=from-url": "rediss://h nack_delay=200ms",
	} {
		fakes := reset(t)
		top := open(t, swappable, map[string]string{"BROKER_URL": url})
		if len(fakes) != 1 {
			t.Fatalf("%d brokers are open", len(fakes))
		}
		for host, f := range fakes {
			if got := f.scheme + "://" + host + " " + f.query; got != want {
				t.Errorf("%q opened %s, want %s", url, got, want)
			}
			sub, err := top.Subscriber("orders.created", "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sub.Subscribe(t.Context(), "orders.created"); err != nil {
				t.Fatal(err)
			}
			if group := map[bool]string{true: "from-url", false: "orders"}[f.scheme == "rediss"]; f.group != group {
				t.Errorf("%q subscribes group %s, want %s", url, f.group, group)
			}
			if err := top.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAConfigurationIsReadAsItStands(t *testing.T) {
	c := parse(t, swappable, nil)
	b := c.Brokers["main"]
	if b.URL != "fake://one" || b.ConsumerGroup != "orders" || b.PublishTimeout != 3*time.Second || b.CloseTimeout != 200*time.Millisecond ||
		b.DriverOptions["kafka"]["partitions"] != "4" || b.DriverOptions["nats"]["stream"] != "ORDERS" {
		t.Errorf("broker is %+v", b)
	}
	if got := c.Topics["orders.created"]; got != (topology.Topic{Broker: "main", DeadLetter: "orders.dead"}) {
		t.Errorf("topic is %+v", got)
	}
}

func TestAVariableNeverBecomesStructure(t *testing.T) {
	fakes := reset(t)
	open(t, "brokers: {main: {url: 'fake://u:${PASS}@h'}}", map[string]string{"PASS": "x}, evil%3A {url"})
	if f := fakes["h"]; f == nil || f.password != "x}, evil: {url" {
		t.Errorf("opened %+v", fakes)
	}
	if c := parse(t, "brokers: {main: {url: 'fake://$${HOST}'}}", nil); c.Brokers["main"].URL != "fake://${HOST}" {
		t.Errorf("got %v", c)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	fakes := reset(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"url": "fake://u:" + canary + "@one\n", "password": "p@ss/w:rd?#%\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `
brokers:
  one: {url_file: "${DIR}/url"}
  two: {url: "fake://u@two?tls=true", password_file: "${DIR}/password"}
  three: {url: "fake://three", password_file: "${DIR}/password"}
`
	open(t, text, map[string]string{"DIR": dir})
	if f := fakes["one"]; f.password != canary {
		t.Errorf("one has password %q", f.password)
	}
	if f := fakes["two"]; f.user != "u" || f.password != "p@ss/w:rd?#%" || f.query != "tls=true" {
		t.Errorf("two is %+v", f)
	}
	if f := fakes["three"]; f.user != "" || f.password != "p@ss/w:rd?#%" {
		t.Errorf("three is %+v", f)
	}
}

func TestNoFormOfAConfigurationShowsASecret(t *testing.T) {
	c := topology.Config{Brokers: map[string]topology.Broker{
		"a": {URL: "fake://u:" + canary + "@h1:1,h2:2"},
		"b": {URL: "fake://u@h", Password: canary, DriverOptions: map[string]map[string]string{"fake": {"sasl_password": canary, "tls": "true"}}},
		"c": {URL: "fake://u:" + canary + "/x@h"},
		"d": {URL: canary},
		"e": {URL: "fake://h?auth_token=" + canary},
	}}
	for _, text := range []string{
		c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%+v %#v", c.Brokers, c.Brokers), c.LogValue().String(),
		fmt.Sprint(slog.AnyValue(c.Brokers["b"]).Resolve()), fmt.Sprint(c.Validate()),
	} {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
	for _, want := range []string{"fake://u:***@h1:1,h2:2", "fake://u:***@h", `sasl_password: '***'`, `tls: "true"`} {
		if !strings.Contains(c.String(), want) {
			t.Errorf("%s is missing in\n%s", want, c)
		}
	}
	again := parse(t, parse(t, swappable, nil).String(), nil)
	if again.String() != parse(t, swappable, nil).String() {
		t.Errorf("what is shown reads as another configuration:\n%s", again)
	}
}

func TestEveryMistakeIsToldWithItsLineAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":         {"", []string{"is empty"}},
		"no mapping":      {"- a", []string{"line 1: is no mapping"}},
		"no YAML":         {"brokers:\n  main: {url: '" + canary + "\n", []string{"is no YAML"}},
		"two documents":   {"brokers: {a: {url: fake://h}}\n---\nx: y", []string{"several documents"}},
		"no brokers":      {"topics: {}", []string{"brokers: is missing"}},
		"empty brokers":   {"brokers:\ntopics:\n", []string{"line 1: brokers: has nothing under it", "line 2: topics: has nothing"}},
		"brokers is text": {"brokers: " + canary, []string{"line 1: brokers: must be a mapping"}},
		"unknown keys": {"brokres: {}\nbrokers:\n  main:\n    ulr: fake://h\n    option: {}\n    options: {group: x}\ntopics:\n  t: {dead: x}\n",
			[]string{`line 1: brokres: unknown key: did you mean "brokers"?`, `line 4: brokers.main.ulr: unknown key: did you mean "url"?`,
				`line 5: brokers.main.option: unknown key: did you mean "options"?`, `line 6: brokers.main.options.group: unknown key: known: close_timeout, consumer_group, publish_timeout`,
				`line 8: topics.t.dead: unknown key`, `line 3: brokers.main: has no url`}},
		"twice":      {"brokers:\n  a: {url: fake://h}\n  a: {url: fake://h}\n", []string{"line 3: brokers.a: is given again, after line 2"}},
		"an alias":   {"brokers:\n  a: &x {url: fake://h}\n  b: *x\n", []string{"line 2: brokers.a: uses an anchor", "line 3: brokers.b: uses an anchor"}},
		"a merge":    {"brokers:\n  a:\n    <<: {url: fake://h}\n", []string{"line 3: brokers.a.<<: uses an anchor", "line 2: brokers.a: has no url"}},
		"no value":   {"brokers:\n  a:\n    url:\n", []string{"line 3: brokers.a.url: has no value"}},
		"empty":      {"brokers: {a: {url: ' '}}", []string{"line 1: brokers.a.url: is empty"}},
		"no scalar":  {"brokers: {a: {url: [fake://h]}}", []string{"line 1: brokers.a.url: must be one value"}},
		"variables":  {"brokers:\n  a: {url: 'fake://${HOST}:${}'}", []string{"line 2: brokers.a.url: needs the variable HOST", "line 2: brokers.a.url: has a ${}"}},
		"both":       {"brokers:\n  a:\n    url: fake://h\n    url_file: " + secret, []string{"line 4: brokers.a.url_file: says the same as url in line 3"}},
		"no file":    {"brokers:\n  a: {url_file: /no/such}", []string{"line 2: brokers.a.url_file: file /no/such cannot be read"}},
		"a bad file": {"brokers:\n  a: {url_file: " + secret + "}", []string{"line 2: brokers.a: the URL has no scheme"}},
		"two passwords": {"brokers:\n  a: {url: 'fake://u:" + canary + "@h', password_file: " + secret + "}",
			[]string{"line 2: brokers.a: has a password in its URL and a password_file"}},
		"durations": {"brokers:\n  a: {url: fake://h, options: {publish_timeout: 10, close_timeout: -1s}}",
			[]string{"publish_timeout: must be a duration with its unit", "close_timeout: must be a duration"}},
		"URLs": {"brokers:\n  a: {url: 'fakee://u:" + canary + "@h'}\n  b: {url: 'fake://h?partitions=0&acs=all'}\n  c: {url: 'fake://u:" + canary + "#@h'}",
			[]string{`line 2: brokers.a: url: unknown scheme "fakee": did you mean fake://?`, "line 3: brokers.b: url: parameter partitions: must be a whole number",
				`line 3: brokers.b: url: unknown parameter "acs": did you mean acks?`, `line 4: brokers.c: the URL has a "#"`}},
		"a driver option": {"brokers:\n  a: {url: fake://h, driver_options: {fake: {partitions: zero}}}", []string{"line 2: brokers.a: url: parameter partitions"}},
		"a conflict": {"brokers:\n  a: {url: 'fake://h?acks=" + canary + "', driver_options: {fake: {acks: all}}}",
			[]string{"line 2: brokers.a: driver_options.fake: acks has another value in the URL"}},
		"a conflict of two schemes": {"brokers:\n  a: {url: 'rediss://h', driver_options: {redis: {tls: 1}, rediss: {tls: 2}}}",
			[]string{"driver_options.rediss: tls has another value under a scheme of the same driver"}},
		"a group as driver option": {"brokers:\n  a: {url: fake://h, driver_options: {fake: {consumer_group: g}}}", []string{"consumer_group belongs into options"}},
		"an unknown scheme": {"brokers:\n  a: {url: fake://h, driver_options: {kafak: {acks: all}, postgres: {}}}",
			[]string{`line 2: brokers.a: driver_options.kafak: unknown scheme: did you mean "kafka"?`}},
		"a name":            {"brokers:\n  'a b': {url: fake://h}", []string{"line 2: brokers.a b: the name of a broker"}},
		"an unknown broker": {"brokers: {main: {url: fake://h}}\ntopics:\n  t: {broker: mian}", []string{`line 3: topics.t: broker: there is none with the name "mian": did you mean "main"?`}},
		"no broker":         {"brokers: {a: {url: fake://h}, b: {url: fake://h}}\ntopics:\n  t: {dead_letter: d}", []string{`line 3: topics.t: topic "t" has no broker`}},
		"a round": {"brokers: {a: {url: fake://h}}\ntopics:\n  t: {dead_letter: u}\n  u: {dead_letter: t}\n  v: {dead_letter: u}\n  w: {dead_letter: w}",
			[]string{"line 3: topics.t: dead_letter: leads back", "line 4: topics.u: dead_letter: leads back", "line 6: topics.w: dead_letter: leads back"}},
		"dead letters of two brokers": {"brokers: {a: {url: fake://h}, b: {url: fake://h}}\ntopics:\n  t: {broker: a, dead_letter: d}\n  u: {broker: b, dead_letter: d}",
			[]string{`line 3: topics.t: dead_letter: topic "d" takes the dead letters of "t" and "u"`, "line 4: topics.u: dead_letter"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := topology.Parse([]byte(c.text), nil)
			if err == nil {
				t.Fatal("it was taken")
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("a secret is told: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in\n%v", want, err)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) {
				t.Errorf("%d problems are told, want %d:\n%v", lines, len(c.want), err)
			}
		})
	}
}

func TestAConfigurationBuiltInCodeIsCheckedToo(t *testing.T) {
	err := topology.Config{
		Brokers: map[string]topology.Broker{"a": {URL: "fake://h", PublishTimeout: -1, CloseTimeout: -1}, "b": {}},
		Topics:  map[string]topology.Topic{"": {Broker: "a"}, "t": {Broker: "c"}},
	}.Validate()
	for _, want := range []string{"brokers.a: options.publish_timeout", "brokers.a: options.close_timeout", "brokers.b: has no url", "topics.: the name of a topic is empty", `topics.t: broker: there is none`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add(swappable)
	f.Add("brokers: {a: {url: '${S}', driver_options: {fake: {acks: 1}}}}\ntopics: {t: {dead_letter: u}, u: {dead_letter: t}}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := topology.Parse([]byte(text), func(string) (string, bool) { return "fake://h", true })
		if err == nil && c.Validate() != nil {
			t.Errorf("%q was taken and is not valid", text)
		}
	})
}
