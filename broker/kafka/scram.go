package kafka

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

// scram is the client's side of SCRAM (RFC 5802, RFC 7677) for one connection.
// sarama brings the exchange of the messages and leaves them to its caller.
type scram struct {
	hash func() hash.Hash

	password  string
	nonce     string
	firstBare string
	signature []byte // what the server must prove
	step      int
}

func newScramSHA256() sarama.SCRAMClient { return &scram{hash: sha256.New} }
func newScramSHA512() sarama.SCRAMClient { return &scram{hash: sha512.New} }

var escapeName = strings.NewReplacer("=", "=3D", ",", "=2C")

// Begin prepares the exchange.
func (s *scram) Begin(user, password, _ string) error {
	if s.nonce == "" {
		s.nonce = rand.Text()
	}
	s.password = password
	s.firstBare = "n=" + escapeName.Replace(user) + ",r=" + s.nonce
	return nil
}

// Step answers the server's challenge.
func (s *scram) Step(challenge string) (string, error) {
	s.step++
	switch s.step {
	case 1:
		return "n,," + s.firstBare, nil
	case 2:
		return s.proof(challenge)
	case 3:
		return "", s.verify(challenge)
	}
	return "", errors.New("SCRAM: the server sent a message too many")
}

// Done reports whether the exchange is over.
func (s *scram) Done() bool { return s.step >= 3 }

func (s *scram) proof(challenge string) (string, error) {
	fields := attributes(challenge)
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	iterations, err2 := strconv.Atoi(fields["i"])
	nonce := fields["r"]
	if err != nil || err2 != nil || len(salt) == 0 || iterations < 4096 || iterations > 1<<22 {
		return "", errors.New("SCRAM: the server's challenge is not valid")
	}
	if !strings.HasPrefix(nonce, s.nonce) || nonce == s.nonce {
		return "", errors.New("SCRAM: the server's nonce does not continue ours")
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size())
	if err != nil {
		return "", fmt.Errorf("SCRAM: derive the key: %w", err)
	}
	finalBare := "c=biws,r=" + nonce
	message := s.firstBare + "," + challenge + "," + finalBare
	clientKey := s.mac(salted, "Client Key")
	stored := s.hash()
	stored.Write(clientKey)
	proof := s.mac(stored.Sum(nil), message)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.signature = s.mac(s.mac(salted, "Server Key"), message)
	return finalBare + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) verify(challenge string) error {
	fields := attributes(challenge)
	if _, refused := fields["e"]; refused {
		return errors.New("SCRAM: the server refused the user name or password")
	}
	got, err := base64.StdEncoding.DecodeString(fields["v"])
	if err != nil || !hmac.Equal(got, s.signature) {
		return errors.New("SCRAM: the server does not know the password itself")
	}
	return nil
}

func (s *scram) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func attributes(message string) map[string]string {
	fields := map[string]string{}
	for part := range strings.SplitSeq(message, ",") {
		if name, value, found := strings.Cut(part, "="); found {
			fields[name] = value
		}
	}
	return fields
}
