package notify_test

import (
	"database/sql"
	"net/http"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluicegate/sluicegate/handlers/notify/notifytest"
)

// verify is the public library's word on a signature.
func verify(secret string, h http.Header, body []byte) error {
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return w.Verify(body, h)
}

func TestNotifications(t *testing.T) {
	for name, dialect := range servers {
		t.Run(name, func(t *testing.T) {
			address(t, dialect) // or it is skipped, outside of any bubble
			notifytest.Run(t, notifytest.Harness{Verify: verify, Open: func(t *testing.T) (func() *sql.DB, string) {
				t.Helper()
				return database(t, dialect)
			}})
		})
	}
}
