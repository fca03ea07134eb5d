package nats

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

const (
	maxTopic = 255
	maxName  = 200 // of a stream or a consumer: a folder is named after it
)

// checkTopic applies NATS' rules for subjects to publish to, and keeps off
// those of the server.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("topic name is empty")
	case len(topic) > maxTopic:
		return errors.New("topic name is longer than 255 bytes")
	case !utf8.ValidString(topic):
		return errors.New("topic name is not UTF-8")
	case strings.ContainsFunc(topic, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' }):
		return errors.New(`topic name has a space, a control character, "*" or ">", which mean something else in a subject`)
	case topic[0] == '$' || topic == "_INBOX" || strings.HasPrefix(topic, "_INBOX."):
		return errors.New(`topic name begins with "$" or is below _INBOX, which belong to the server`)
	case topic[0] == '.' || topic[len(topic)-1] == '.' || strings.Contains(topic, ".."):
		return errors.New("topic name has an empty part: two dots in a row, or one at an end")
	}
	return nil
}

// streamName is that of a topic's own stream.
func streamName(topic string) string { return clean(topic, topic, false) }

// consumerName is the durable name of a group's consumer for a topic.
func consumerName(group, topic string) string {
	const separator = "__"
	ambiguous := strings.Contains(group, separator) || strings.Contains(topic, separator)
	return clean(group+separator+topic, group+"\x00"+topic, ambiguous)
}

// clean makes a name of s that streams and consumers can have. A name that is
// not s itself, or shall not be, ends with a hash of identity, so that different
// ones stay different.
func clean(s, identity string, hash bool) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, s)
	if name == s && !hash && len(s) <= maxName {
		return s
	}
	sum := sha256.Sum256([]byte(identity))
	return name[:min(len(name), maxName-17)] + "_" + hex.EncodeToString(sum[:8])
}

// holds reports whether one of subjects, which may have wildcards, is for topic.
func holds(subjects []string, topic string) bool {
	for _, subject := range subjects {
		if matches(strings.Split(subject, "."), strings.Split(topic, ".")) {
			return true
		}
	}
	return false
}

func matches(subject, topic []string) bool {
	for i, part := range subject {
		switch {
		case i >= len(topic):
			return false
		case part == ">":
			return true
		case part != "*" && part != topic[i]:
			return false
		}
	}
	return len(subject) == len(topic)
}

// checkSubject is checkTopic for a subject with wildcards.
func checkSubject(subject string) error {
	parts := strings.Split(subject, ".")
	for i, part := range parts {
		if part == "*" || part == ">" && i == len(parts)-1 {
			parts[i] = "x"
		}
	}
	return checkTopic(strings.Join(parts, "."))
}
