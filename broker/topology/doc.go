// Package topology opens named brokers from configuration and routes topics to
// them, so that one variable swaps a broker and no code changes.
//
//	brokers:
//	  main:
//	    url: ${BROKER_URL:memory://}
//	    options: {consumer_group: orders}
//	    driver_options: {kafka: {acks: all}, redis: {nack_delay: 200ms}}
//	  audit:
//	    url_file: /run/secrets/audit_url
//	topics:
//	  orders.created: {broker: main, dead_letter: orders.dead}
//	  audit.written: {broker: audit}
//
// Drivers are imported by the program, as for package broker; this package
// imports none.
//
// # brokers
//
// A broker has a name and these keys:
//
//   - url: as broker.Open takes it. ${VAR} is a variable that must be set,
//     ${VAR:default} one that need not be, $${ the letters themselves. Variables
//     are replaced after the YAML was parsed and never become structure.
//   - url_file: instead of url, a file that holds the URL and nothing else.
//   - password_file: a file that holds the password of a URL that has none.
//   - options: consumer_group (of subscribers that name none; a
//     ?consumer_group= of the URL wins), publish_timeout (default 30s) and
//     close_timeout (default 10s).
//   - driver_options: URL parameters, by scheme. Those of the URL's own scheme
//     are added to it (rediss:// takes those of redis, amqps:// of amqp,
//     mariadb:// of mysql); those of other schemes wait until the URL is
//     swapped. A parameter that the URL gives another value is an error.
//
// # topics
//
// A topic may have a broker and a dead_letter, the topic for what could not be
// handled. A topic that names no broker, or is not listed, goes to the broker
// "default" or to the only one; with several and no "default" it cannot be
// published. A dead letter topic that is not listed goes to the broker of its topic.
//
// # Mistakes
//
// Unknown keys are errors with their line and a suggestion. All problems are
// reported together, before anything is opened, and neither errors nor
// [Config.String] hold a password.
package topology
