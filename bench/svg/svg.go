// Package svg draws bar charts that can be read in light and dark, by people
// and by screen readers.
package svg

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Chart is a chart of horizontal bars.
type Chart struct {
	Title string
	Desc  string // what it shows, for those who do not see it
	Unit  string
	Log   bool // logarithmic, for values that differ by powers of ten
	Bars  []Bar
}

// Bar is one value.
type Bar struct {
	Label    string
	Value    float64
	Min, Max float64 // drawn as a line, unless they are equal
	Text     string  // beside the bar
	Ours     bool    // in the colour that stands out
}

// Sizes, in pixels.
const (
	plotWidth = 360
	textWidth = 110 // of the value beside a bar
	top       = 64
	rowHeight = 26
	barHeight = 16
	bottom    = 16
	runeWidth = 7.4 // of the labels, about
	minLabels = 160
)

const style = `
	text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
	.title { font-size: 16px; font-weight: 600; }
	.quiet { fill: #57606a; }
	.bar { fill: #8c959f; }
	.ours { fill: #0969da; }
	.range { stroke: #1f2328; stroke-width: 1.5; }
	.axis { stroke: #d0d7de; }
	@media (prefers-color-scheme: dark) {
		text { fill: #e6edf3; }
		.quiet { fill: #9198a1; }
		.bar { fill: #6e7681; }
		.ours { fill: #4493f8; }
		.range { stroke: #e6edf3; }
		.axis { stroke: #3d444d; }
	}
`

// Draw returns the chart as an SVG document.
func (c Chart) Draw() string {
	labels := c.labelWidth()
	width, height := labels+plotWidth+textWidth, top+rowHeight*len(c.Bars)+bottom
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n<style>%s</style>\n", escape(c.Title), escape(c.Desc), style)
	unit := c.Unit
	if c.Log {
		unit += ", logarithmic"
	}
	fmt.Fprintf(&b, `<text class="title" x="12" y="26">%s</text>`+"\n", escape(c.Title))
	fmt.Fprintf(&b, `<text class="quiet" x="12" y="46">%s</text>`+"\n", escape(unit))
	fmt.Fprintf(&b, `<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", labels, top-6, labels, height-bottom+4)
	scale := c.scale()
	for i, bar := range c.Bars {
		bar.draw(&b, labels, top+i*rowHeight, scale)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// labelWidth has room for the longest label.
func (c Chart) labelWidth() int {
	longest := 0
	for _, bar := range c.Bars {
		longest = max(longest, utf8.RuneCountInString(bar.Label))
	}
	return max(minLabels, int(float64(longest)*runeWidth)+16)
}

func (bar Bar) draw(b *strings.Builder, labels, y int, scale func(float64) float64) {
	middle := float64(y) + barHeight/2
	class, end := "bar", scale(bar.Value)
	if bar.Ours {
		class = "ours"
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", labels-8, middle+4.5, escape(bar.Label))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, labels, y, end, barHeight)
	if bar.Max > bar.Min {
		fmt.Fprintf(b, `<line class="range" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", float64(labels)+scale(bar.Min), middle, float64(labels)+scale(bar.Max), middle)
		end = max(end, scale(bar.Max))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", float64(labels)+end+6, middle+4.5, escape(bar.Text))
}

// scale returns what makes pixels of a value. A logarithmic axis begins at the
// power of ten below the smallest value, so that no bar is empty.
func (c Chart) scale() func(float64) float64 {
	low, high := math.Inf(1), 0.0
	for _, bar := range c.Bars {
		high = max(high, bar.Value, bar.Max)
		for _, v := range []float64{bar.Value, bar.Min} {
			if v > 0 {
				low = min(low, v)
			}
		}
	}
	if high <= 0 {
		return func(float64) float64 { return 0 }
	}
	if !c.Log {
		return func(v float64) float64 { return max(0, v) / high * plotWidth }
	}
	from := math.Floor(math.Log10(low) - 0.01)
	return func(v float64) float64 {
		if v <= 0 {
			return 0
		}
		return max(0, math.Log10(v)-from) / (math.Log10(high) - from) * plotWidth
	}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}
