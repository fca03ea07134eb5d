package workload

import (
	"strings"
	"testing"
)

func payloads(t *testing.T, seqs ...int) [][]byte {
	t.Helper()
	out := make([][]byte, len(seqs))
	for i, seq := range seqs {
		m, err := New(seq, 256)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = m.Message.Payload
	}
	return out
}

func audited(n int, values [][]byte) *Audit {
	a := NewAudit(n)
	for _, v := range values {
		a.Add(v)
	}
	return a
}

func TestAMessageHasThePayloadSizeAndTheHeadersThatWereAskedFor(t *testing.T) {
	for _, seq := range []int{0, 9, 19_999, 1_000_000} {
		m, err := New(seq, 256)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Message.Payload) != 256 || len(m.Message.Metadata) != 3 || m.Key == "" {
			t.Errorf("message %d: %d bytes, %d headers, key %q", seq, len(m.Message.Payload), len(m.Message.Metadata), m.Key)
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
		if audited(n, values).Verdict(true) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	inverted := audited(keys+1, payloads(t, keys, 0))
	if inverted.inversion != 1 {
		t.Errorf("%v, want 1 out of order", inverted)
	}
}

func TestARelayThatClaimsNoOrderIsNotHeldToItButItIsSaid(t *testing.T) {
	values := make([]int, 0, keys+1)
	for seq := keys; seq >= 0; seq-- {
		values = append(values, seq)
	}
	a := audited(keys+1, payloads(t, values...))
	if err := a.Verdict(false); err != nil {
		t.Error(err)
	}
	if note := a.Note(false); !strings.Contains(note, "1 of 1001 messages out of the order") {
		t.Errorf("note %q", note)
	}
}

func TestARepeatedMessageIsNoLoss(t *testing.T) {
	a := audited(3, payloads(t, 0, 1, 0, 2, 1))
	if err := a.Verdict(true); err != nil || a.repeated != 2 {
		t.Errorf("verdict %v, %v", err, a)
	}
}
