package settings

// field is one setting: its key in the file is its flag with _ for -.
type field struct {
	key      string
	env      string // "" for none
	fallback string
	serve    string // fallback of serve, where it differs
	secret   bool   // may be given as <key>_file
}

const (
	keyDatabase    = "database"
	keyBroker      = "broker"
	keyIdempotency = "idempotency"
	keyOrders      = "orders"
	keySeed        = "seed"
	keyOutput      = "output"
	keyDeadline    = "deadline"
	keyClients     = "clients"
	keySeconds     = "seconds"
	keyProfile     = "cpu_profile"
	keyListen      = "listen"
	keyInsecure    = "insecure_listen"
	keyRoles       = "roles"
	keyObjects     = "objects"
	keyDrain       = "drain_timeout"
	keySuffix      = "topic_suffix"
	keyLogLevel    = "log_level"
)

// The environment variables.
const (
	EnvDatabase    = "SLUICEGATE_DATABASE_URL"
	EnvBroker      = "SLUICEGATE_BROKER_URL"
	EnvIdempotency = "SLUICEGATE_IDEMPOTENCY_URL"
)

var fields = []field{
	{key: keyDatabase, env: EnvDatabase, secret: true},
	{key: keyBroker, env: EnvBroker, fallback: "memory://", secret: true},
	{key: keyIdempotency, env: EnvIdempotency, secret: true},
	{key: keyOrders, fallback: "200"},
	{key: keySeed, fallback: "1"},
	{key: keyOutput, fallback: string(Text)},
	{key: keyDeadline, fallback: "2m"},
	{key: keyClients, fallback: "64"},
	{key: keySeconds, fallback: "60"},
	{key: keyProfile},
	{key: keyListen, fallback: "127.0.0.1:8080"},
	{key: keyInsecure, fallback: "false"},
	{key: keyRoles, fallback: "api,relay,payment,stock,points,shipping"},
	{key: keyObjects},
	{key: keyDrain, fallback: "10s"},
	{key: keySuffix},
	{key: keyLogLevel, fallback: "error", serve: "info"},
}

func fieldOf(key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// fileKeys are all keys that a file may have.
func fileKeys() []string {
	keys := []string{"brokers", "topics"}
	for _, f := range fields {
		keys = append(keys, f.key)
		if f.secret {
			keys = append(keys, f.key+fileSuffix)
		}
	}
	return keys
}
