// Package netguard sends HTTP requests to URLs that others gave us, without letting
// them reach what only we can reach: this machine, the network around it, and
// the metadata service of a cloud (server-side request forgery).
//
// What a name resolves to is looked at when the connection is made, at the one
// address that is connected to, so that a resolver that says something else the second
// time gains nothing. Redirects are not followed, no proxy is taken from the
// environment, and an answer is bounded in time and size whatever the other
// side does.
//
// CheckURL refuses early what can be seen in a URL, so that whoever registers it
// learns of it. The guard at the connection is what protects.
package netguard
