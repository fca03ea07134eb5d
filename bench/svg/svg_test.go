package svg

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// element is one of a drawn chart.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// elements fails unless the chart is well-formed XML.
func elements(t *testing.T, drawn string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(drawn))
	var out []element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawn)
		}
		switch e := token.(type) {
		case xml.StartElement:
			attrs := map[string]string{}
			for _, a := range e.Attr {
				attrs[a.Name.Local] = a.Value
			}
			out = append(out, element{name: e.Name.Local, attrs: attrs})
		case xml.CharData:
			if len(out) > 0 {
				out[len(out)-1].text += string(e)
			}
		}
	}
}

var chart = Chart{
	Title: "Drain <rate>", Desc: "ours & theirs", Unit: "messages/s",
	Bars: []Bar{{Label: "plain", Value: 50, Min: 40, Max: 60, Text: "50"}, {Label: "ours", Value: 200, Min: 200, Max: 200, Text: "200", Ours: true}, {Label: "none"}},
}

func TestAChartHasATitleAndADescriptionAndBothColourSchemes(t *testing.T) {
	drawn := chart.Draw()
	got := map[string]string{}
	for _, e := range elements(t, drawn) {
		if e.name == "title" || e.name == "desc" || e.name == "svg" {
			got[e.name] = e.text + e.attrs["role"] + e.attrs["aria-labelledby"]
		}
	}
	if !strings.HasPrefix(got["title"], "Drain <rate>") || !strings.HasPrefix(got["desc"], "ours & theirs") || !strings.Contains(got["svg"], "imgtitle desc") {
		t.Errorf("%q", got)
	}
	if !strings.Contains(drawn, "prefers-color-scheme: dark") {
		t.Error("no dark colours")
	}
}

func bars(t *testing.T, c Chart) (widths []string) {
	t.Helper()
	for _, e := range elements(t, c.Draw()) {
		if e.name == "rect" {
			widths = append(widths, e.attrs["width"])
		}
	}
	return widths
}

func TestTheLongestBarFillsThePlotAndTheOthersAreInProportion(t *testing.T) {
	if got := strings.Join(bars(t, chart), " "); got != "90.0 360.0 0.0" {
		t.Errorf("widths %s", got)
	}
}

func TestALogarithmicChartGivesEachPowerOfTenTheSameRoomAndNoValueNone(t *testing.T) {
	c := Chart{Log: true, Bars: []Bar{{Value: 1}, {Value: 10}, {Value: 100}}}
	scale := c.scale()
	first, second, third := scale(1), scale(10), scale(100)
	if first <= 0 || math.Abs((second-first)-(third-second)) > 0.01 || math.Abs(third-plotWidth) > 0.01 {
		t.Errorf("%v %v %v", first, second, third)
	}
	if scale(0) != 0 {
		t.Errorf("nothing is %v wide", scale(0))
	}
}

func TestARangeIsDrawnOnlyWhereValuesDiffered(t *testing.T) {
	ranges := 0
	for _, e := range elements(t, chart.Draw()) {
		if e.attrs["class"] == "range" {
			ranges++
		}
	}
	if ranges != 1 {
		t.Errorf("%d ranges", ranges)
	}
}
