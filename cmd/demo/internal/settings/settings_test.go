package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/sluicegate/sluicegate/broker/kafka"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
)

const canary = "cAnArY-5ecret"

func environment(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreSQLiteMemoryAndTheSQLStrength(t *testing.T) {
	s, err := Load(Input{Command: Run, Env: environment(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if s.Database != "" || s.Broker != "memory://" || s.Idempotency != "" || s.Orders != 200 || s.Output != Text || !s.Roles.Complete() || s.ListenSet {
		t.Errorf("defaults are %+v", s)
	}
}

func TestAFlagWinsOverTheEnvironmentOverTheFileOverTheDefault(t *testing.T) {
	file := write(t, "broker: memory://\ndatabase: postgres://file/db\nidempotency: redis://file:6379\norders: 7\n")
	s, err := Load(Input{
		Command: Run, File: file,
		Env:   environment(map[string]string{EnvDatabase: "postgres://env/db", EnvIdempotency: "redis://env:6379", EnvBroker: ""}),
		Flags: map[string]string{"idempotency": "redis://flag:6379", "deadline": "9s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Orders != 7 || s.Database != "postgres://env/db" || s.Idempotency != "redis://flag:6379" || s.Deadline != 9*time.Second || s.Broker != "memory://" {
		t.Errorf("got %+v", s)
	}
}

func TestAFileTakesListsVariablesAndSecretsFromFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(secret, []byte("postgres://u:"+canary+"@h/db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, "database_file: "+secret+"\nroles: [relay, api]\nbroker: ${BROKER:memory://}\nidempotency: redis://u:${PASS}$${x}@h\ndrain_timeout: 3s\n")
	in := Input{Command: Run, File: file, Env: environment(map[string]string{"PASS": canary + ": x\n- y"})}
	if _, err := Load(in); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("a variable with a line end in a URL: %v", err)
	}
	in.Env = environment(map[string]string{"PASS": "p"})
	s, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if s.Database != "postgres://u:"+canary+"@h/db" || s.Roles.String() != "api,relay" || s.Idempotency != "redis://u:p${x}@h" || s.DrainTimeout != 3*time.Second {
		t.Errorf("got %+v", s)
	}
	if text := fmt.Sprint(s.LogValue()); strings.Contains(text, canary) {
		t.Errorf("LogValue repeats a secret: %s", text)
	}
}

func TestAFileMayNameBrokersAndTopicsAndOneVariableSwapsThem(t *testing.T) {
	text := "orders: 7\nbrokers:\n  main: {url: '${URL:memory://}'}\n  other: {url: kafka://h:9092}\n\ntopics:\n  orders.placed: {broker: main}\n  orders.paid: {broker: other}\nseed: 3\n"
	file := write(t, text)
	in := Input{Command: Run, File: file, Env: environment(nil)}
	s, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if s.Orders != 7 || s.Seed != 3 || len(s.Topology().Brokers) != 2 || s.Topology().Topics["orders.paid"].Broker != "other" {
		t.Errorf("got %+v", s)
	}
	in.Env = environment(map[string]string{EnvBroker: "kafka://swapped:1"})
	if s, err = Load(in); err != nil || len(s.Topology().Brokers) != 1 || s.Topology().Brokers["main"].URL != "kafka://swapped:1" {
		t.Errorf("got %+v, %v", s, err)
	}
	in.Env = environment(nil)
	for text, want := range map[string][]string{
		"seed: 3\nbrokers:\n  main: {ulr: memory://}\ntopics:\n  t: {broker: x}\nordrs: 1\n": {`line 3: brokers.main.ulr: unknown key: did you mean "url"?`, "line 5: topics.t: broker: there is none", `ordrs: is unknown: did you mean "orders"?`},
		"broker: memory://\nbrokers:\n  main: {url: memory://}\n":                            {"broker: and brokers say the same"},
		"{brokers: {main: {url: memory://}}}":                                                {"begin it on a line of its own"},
		"topics:\n  t: {dead_letter: d}\n":                                                   {"brokers: is missing"},
		"brokrs:\n  main: {url: memory://}\n":                                                {`brokrs: is unknown: did you mean "brokers"?`},
	} {
		in.File = write(t, text)
		_, err := Load(in)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q is missing in %v", w, err)
			}
		}
	}
}

func TestEveryProblemIsToldWithItsPlaceAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name  string
		cmd   Command
		flags map[string]string
		env   map[string]string
		file  string // text of a file, or a path that begins with /
		want  []string
	}{
		{name: "numbers", flags: map[string]string{"orders": "-1", "seed": "x", "deadline": "10", "drain-timeout": "-1s"},
			want: []string{"--orders: must be a whole number from 1", "--seed: must be", "--deadline: must be a duration with a unit", "--drain-timeout: must be from"}},
		{name: "a zero and a number that is too large", flags: map[string]string{"orders": "0", "seed": "18446744073709551616"},
			want: []string{"--orders", "--seed"}},
		{name: "words", flags: map[string]string{"output": "jsn", "log-level": "inf", "insecure-listen": "maybe"},
			want: []string{`--output: must be one of text, json, did you mean "json"?`, `--log-level: must be one of debug, info, warn, error, did you mean "info"?`, "--insecure-listen: must be true or false"}},
		{name: "URLs from everywhere",
			flags: map[string]string{"database": "postgre://u:" + canary + "@h/db"},
			env:   map[string]string{EnvBroker: "memry://u:" + canary + "@", EnvIdempotency: "redis://u:" + canary + "@h/x?pol_size=1"},
			want:  []string{`--database: scheme "postgre" is unknown: did you mean "postgres"?`, EnvBroker + `: `, "did you mean memory://", EnvIdempotency + `: parameter "pol_size"`}},
		{name: "an empty URL", flags: map[string]string{"database": "", "broker": "", "idempotency": ""},
			want: []string{"--database: is empty", "--broker: ", "--idempotency: is empty"}},
		{name: "a database of Redis", flags: map[string]string{"idempotency": "redis://h:6379/zero"}, want: []string{"number of a database"}},
		{name: "a path of memory", flags: map[string]string{"idempotency": "memory://h/0"}, want: []string{"write memory://"}},
		{name: "roles", cmd: Serve, flags: map[string]string{"roles": "api,api,paiment,dashboard,"},
			want: []string{`"api" is given twice`, `did you mean "payment"?`, "dashboard is not there yet", "empty role"}},
		{name: "addresses", cmd: Serve, flags: map[string]string{"listen": "8080"}, want: []string{"--listen: must be host:port"}},
		{name: "an open address", cmd: Serve, flags: map[string]string{"listen": ":8080"}, want: []string{"open to other machines", "--insecure-listen"}},
		{name: "a topic", cmd: Serve, flags: map[string]string{"topic-suffix": "a b"}, want: []string{"--topic-suffix: must be at most 100"}},
		{name: "a port", cmd: Serve, flags: map[string]string{"listen": "127.0.0.1:99999"}, want: []string{"0 to 65535"}},
		{name: "a part of the shop without servers", cmd: Serve, flags: map[string]string{"roles": "api", "idempotency": "memory://"},
			want: []string{"SQLite serves one process", "the memory broker ends at the process", "records in memory are lost"}},
		{name: "keys", file: "ordrs: 1\nbroker: memory://\nbroker: memory://\n", want: []string{"line 3: broker is given again, after line 2"}},
		{name: "an unknown key", file: "ordrs: 1\nlisten_file: /x\n", want: []string{`ordrs: is unknown: did you mean "orders"?`, "listen_file: is unknown"}},
		{name: "shapes", file: "orders: {a: 1}\nseed:\nroles: [1, 2]\n", want: []string{"orders: must be one value", "seed: has no value", "roles: must be a list of words"}},
		{name: "a variable", file: "database: postgres://u:${NOT_SET}@h/db\nbroker: ${}\n", want: []string{"database: needs the variable NOT_SET", "broker: has a ${}"}},
		{name: "twice the same", file: "database: postgres://u@h/db\ndatabase_file: /no/such\n", want: []string{"database_file: "}},
		{name: "no secret file", file: "database_file: /no/such/file\n", want: []string{"/no/such/file cannot be read"}},
		{name: "a folder as secret", file: "database_file: " + dir + "\n", want: []string{"is a folder"}},
		{name: "an empty file", file: " \n", want: []string{"is empty"}},
		{name: "only comments", file: "# nothing\n", want: []string{"holds no settings"}},
		{name: "a folder", file: dir, want: []string{"is a folder"}},
		{name: "no file", file: "/no/such/demo.yaml", want: []string{"no such file"}},
		{name: "a tab", file: "broker:\n\tmemory://\n", want: []string{"line 2: is indented by a tab"}},
		{name: "a byte order mark", file: "\xEF\xBB\xBForders: 1\n", want: []string{"byte order mark"}},
		{name: "UTF-16", file: "\xFF\xFEo\x00", want: []string{"UTF-16"}},
		{name: "not UTF-8", file: "orders: \xff\n", want: []string{"not in UTF-8"}},
		{name: "two documents", file: "orders: 1\n---\norders: 2\n", want: []string{"several documents"}},
		{name: "a list", file: "- orders\n", want: []string{"is no mapping"}},
		{name: "no YAML", file: "database: [" + canary + "\n", want: []string{"is no YAML"}},
		{name: "an alias", file: "broker: &a memory://\nidempotency: *a\n", want: []string{"line 1: uses an anchor", "line 2: uses an anchor"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Command: c.cmd, Flags: c.flags, Env: environment(c.env), File: c.file}
			if c.cmd == "" {
				in.Command = Run
			}
			if c.file != "" && !strings.HasPrefix(c.file, "/") {
				in.File = write(t, c.file)
			}
			_, err := Load(in)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("problems do not tell %q:\n%v", w, err)
				}
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("problems repeat a secret:\n%v", err)
			}
		})
	}
}

func TestTheExampleFileIsGoodForBothCommands(t *testing.T) {
	for _, c := range []Command{Run, Serve} {
		s, err := Load(Input{Command: c, Env: environment(nil), File: "../../demo.example.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		if s.Orders != 500 || !strings.HasPrefix(s.Database, "postgres://") {
			t.Errorf("%s: %+v", c, s)
		}
	}
}

func TestPartOfTheShopIsTakenWithServersBehindIt(t *testing.T) {
	for _, roles := range []string{"api,relay", "payment"} {
		s := Settings{Database: "postgres://u@h/db", Broker: "kafka://h:9092", Roles: mustRoles(t, roles)}
		v := values{from: map[string]string{}}
		var problems Problems
		v.combine(Serve, s, &problems)
		if len(problems) > 0 {
			t.Errorf("%s: %v", roles, problems)
		}
	}
}

func mustRoles(t *testing.T, list string) role.Set {
	t.Helper()
	s, err := role.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzAFileNeverPanicsNorLoadsUnchecked(f *testing.F) {
	for _, seed := range []string{"orders: 1\n", "a: &a [*a]\n", "? x\n: y\n", "<<: 1\n", "broker: !!binary x\n", "\x00"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "f.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Load(Input{Command: Run, Env: environment(nil), File: path})
		if err == nil && (s.Orders < 1 || s.Output == "") {
			t.Errorf("loaded %+v", s)
		}
	})
}
