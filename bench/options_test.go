package main

import (
	"io"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/bench/env"
)

func TestAllProblemsOfTheCommandLineAreReportedTogetherAndWithoutSecrets(t *testing.T) {
	env := map[string]string{"POSTGRES_URL": "mysql://user:hunter2@db/x", "AMQP_URL": "amqp://user:hunter2@h:x"}
	_, err := parse([]string{"--mode", "fast", "--scale", "0", "--only", "kafka,coffee", "--runs", "-1", "--payload", "3", "--json", "", "more"}, func(k string) string { return env[k] }, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"--mode", "--scale", "coffee", "--runs", "--payload", "--json", "POSTGRES_URL", "AMQP_URL", `"more"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is printed: %v", err)
	}
}

func parsed(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(args, func(k string) string { return map[string]string{"KAFKA_URL": "kafka://h:1"}[k] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheQuickModeLeavesOutWhatIsNotAMainRow(t *testing.T) {
	all := []env.Section{{Name: "kafka", Quick: true}, {Name: "mariadb"}}
	for mode, want := range map[string]int{"full": 2, "quick": 1} {
		if got := parsed(t, "--mode", mode).choose(all); len(got) != want {
			t.Errorf("%s: %v", mode, names(got))
		}
	}
	if got := parsed(t, "--mode", "quick", "--scale", "0.2").amount(); got != 0.1 {
		t.Errorf("a quick run does %v of the work", got)
	}
	if got := parsed(t, "--mode", "quick", "--only", "mariadb").choose(all); len(got) != 1 || got[0].Name != "mariadb" {
		t.Errorf("asked for: %v", names(got))
	}
}

func TestOnlyAFullRunReplacesTheResultsInTheDocs(t *testing.T) {
	if !parsed(t, "--docs", "d").publishes() {
		t.Error("a full run does not")
	}
	for _, args := range [][]string{{}, {"--docs", "d", "--mode", "quick"}, {"--docs", "d", "--only", "kafka"}, {"--docs", "d", "--subject", "x"}} {
		if parsed(t, args...).publishes() {
			t.Errorf("%v would replace them", args)
		}
	}
}

func TestWhatStandsBetweenTheMarksIsReplacedAndNothingElse(t *testing.T) {
	got, err := replaceBetween("a <b> old <e> z <b>", "<b>", "<e>", "new\n")
	if want := "a <b>\nnew\n<e> z <b>"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceBetween("a <b> old", "<b>", "<e>", "new"); err == nil {
		t.Error("no error without the second mark")
	}
}
