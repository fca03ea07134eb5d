# Part of scripts/services: RabbitMQ, with an epmd (Erlang's name server) of its
# own, so that no other Erlang program of this machine is touched.
# shellcheck shell=bash disable=SC2153,SC2154

RABBITMQ_BIN=/usr/lib/rabbitmq/bin

packages_rabbitmq() {
	if [[ ! -x $RABBITMQ_BIN/rabbitmq-server ]] || ! have erl || ! have epmd; then echo rabbitmq-server; fi
}

# What both Erlang programs need to find each other, on loopback.
rabbitmq_env() {
	printf '%s\n' "HOME=$STATE/rabbitmq/home" ERL_EPMD_ADDRESS=127.0.0.1 \
		"ERL_EPMD_PORT=${PORT[rabbitmq-epmd]}"
}

prepare_rabbitmq() {
	local dir=$STATE/rabbitmq
	stop_epmd # of a server that was killed; the ports may have been changed
	require_free_port rabbitmq "${PORT[rabbitmq]}" SERVICES_AMQP_PORT
	require_free_port rabbitmq "${PORT[rabbitmq-epmd]}" SERVICES_AMQP_EPMD_PORT
	require_free_port rabbitmq "${PORT[rabbitmq-node]}" SERVICES_AMQP_NODE_PORT
	own_dir "$dir"
	own_dir "$dir/home"
	own_dir "$dir/data"
	# Erlang makes the cookie in the home folder. The user is made at the first start.
	write_file "$dir/rabbitmq.conf" <<-CONF
		listeners.tcp.1 = 127.0.0.1:${PORT[rabbitmq]}
		default_user = sluicegate
		default_pass = $PASSWORD
		default_user_tags.administrator = true
		default_permissions.configure = .*
		default_permissions.read = .*
		default_permissions.write = .*
		log.file = false
		log.console = true
		log.console.level = warning
		log.connection.level = error
		vm_memory_high_watermark.absolute = 1GB
		disk_free_limit.absolute = 50MB
	CONF
	write_file "$dir/enabled_plugins" <<<'[].'
}

launch_rabbitmq() {
	local dir=$STATE/rabbitmq
	local -a env
	mapfile -t env < <(rabbitmq_env)
	launch rabbitmq-epmd "${env[@]}" "$(command -v epmd)" -port "${PORT[rabbitmq-epmd]}"
	# As under systemd, the shell script becomes the Erlang machine, so that the
	# pid is that of the server.
	launch rabbitmq "${env[@]}" RUNNING_UNDER_SYSTEMD=true RABBITMQ_CONF_ENV_FILE=/dev/null \
		RABBITMQ_NODENAME=sluicegate@localhost "RABBITMQ_DIST_PORT=${PORT[rabbitmq-node]}" \
		"RABBITMQ_MNESIA_BASE=$dir/data" "RABBITMQ_LOG_BASE=$dir/home" \
		"RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf" "RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config" \
		"RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins" "RABBITMQ_GENERATED_CONFIG_DIR=$dir/home" \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
		"$RABBITMQ_BIN/rabbitmq-server"
}

# A client's greeting, and what a server answers to it: connection.start.
ping_rabbitmq() {
	# shellcheck disable=SC2016
	[[ $(timeout 3 bash -c '
		exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "AMQP\0\0\x09\x01" >&3 &&
			head -c 11 <&3 | od -An -v -tx1 | tr -d " \n" | cut -c15-
	' ping "$(actual_port rabbitmq)" 2>/dev/null) == 000a000a ]]
}

setup_rabbitmq() { :; }

signals_rabbitmq() { printf '%s\n' 'TERM 40' 'KILL 10'; }

stopped_rabbitmq() { stop_epmd; }

# Prints the pid of our own epmd, which has no argument to know it by.
epmd_pid() {
	local pid
	pid=$(cat "$(pid_file rabbitmq-epmd)" 2>/dev/null) || return 1
	[[ $pid =~ ^[1-9][0-9]*$ && $(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | head -n 1) == */epmd ]] || return 1
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qxF "HOME=$STATE/rabbitmq/home" || return 1
	echo "$pid"
}

# Stops our own epmd, once no server of ours is known to it.
stop_epmd() {
	local pid
	if pid=$(epmd_pid); then
		kill "$pid" 2>/dev/null || true
		for _ in {1..50}; do
			epmd_pid >/dev/null || break
			sleep 0.1
		done
	fi
	rm -f "$(pid_file rabbitmq-epmd)" "$STATE/run/rabbitmq-epmd.port"
}
