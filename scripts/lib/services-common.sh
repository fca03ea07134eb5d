# Part of scripts/services: where things are kept, processes.
# shellcheck shell=bash disable=SC2153,SC2154

STATE=

# One line of progress: say NAME TEXT
say() { printf '%s: %s\n' "$1" "$2" >&2; }

die() {
	say services "$1"
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { ((EUID == 0)); }

# Runs a command as the user that owns the servers.
as_user() {
	if is_root; then
		setpriv --reuid="$RUN_USER" --regid="$(id -g "$RUN_USER")" --init-groups -- "$@"
	else
		"$@"
	fi
}

bad_setting() {
	say services "$1"
	exit 2
}

check_ports() {
	local name other port
	for name in "${!PORT[@]}"; do
		port=${PORT[$name]}
		if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
			bad_setting "port '$port' of $name is not a number from 1 to 65535"
		fi
		for other in "${!PORT[@]}"; do
			if [[ $name < $other && $port == "${PORT[$other]}" ]]; then
				bad_setting "$name and $other have the same port $port"
			fi
		done
	done
}

# ---- Folder -----------------------------------------------------------------

# Sets STATE: .services/ of the repository, or a folder for temporary files when
# the servers could not work there.
resolve_state() {
	local why='' base
	if ! [[ $REPO =~ ^[A-Za-z0-9/._+@\ -]+$ ]]; then
		why='has characters that the configuration files of the servers cannot hold'
	elif ((${#REPO} > 70)); then
		why='is too long for Unix sockets'
	elif is_root && id "$RUN_USER" >/dev/null 2>&1 && ! as_user test -x "$REPO"; then
		why="cannot be reached by the user $RUN_USER"
	fi
	STATE=$REPO/.services
	STATE_NOTE=
	if [[ $why ]]; then
		base=${TMPDIR:-/tmp}
		base=${base%/}
		if ((${#base} > 40)) || ! [[ $base =~ ^/[A-Za-z0-9/._+@-]*$ ]] ||
			{ is_root && id "$RUN_USER" >/dev/null 2>&1 && ! as_user test -x "$base"; }; then
			base=/tmp
		fi
		STATE=$base/sluicegate-services-$(printf %s "$REPO" | sha256sum | cut -c1-12)
		STATE_NOTE="$REPO $why: data is in $STATE"
	fi
}

require_writable() {
	[[ -O $STATE && ! -L $STATE && -w $STATE ]] ||
		die "$STATE belongs to the user $(stat -c %U "$STATE"): run as that user, or delete it"
}

prepare_state() {
	[[ -z $STATE_NOTE ]] || say services "$STATE_NOTE"
	mkdir -p "$STATE"
	require_writable
	mkdir -p "$STATE/run" "$STATE/log"
	[[ -f $STATE/.gitignore ]] || echo '*' >"$STATE/.gitignore"
}

# One up or down at a time.
take_lock() {
	exec 9>"$STATE/lock"
	flock -n 9 || {
		say services 'waiting for another run of this script'
		flock -w 600 9 || die 'another run of this script did not end'
	}
}

# own_dir DIR: a folder of the servers' user.
own_dir() {
	mkdir -p "$1"
	if is_root; then chown "$RUN_USER:" "$1"; fi
}

ensure_user() {
	is_root || return 0
	[[ $RUN_USER != root && $(id -u "$RUN_USER" 2>/dev/null) != 0 ]] || bad_setting 'SERVICES_USER must not be root'
	id "$RUN_USER" >/dev/null 2>&1 && return 0
	useradd --system --user-group --no-create-home --home-dir /nonexistent \
		--shell /usr/sbin/nologin "$RUN_USER"
	say services "created the system user $RUN_USER"
}

# ---- Processes --------------------------------------------------------------

pid_file() { printf '%s/run/%s.pid' "$STATE" "$1"; }

# Prints the pid of a server that this script started and that still runs: the
# process of the pid file must be the right program on our own folder.
running_pid() {
	local pid
	local -a argv=()
	pid=$(cat "$(pid_file "$1")" 2>/dev/null) || return 1
	[[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
	{ mapfile -d '' -t argv <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
	[[ ${argv[0]:-} == */"$(program "$1")" && " ${argv[*]} " == *"$STATE/$1/"* ]] || return 1
	echo "$pid"
}

# The port of a running server is the one that it was started with.
actual_port() {
	local port
	if running_pid "$1" >/dev/null && port=$(cat "$STATE/run/$1.port" 2>/dev/null); then
		echo "$port"
	else
		echo "${PORT[$1]}"
	fi
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

require_free_port() {
	for _ in {1..20}; do
		port_open "$2" || return 0
		sleep 0.1
	done
	local who=''
	if have ss; then who=$(ss -Hltnp "sport = :$2" 2>/dev/null | grep -o 'users:.*' | head -n 1 || true); fi
	say "$1" "port $2 is taken by something else${who:+ ($who)}; set $3 to another port"
	return 1
}

# launch NAME COMMAND...: detached by setsid, with no open files of ours.
launch() {
	local name=$1 pid log=$STATE/log/$1.log
	shift
	local -a drop=()
	if is_root; then
		drop=(setpriv --reuid="$RUN_USER" --regid="$(id -g "$RUN_USER")" --init-groups
			--inh-caps=-all --)
	fi
	(
		cd /
		exec </dev/null >>"$log" 2>&1
		for fd in "/proc/$BASHPID/fd/"*; do
			fd=${fd##*/}
			if ((fd > 2)); then eval "exec $fd>&-"; fi
		done
		exec setsid "${drop[@]}" env -i --default-signal "HOME=$STATE/$name" \
			"PATH=$PATH" LC_ALL=C.UTF-8 "$@"
	) &
	pid=$!
	echo "${PORT[$name]}" >"$STATE/run/$name.port"
	echo "$pid" >"$(pid_file "$name").new"
	mv "$(pid_file "$name").new" "$(pid_file "$name")"
}

# wait_ready NAME PID SECONDS
wait_ready() {
	local end=$((SECONDS + $3))
	while ((SECONDS <= end)); do
		if "ping_$1"; then return 0; fi
		[[ -r /proc/$2/cmdline ]] || break
		sleep 0.1
	done
	return 1
}

start_server() {
	local name=$1 pid log=$STATE/log/$1.log before
	if pid=$(running_pid "$name"); then
		if ! wait_ready "$name" "$pid" 60; then
			say "$name" "runs (pid $pid) but does not answer; see $log"
			return 1
		fi
		say "$name" "already running on 127.0.0.1:$(actual_port "$name") (pid $pid)"
		return 0
	fi
	rm -f "$(pid_file "$name")"
	"prepare_$name"
	before=$(stat -c %s "$log" 2>/dev/null || echo 0)
	"launch_$name"
	pid=$(<"$(pid_file "$name")")
	if wait_ready "$name" "$pid" 120 && "setup_$name"; then
		say "$name" "started on 127.0.0.1:${PORT[$name]} (pid $pid)"
		return 0
	fi
	say "$name" "did not start; the end of $log:"
	tail -c "+$((before + 1))" "$log" | tail -n 15 >&2
	if running_pid "$name" >/dev/null; then stop_server "$name" || true; fi
	return 1
}

# stopped NAME: the server has ended.
stopped() {
	rm -f "$(pid_file "$1")" "$STATE/run/$1.port"
	if declare -F "stopped_$1" >/dev/null; then "stopped_$1"; fi
}

stop_server() {
	local name=$1 pid signal seconds i
	if ! pid=$(running_pid "$name"); then
		stopped "$name"
		say "$name" 'not running'
		return 0
	fi
	while read -r signal seconds; do
		[[ $signal != KILL ]] || say "$name" "does not stop (pid $pid): killing it"
		kill -s "$signal" "$pid" 2>/dev/null || true
		for ((i = 0; i < seconds * 10; i++)); do
			if ! running_pid "$name" >/dev/null; then
				stopped "$name"
				say "$name" "stopped (pid $pid)"
				return 0
			fi
			sleep 0.1
		done
	done < <("signals_$name")
	say "$name" "pid $pid could not be stopped"
	return 1
}

purge_server() {
	[[ -d $STATE/$1 ]] || return 0
	rm -rf "${STATE:?}/$1" "$STATE/log/$1.log"
	say "$1" 'data deleted'
}
