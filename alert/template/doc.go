// Package template writes the texts that the alert channels send.
//
// A template is Go's text/template over a Data: what happened, where, how often
// and why. Every channel has a default one and takes another as
// Config.Template:
//
//	[{{upper .Status}}] {{.Name}} in {{.Handler}}, {{.Count}} times: {{.Error}} {{.Link}}
//
// Besides what text/template brings there are upper, lower and time, which
// writes a time to the second with its zone.
//
// A template that does not parse, asks for a field that does not exist, in a
// branch that is rarely taken too, or fails on an alert without samples is
// refused by New, not at the moment at which somebody should be told.
//
// Values come from messages and errors, so none can break out of its place:
// each is one line of valid UTF-8 and goes through the channel's Config.Escape.
// Where a text exceeds the limit of its channel, long values are shortened
// first, then samples left out, and only then its end is cut, never within a
// rune. A link is whole or left out.
package template
