package callback

import (
	"context"
	"database/sql"
	"net/http"
)

// Caller sends the calls of one service and takes its callbacks: it is the http.Handler to
// mount where the service calls back. It is safe for concurrent use and owns no
// goroutine but within Run.
type Caller struct{}

// New returns a Caller on db, whose migrations must have run. Results leave through
// outbox. All problems of cfg are reported together, each with its field. Nothing is
// read or written here.
func New(db *sql.DB, outbox Outbox, cfg Config) (*Caller, error) { panic("to come") }

// Submit writes a call in the transaction tx, and returns its number. It is sent once
// tx has committed; Wake after the commit has that happen at once. ErrInvalid, with all
// that is wrong, and ErrExists leave the transaction as it was; after any other
// error it should be rolled back.
func (c *Caller) Submit(ctx context.Context, tx Executor, call Call) (number string, err error) {
	panic("to come")
}

// Wake has the Run of this process look for calls now. Call it after the commit. It
// never blocks.
func (c *Caller) Wake() {}

// Run sends, asks, applies parked callbacks and removes what is over, until ctx
// ends. It returns nil then, and an error only where it runs already.
func (c *Caller) Run(ctx context.Context) error { panic("to come") }

// ServeHTTP takes a callback; the package comment has the answers.
func (c *Caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {}
