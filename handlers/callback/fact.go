package callback

// Kind says what an entry of the history, or a Fact, is about.
type Kind string

// The kinds. Those that have no call, because it is not there or not known, are
// Facts only.
const (
	KindSubmitted    Kind = "submitted"
	KindSent         Kind = "sent"         // the service has accepted the request
	KindSendFailed   Kind = "send_failed"  // it is sent again
	KindNoted        Kind = "noted"        // by callback or query: still at work
	KindQueryFailed  Kind = "query_failed" // no result: away, or an answer that says nothing
	KindResent       Kind = "resent"       // the service did not know the number
	KindEnded        Kind = "ended"        // the first result, by Source
	KindRepeated     Kind = "repeated"
	KindLate         Kind = "late"
	KindContradicted Kind = "contradicted"
	KindParked       Kind = "parked"
	KindExpired      Kind = "expired" // a parked callback whose call never came
	KindForged       Kind = "forged"
	KindMalformed    Kind = "malformed"
	KindOversize     Kind = "oversize"
)

// Fact is one thing that has happened, for counters and tests. It holds no body,
// header or URL.
type Fact struct {
	Kind    Kind
	Service string
	Number  string // empty where it is not known
	Source  Source // KindEnded and what follows it
	Status  Status // of the result, where there is one
	Err     error  // what failed, where something did
}
