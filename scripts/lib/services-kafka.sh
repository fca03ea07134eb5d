# Part of scripts/services: Apache Kafka, from the jars of Maven Central.
# shellcheck shell=bash disable=SC2153,SC2154

kafka_lib() { printf '%s/kafka-%s/lib' "$STATE" "$KAFKA_VERSION"; }

java_bin() {
	local java=${JAVA_HOME:+$JAVA_HOME/bin/java}
	if [[ -x $java ]]; then echo "$java"; else command -v java; fi
}

packages_kafka() {
	local version
	if ! version=$("$(java_bin)" -version 2>&1 | grep -oE '"[0-9]+' | tr -d '"') || ((version < 17)); then
		echo default-jre-headless
	fi
	if [[ ! -d $(kafka_lib) ]] && ! have mvn; then echo maven; fi
}

fetch_kafka() {
	local dir=$STATE/kafka-$KAFKA_VERSION
	[[ ! -d $dir/lib ]] || return 0
	say kafka "fetching Apache Kafka $KAFKA_VERSION"
	rm -rf "$dir"
	mkdir -p "$dir"
	cat >"$dir/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>local</groupId>
		  <artifactId>kafka</artifactId>
		  <version>1</version>
		  <packaging>pom</packaging>
		  <dependencies>
		    <dependency>
		      <groupId>org.apache.kafka</groupId>
		      <artifactId>kafka_2.13</artifactId>
		      <version>$KAFKA_VERSION</version>
		    </dependency>
		    <dependency>
		      <groupId>org.apache.logging.log4j</groupId>
		      <artifactId>log4j-slf4j-impl</artifactId>
		      <version>2.24.3</version>
		    </dependency>
		  </dependencies>
		</project>
	POM
	mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$dir/lib.new" >"$STATE/log/kafka-fetch.log" 2>&1 </dev/null || {
		tail -n 15 "$STATE/log/kafka-fetch.log" >&2
		say kafka 'fetching the jars failed'
		return 1
	}
	mv "$dir/lib.new" "$dir/lib"
}

prepare_kafka() {
	local dir=$STATE/kafka id
	require_free_port kafka "${PORT[kafka]}" SERVICES_KAFKA_PORT
	require_free_port kafka "${PORT[kafka-controller]}" SERVICES_KAFKA_CONTROLLER_PORT
	fetch_kafka
	own_dir "$dir"
	own_dir "$dir/data"
	write_file "$dir/log4j2.properties" <<-'CONF'
		status = warn
		appender.out.type = Console
		appender.out.name = out
		appender.out.layout.type = PatternLayout
		appender.out.layout.pattern = %d{ISO8601} %-5p %c{1} %m%n
		rootLogger.level = warn
		rootLogger.appenderRef.out.ref = out
	CONF
	write_file "$dir/server.properties" <<-CONF
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:${PORT[kafka-controller]}
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listeners=PLAINTEXT://127.0.0.1:${PORT[kafka]},CONTROLLER://127.0.0.1:${PORT[kafka-controller]}
		advertised.listeners=PLAINTEXT://127.0.0.1:${PORT[kafka]}
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		log.dirs=$dir/data
		auto.create.topics.enable=true
		delete.topic.enable=true
		num.partitions=8
		default.replication.factor=1
		min.insync.replicas=1
		offsets.topic.num.partitions=8
		offsets.topic.replication.factor=1
		transaction.state.log.num.partitions=8
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		share.coordinator.state.topic.num.partitions=8
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
	CONF
	if [[ ! -f $dir/data/meta.properties ]]; then
		say kafka 'creating the data folder'
		id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)
		as_user "$(java_bin)" -Xmx256m -XX:-UsePerfData "-Dlog4j2.configurationFile=$dir/log4j2.properties" \
			-cp "$(kafka_lib)/*" kafka.tools.StorageTool format --ignore-formatted \
			-t "$id" -c "$dir/server.properties" >"$STATE/log/kafka.log" 2>&1 </dev/null || {
			tail -n 15 "$STATE/log/kafka.log" >&2
			say kafka 'formatting failed'
			return 1
		}
	fi
}

launch_kafka() {
	local dir=$STATE/kafka
	launch kafka "$(java_bin)" -Xms256m -Xmx1g -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData \
		-Djava.awt.headless=true "-Dlog4j2.configurationFile=$dir/log4j2.properties" \
		-cp "$(kafka_lib)/*" kafka.Kafka "$dir/server.properties"
}

# Asks for the metadata of all topics (request 3, version 1) and wants an answer
# that lists the broker, which it does once the broker takes requests.
ping_kafka() {
	local port
	port=$(actual_port kafka)
	# shellcheck disable=SC2016
	[[ $(timeout 3 bash -c '
		exec 3<>"/dev/tcp/127.0.0.1/$1" &&
			printf "\0\0\0\x0e\0\x03\0\x01\0\0\0\x2a\xff\xff\xff\xff\xff\xff" >&3 &&
			head -c 12 <&3 | od -An -v -tx1 | tr -d " \n" | cut -c9-
	' ping "$port" 2>/dev/null) == 0000002a00000001 ]]
}

setup_kafka() { :; }

signals_kafka() { printf '%s\n' 'TERM 40' 'KILL 10'; }
