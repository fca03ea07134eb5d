package serving

import (
	"net/http"
	"testing"
	"time"
)

func TestATrialTimesWhatComesAfterItsBeginning(t *testing.T) {
	tr := trial{duration: 200 * time.Millisecond, settle: 100 * time.Millisecond}
	times, err := tr.run(t.Context(), func(h http.Handler) http.Handler { return h })
	if err != nil {
		t.Fatal(err)
	}
	if want := perSecond / 10; times.Len() != want || times.Percentile(50) <= 0 {
		t.Errorf("%d times with a median of %v, want %d", times.Len(), times.Percentile(50), want)
	}
}

func TestATrialInWhichARequestWasNotRunOrRefusedIsNoFigure(t *testing.T) {
	tr := trial{duration: 20 * time.Millisecond}
	for name, status := range map[string]int{"refused": http.StatusConflict, "not run": http.StatusCreated} {
		_, err := tr.run(t.Context(), func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
