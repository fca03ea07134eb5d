# Part of scripts/services: what is particular to each server. For each NAME:
# packages_NAME, prepare_NAME, launch_NAME, ping_NAME, setup_NAME, signals_NAME,
# and stopped_NAME where something is left to be done after the server has ended.
# shellcheck shell=bash disable=SC2153,SC2154

program() {
	case $1 in
	postgres) echo postgres ;;
	mariadb) echo mariadbd ;;
	redis) echo redis-server ;;
	kafka) echo java ;;
	rabbitmq) echo beam.smp ;;
	nats) echo nats-server ;;
	esac
}

# Writes standard input to a file of the servers' user.
write_file() {
	as_user rm -f "$1"
	as_user tee "$1" >/dev/null
}

# ---- PostgreSQL -------------------------------------------------------------

# Folder of the programs: version 15, or else the newest that is installed.
pg_bin() {
	local dir
	for dir in /usr/lib/postgresql/{15,19,18,17,16}/bin; do
		if [[ -x $dir/postgres && -x $dir/initdb && -x $dir/psql ]]; then
			echo "$dir"
			return 0
		fi
	done
	return 1
}

packages_postgres() { pg_bin >/dev/null || echo postgresql-15; }

# After kill -9: waits until orphaned backends have let go of the shared memory,
# and voids lock files of a server that is dead but that its parent did not
# collect yet (in a container perhaps never), which PostgreSQL takes as running.
recover_postgres() {
	local file pid shmid
	pid=$(sed -n 1p "$STATE/postgres/data/postmaster.pid" 2>/dev/null) || return 0
	shmid=$(awk 'NR == 7 { print $2 }' "$STATE/postgres/data/postmaster.pid")
	for _ in {1..50}; do
		awk -v id="${shmid:--}" '$2 == id && $7 > 0 { used = 1 } END { exit !used }' \
			/proc/sysvipc/shm 2>/dev/null || break
		sleep 0.1
	done
	grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 0
	for file in "$STATE/postgres/data/postmaster.pid" "$STATE/postgres/.s.PGSQL."*.lock; do
		if [[ -f $file && $(sed -n 1p "$file") == "$pid" ]]; then
			as_user sed -i '1s/.*/2147483647/' "$file"
		fi
	done
}

prepare_postgres() {
	local dir=$STATE/postgres bin
	require_free_port postgres "${PORT[postgres]}" SERVICES_POSTGRES_PORT
	bin=$(pg_bin)
	own_dir "$dir"
	if [[ ! -d $dir/data ]]; then
		say postgres 'creating the data folder'
		rm -rf "$dir/data.new"
		# shellcheck disable=SC2016
		as_user env LC_ALL=C.UTF-8 "PASSWORD=$PASSWORD" bash -c '
			"$1/initdb" -D "$2/data.new" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
				--auth=scram-sha-256 --pwfile=<(echo "$PASSWORD") &&
			echo "include '\''../server.conf'\''" >>"$2/data.new/postgresql.conf"
		' initdb "$bin" "$dir" >"$STATE/log/postgres.log" 2>&1 </dev/null || {
			tail -n 15 "$STATE/log/postgres.log" >&2
			say postgres 'initdb failed'
			return 1
		}
		mv "$dir/data.new" "$dir/data"
	fi
	recover_postgres
	write_file "$dir/server.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		port = ${PORT[postgres]}
		unix_socket_directories = '$dir'
		max_connections = 300
		fsync = on
		synchronous_commit = on
		full_page_writes = on
	CONF
}

launch_postgres() { launch postgres "$(pg_bin)/postgres" -D "$STATE/postgres/data"; }

ping_postgres() {
	"$(pg_bin)/pg_isready" -q -h 127.0.0.1 -p "$(actual_port postgres)" -U sluicegate -d sluicegate
}

setup_postgres() {
	PGPASSWORD=$PASSWORD "$(pg_bin)/psql" -X -q -v ON_ERROR_STOP=1 -v "password=$PASSWORD" \
		-h 127.0.0.1 -p "${PORT[postgres]}" -U postgres -d postgres <<-'SQL' >&2
			SELECT 'CREATE ROLE sluicegate'
			WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluicegate') \gexec
			ALTER ROLE sluicegate LOGIN CREATEDB PASSWORD :'password';
			SELECT 'CREATE DATABASE sluicegate OWNER sluicegate'
			WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'sluicegate') \gexec
		SQL
}

# Fast shutdown, then immediate shutdown.
signals_postgres() { printf '%s\n' 'INT 30' 'QUIT 10' 'KILL 10'; }

# ---- MariaDB ----------------------------------------------------------------

packages_mariadb() {
	if ! have mariadbd || ! have mariadb-install-db || ! have mariadb; then echo mariadb-server; fi
}

prepare_mariadb() {
	local dir=$STATE/mariadb
	require_free_port mariadb "${PORT[mariadb]}" SERVICES_MARIADB_PORT
	own_dir "$dir"
	if [[ ! -d $dir/data ]]; then
		say mariadb 'creating the data folder'
		rm -rf "$dir/data.new"
		as_user mariadb-install-db --no-defaults --datadir="$dir/data.new" --skip-test-db \
			--auth-root-authentication-method=socket --auth-root-socket-user=root \
			>"$STATE/log/mariadb.log" 2>&1 </dev/null || {
			tail -n 15 "$STATE/log/mariadb.log" >&2
			say mariadb 'mariadb-install-db failed'
			return 1
		}
		mv "$dir/data.new" "$dir/data"
	fi
	write_file "$dir/my.cnf" <<-CONF
		[mariadbd]
		bind-address = 127.0.0.1
		port = ${PORT[mariadb]}
		socket = $dir/mariadb.sock
		datadir = $dir/data
		pid-file = $dir/mariadb.pid
		init-file = $dir/init.sql
		skip-name-resolve
		character-set-server = utf8mb4
		max_connections = 300
		innodb_flush_log_at_trx_commit = 1
	CONF
	write_file "$dir/init.sql" <<-SQL
		CREATE DATABASE IF NOT EXISTS sluicegate;
		CREATE USER IF NOT EXISTS 'sluicegate'@'%' IDENTIFIED BY '$PASSWORD';
		ALTER USER 'sluicegate'@'%' IDENTIFIED BY '$PASSWORD';
		GRANT ALL PRIVILEGES ON *.* TO 'sluicegate'@'%' WITH GRANT OPTION;
	SQL
}

launch_mariadb() { launch mariadb "$(command -v mariadbd)" --defaults-file="$STATE/mariadb/my.cnf"; }

# A true login: the ping of mariadb-admin is content with a refusal.
ping_mariadb() {
	MYSQL_PWD=$PASSWORD mariadb --no-defaults --connect-timeout=3 --protocol=tcp -h 127.0.0.1 \
		-P "$(actual_port mariadb)" -u sluicegate -e 'SELECT 1' sluicegate >/dev/null 2>&1
}

setup_mariadb() { :; }

signals_mariadb() { printf '%s\n' 'TERM 40' 'KILL 10'; }

# ---- Redis ------------------------------------------------------------------

packages_redis() { if ! have redis-server || ! have redis-cli; then echo redis-server; fi; }

prepare_redis() {
	local dir=$STATE/redis
	require_free_port redis "${PORT[redis]}" SERVICES_REDIS_PORT
	own_dir "$dir"
	own_dir "$dir/data"
	# The title of the process stays its command line, by which it is recognised.
	write_file "$dir/redis.conf" <<-CONF
		bind 127.0.0.1
		port ${PORT[redis]}
		dir "$dir/data"
		daemonize no
		set-proc-title no
		appendonly yes
		appendfsync everysec
		maxmemory-policy noeviction
	CONF
}

launch_redis() { launch redis "$(command -v redis-server)" "$STATE/redis/redis.conf"; }

ping_redis() {
	[[ $(timeout 3 redis-cli -h 127.0.0.1 -p "$(actual_port redis)" ping 2>/dev/null) == PONG ]]
}

setup_redis() { :; }

signals_redis() { printf '%s\n' 'TERM 20' 'KILL 10'; }
