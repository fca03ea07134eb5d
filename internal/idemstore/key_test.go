package idemstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

func TestAKeyIsNormalizedOnce(t *testing.T) {
	for name, id := range map[string]string{
		"plain": "order-1", "255 bytes": strings.Repeat("x", 255), "256 bytes": strings.Repeat("x", 256),
		"NUL": "a\x00b", "not UTF-8": "a\xffb", "runes": strings.Repeat("é", 200),
	} {
		once, err := idemstore.Key{Handler: "h", ID: id}.Normalize()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(once.ID) > idemstore.MaxKey || strings.ContainsRune(once.ID, 0) {
			t.Errorf("%s: %q cannot be stored", name, once.ID)
		}
		if hashed := strings.HasPrefix(once.ID, "sha256:"); hashed == (name == "plain" || name == "255 bytes") {
			t.Errorf("%s: hashed: %v", name, hashed)
		}
		if twice, err := once.Normalize(); err != nil || twice != once {
			t.Errorf("%s: normalized twice it is %q, %v", name, twice.ID, err)
		}
	}
}

func TestAnErrorAboutAKeyDoesNotRepeatIt(t *testing.T) {
	_, err := idemstore.Key{Handler: strings.Repeat("secret", 100), ID: "secret"}.Normalize()
	if !errors.Is(err, idemstore.ErrInvalid) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}
