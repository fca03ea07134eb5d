package main

import (
	"io"
	"strings"
	"testing"
)

func TestAllProblemsOfTheCommandLineAreReportedTogetherAndWithoutSecrets(t *testing.T) {
	env := map[string]string{"POSTGRES_URL": "mysql://user:hunter2@db/x", "KAFKA_URL": ""}
	_, err := parse([]string{"--mode", "fast", "--messages", "0", "--runs", "-1", "--payload", "3", "--json", "", "more"}, func(k string) string { return env[k] }, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"--mode", "--messages", "--runs", "--payload", "--json", "POSTGRES_URL", "KAFKA_URL", `"more"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is printed: %v", err)
	}
}
