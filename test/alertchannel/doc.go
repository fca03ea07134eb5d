// Package alertchannel checks the alert channels against what others wrote.
package alertchannel
