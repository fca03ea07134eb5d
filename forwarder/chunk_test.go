package forwarder

import "testing"

func TestManyRowsGoInPowersOfTwoAndNoStatementIsTooLarge(t *testing.T) {
	many := make([]row, 600)
	for n, want := range map[int]int{1: 1, 7: 7, 16: 16, 17: 16, 100: 64, 500: 256, 512: 512, 600: 512} {
		if got := chunk(many[:n], 1000); got != want {
			t.Errorf("%d rows: %d in the first statement, want %d", n, got, want)
		}
	}
	if got := chunk(many, 50); got != 50 {
		t.Errorf("%d rows in a statement that takes 50", got)
	}
	large := make([]row, 40)
	for i := range large {
		large[i].payload = make([]byte, maxStatementBytes/20)
	}
	if got := chunk(large, 1000); got != 16 {
		t.Errorf("%d rows of a twentieth of a statement each, want 16", got)
	}
	large[0].payload = make([]byte, 2*maxStatementBytes)
	if got := chunk(large, 1000); got != 1 {
		t.Errorf("%d rows behind one that is too large, want 1", got)
	}
}
