package park

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

func history(n int, text func(i int) string) *delivery.Delivery {
	d := &delivery.Delivery{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for i := range n {
		d.Add(i+1, at.Add(time.Duration(i)*time.Minute), time.Second, errors.New(text(i)))
	}
	return d
}

func through(t *testing.T, d *delivery.Delivery) (state, []delivery.Record, int) {
	t.Helper()
	var s state
	s.note(d.Attempts())
	b, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeState(b)
	if err != nil {
		t.Fatal(err)
	}
	d = &delivery.Delivery{}
	back.tell(d)
	return back, d.Attempts(), len(b)
}

func TestFiftyAttemptsWithFiftyTextsSurviveInTheState(t *testing.T) {
	d := history(50, func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 600)) })
	_, got, size := through(t, d)
	want := d.Attempts()
	if len(got) != 50 || size > maxState {
		t.Fatalf("%d attempts in %d bytes", len(got), size)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("attempt %d is %+v, want %+v", i+1, got[i], want[i])
		}
	}
}

func TestEqualTextsAreKeptOnce(t *testing.T) {
	_, got, size := through(t, history(1000, func(int) string { return strings.Repeat("no ", 150) }))
	if len(got) != 1000 || size > maxState {
		t.Errorf("%d attempts in %d bytes", len(got), size)
	}
}

func TestOfATooLongHistoryTheBeginningAndTheEndAreKept(t *testing.T) {
	s, got, size := through(t, history(5000, func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 400)) }))
	if size > maxState || got[0].Number != 1 || got[len(got)-1].Number != 5000 || s.Left+len(got) != 5000 {
		t.Errorf("%d attempts in %d bytes, from %d to %d, %d left out", len(got), size, got[0].Number, got[len(got)-1].Number, s.Left)
	}
}

func TestExcusesAddUpAcrossAttempts(t *testing.T) {
	var s state
	at := time.Now()
	s.excuse(at)
	if d := s.excuse(at.Add(time.Hour)); d != time.Hour {
		t.Errorf("excused for %v, want 1h", d)
	}
	s.attempted(at.Add(2 * time.Hour))
	if d := s.excuse(at.Add(5 * time.Hour)); d != 2*time.Hour {
		t.Errorf("excused for %v, want the 2h of before", d)
	}
}
