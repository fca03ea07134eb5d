package drain

import "testing"

func payloads(t *testing.T, seqs ...int) [][]byte {
	t.Helper()
	out := make([][]byte, len(seqs))
	for i, seq := range seqs {
		msg, _, err := newMessage(seq, 256)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = msg.Payload
	}
	return out
}

func audited(n int, values [][]byte) *audit {
	a := newAudit(n)
	for _, v := range values {
		a.add(v)
	}
	return a
}

func TestAMessageHasThePayloadSizeAndTheHeadersThatWereAskedFor(t *testing.T) {
	for _, seq := range []int{0, 9, 19_999, 1_000_000} {
		msg, key, err := newMessage(seq, 256)
		if err != nil {
			t.Fatal(err)
		}
		if len(msg.Payload) != 256 || len(msg.Metadata) != 3 || key == "" {
			t.Errorf("message %d: %d bytes, %d headers, key %q", seq, len(msg.Payload), len(msg.Metadata), key)
		}
	}
}

func TestATrialThatLostOrMixedUpMessagesIsAnError(t *testing.T) {
	for name, values := range map[string][][]byte{
		"one is missing":        payloads(t, 0, 2),
		"a foreign one came":    append(payloads(t, 0, 1, 2), []byte("?")),
		"a key is out of order": payloads(t, 1, 2, keys, 0),
	} {
		n := 3
		if name == "a key is out of order" {
			n = keys + 1
		}
		if audited(n, values).verdict() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	inverted := audited(keys+1, payloads(t, keys, 0))
	if inverted.inversion != 1 {
		t.Errorf("%v, want 1 out of order", inverted)
	}
}

func TestARepeatedMessageIsNoLoss(t *testing.T) {
	a := audited(3, payloads(t, 0, 1, 0, 2, 1))
	if err := a.verdict(); err != nil || a.repeated != 2 {
		t.Errorf("verdict %v, %v", err, a)
	}
}
