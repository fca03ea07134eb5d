package kafka

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// The exchange of RFC 7677, section 3.
const (
	rfcFirst     = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcChallenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcProof     = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcFinal     = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func TestSCRAMAnswersAsTheRFCDoes(t *testing.T) {
	s := &scram{hash: sha256.New, nonce: "rOprNGfwEbeRWgbNEkqO"}
	if err := s.Begin("user", "pencil", ""); err != nil {
		t.Fatal(err)
	}
	for challenge, want := range map[string]string{"": rfcFirst} {
		if got, err := s.Step(challenge); got != want || err != nil {
			t.Fatalf("first message %q, %v", got, err)
		}
	}
	if got, err := s.Step(rfcChallenge); got != rfcProof || err != nil {
		t.Fatalf("proof %q, %v", got, err)
	}
	if s.Done() {
		t.Error("done before the server has proved itself")
	}
	if _, err := s.Step(rfcFinal); err != nil || !s.Done() {
		t.Fatalf("final: %v", err)
	}
}

func TestSCRAMTrustsNoServerThatDoesNotKnowThePassword(t *testing.T) {
	for what, steps := range map[string][2]string{
		"a wrong signature":          {rfcChallenge, "v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
		"an error":                   {rfcChallenge, "e=invalid-proof"},
		"another nonce":              {strings.Replace(rfcChallenge, "r=rO", "r=XX", 1), ""},
		"few iterations":             {strings.Replace(rfcChallenge, "i=4096", "i=1", 1), ""},
		"a number that never ends":   {strings.Replace(rfcChallenge, "i=4096", "i=99999999999", 1), ""},
		"something else altogether":  {"hello", ""},
		"no more than our own nonce": {"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ""},
	} {
		s := &scram{hash: sha256.New, nonce: "rOprNGfwEbeRWgbNEkqO"}
		_ = s.Begin("user", "pencil", "")
		_, _ = s.Step("")
		_, err := s.Step(steps[0])
		if err == nil {
			_, err = s.Step(steps[1])
		}
		if err == nil {
			t.Errorf("%s is accepted", what)
		} else if strings.Contains(err.Error(), "pencil") {
			t.Errorf("%s: the password is shown", what)
		}
	}
}
