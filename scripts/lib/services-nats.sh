# Part of scripts/services: NATS with JetStream, built from its Go module, since
# distributions have versions of long ago.
# shellcheck shell=bash disable=SC2153,SC2154

nats_dir() { printf '%s/nats-server-%s' "$STATE" "$NATS_VERSION"; }

go_bin() {
	local go
	for go in "$(command -v go)" /usr/local/go/bin/go /usr/lib/go/bin/go; do
		if [[ -x $go ]]; then
			echo "$go"
			return 0
		fi
	done
	return 1
}

packages_nats() {
	[[ -x $(nats_dir)/nats-server ]] || go_bin >/dev/null || echo golang-go
}

# A module of its own: what the repository's own go.mod pins is not asked.
fetch_nats() {
	local dir
	dir=$(nats_dir)
	[[ ! -x $dir/nats-server ]] || return 0
	say nats "building nats-server $NATS_VERSION"
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	(cd / && GOFLAGS='' GOWORK=off CGO_ENABLED=0 GOBIN="$dir.new" \
		"$(go_bin)" install "github.com/nats-io/nats-server/v2@v$NATS_VERSION") \
		>"$STATE/log/nats-fetch.log" 2>&1 </dev/null || {
		tail -n 15 "$STATE/log/nats-fetch.log" >&2
		say nats 'building nats-server failed'
		return 1
	}
	rm -rf "$dir"
	mv "$dir.new" "$dir"
}

prepare_nats() {
	local dir=$STATE/nats
	require_free_port nats "${PORT[nats]}" SERVICES_NATS_PORT
	fetch_nats
	own_dir "$dir"
	own_dir "$dir/data"
	write_file "$dir/nats.conf" <<-CONF
		listen: "127.0.0.1:${PORT[nats]}"
		server_name: sluicegate
		authorization { user: sluicegate, password: "$PASSWORD" }
		jetstream { store_dir: "$dir/data" }
	CONF
}

launch_nats() { launch nats "$(nats_dir)/nats-server" -c "$STATE/nats/nats.conf"; }

# Logs in; the greeting says whether JetStream is there.
ping_nats() {
	# shellcheck disable=SC2016
	timeout 3 bash -c '
		exec 3<>"/dev/tcp/127.0.0.1/$1" && IFS= read -r greeting <&3 &&
			[[ $greeting == *\"jetstream\":true* ]] &&
			printf "CONNECT {\"verbose\":false,\"user\":\"sluicegate\",\"pass\":\"%s\"}\r\nPING\r\n" "$2" >&3 &&
			IFS= read -r answer <&3 && [[ $answer == PONG* ]]
	' ping "$(actual_port nats)" "$PASSWORD" 2>/dev/null
}

setup_nats() { :; }

signals_nats() { printf '%s\n' 'TERM 20' 'KILL 10'; }
