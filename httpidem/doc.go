// Package httpidem makes an HTTP API safe to repeat: a network retry, a double
// click or an impatient user has its effect once, whichever instance behind the
// balancer each request reaches.
//
// It has four parts, each on its own:
//
//	New, NewTx   the Idempotency-Key header: the first request runs, the others get its response
//	Tokens       the server issues a token; the request that brings it runs, once
//	Lock         one request at a time for an operator and a resource; the others fail at once
//	OnConflict   the last guard: a unique index, and the row that is there already
//
// All of them stand on the stores of package idempotency: memorystore,
// redisstore and sqlstore in middleware/idempotency, or one of your own.
//
// # The Idempotency-Key header
//
//	guard, err := httpidem.New(store, httpidem.Config{Scope: tenantOf})
//	mux.Handle("POST /orders", guard.Middleware(placeOrder))
//
// After draft-ietf-httpapi-idempotency-key-header-07, an expired draft. Safe
// methods (GET, HEAD, OPTIONS, TRACE) pass. Of the others, a request meets:
//
//	no key, where Config.Required wants one    400 idempotency-key-missing
//	several headers, or a malformed one        400 idempotency-key-malformed
//	a client that Config.Scope does not know   403 client-unknown
//	a body over Config.MaxBody                 413 body-too-large, nothing stored
//	a new key, or a released one               runs
//	a key whose request is still running       409 request-in-progress, with Retry-After
//	a key of another method, path or body      422 idempotency-key-reused
//	a key whose request has ended              the earlier response, Idempotency-Replayed: true
//	a store that is away                       503 store-unavailable, with Retry-After
//
// The bodies are Problem Details (RFC 9457) with stable types, see Problem.
//
// A record belongs to what Config.Scope says of the client, to method, route and
// key, all hashed: a client's key never meets another client's response. The
// fingerprint that tells a repeated request from another one is over method, path,
// query, Config.FingerprintHeaders and body, or what Config.Fingerprint says.
//
// 2xx, 3xx and 4xx are stored with status, body and Config.ReplayHeaders, for
// Config.Retention, which belongs into the API's documentation. 5xx, 429 and a
// panic release the key: the next request with it, and with the same body, runs. So does
// a handler that calls NotExecuted, because it refused the request before it did
// anything; then even another body may come under the key.
//
// # While the handler runs
//
// The body has been read before. The response is held back until its record is
// complete, so nobody sees a success that a retry would not get again. Where the
// handler streams (a Flush, a Hijack, or more than Config.MaxResponse bytes), its
// response goes through as it comes, and is not stored: a duplicate gets 409
// response-not-replayable, and nothing runs again.
//
// A client that goes away does not cancel the handler: its context keeps the
// values and the deadline of the request's, and ends with ErrLeaseLost once another
// request has taken the record, as can happen to a process that was frozen for
// longer than Config.Lease. Fence returns a number with which a resource can refuse
// such a late writer.
//
// http.ResponseController works: deadlines and full duplex reach the connection,
// Flush and Hijack begin a stream as above. Informational responses (1xx) go through.
// The writer is no http.Pusher and no io.ReaderFrom.
//
// # What a crash leaves
//
//	New on memory     gone with the process, record and all: runs again
//	New on Redis      the record, in progress until its lease ends; then Config.Takeover
//	New on SQL        decides: run again (the effect may be there twice), or refuse
//	NewTx on SQL      nothing, or effect, record and response: they commit together
//
// NewTx runs the handler in a transaction, which its context carries (Native), and
// which also holds the record and the response. What the handler writes through it
// happens once. The response is sent after the commit; what is not stored is
// rolled back. Its Runner is DB, or forwarder/pgxtx.Runner for pgx.
//
// # Cleaning up
//
// Redis and memory forget by themselves. In SQL the records are rows of
// sluicegate_inbox that sqlstore's Purge removes once their time is over; the janitor
// of a Stack calls it, and a service without one calls it now and then.
//
// # Routers
//
// chi, and whatever takes a func(http.Handler) http.Handler:
//
//	r.With(guard.Middleware).Post("/orders", placeOrder)
//
// echo, where an error must become its response inside of the middleware:
//
//	e.POST("/orders", placeOrder, echo.WrapMiddleware(guard.Middleware), func(next echo.HandlerFunc) echo.HandlerFunc {
//		return func(c echo.Context) error {
//			if err := next(c); err != nil {
//				c.Error(err)
//			}
//			return nil
//		}
//	})
//
// gin, around the engine; test/httpidem has an adapter for single routes:
//
//	http.ListenAndServe(addr, guard.Middleware(engine))
package httpidem
