#!/usr/bin/env bash
# Installs the clients of other ecosystems that the tests under test/clients run. Each step is skipped when its result is there.
set -euo pipefail
cd "$(dirname "$0")"
cache=.cache
mkdir -p "$cache"
kafka_version=4.3.1

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v kcat > /dev/null || missing+=(kcat)
command -v mosquitto > /dev/null || missing+=(mosquitto)
command -v mosquitto_pub > /dev/null || missing+=(mosquitto-clients)
command -v unzip > /dev/null || missing+=(unzip)
command -v xz > /dev/null || missing+=(xz-utils)
command -v gcc > /dev/null || missing+=(gcc libc6-dev)
command -v java > /dev/null || missing+=(default-jdk-headless)
command -v mvn > /dev/null || missing+=(maven)
command -v go > /dev/null || missing+=(golang)
command -v cargo > /dev/null || missing+=(cargo)
command -v make > /dev/null && command -v g++ > /dev/null || missing+=(make g++)
python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "${missing[@]}" < /dev/null
fi

if [ ! -f "$cache/java/.done-$kafka_version" ]; then
  mvn -q -B -f java/pom.xml -Dkafka.version="$kafka_version" dependency:copy-dependencies -DoutputDirectory="$PWD/$cache/java"
  touch "$cache/java/.done-$kafka_version"
fi
# The client of Kafka 3.9, with the compressions that are there already.
if [ ! -f "$cache/java-3.9/.done-3.9.1" ]; then
  rm -rf "$cache/java-3.9"
  mvn -q -B dependency:copy -Dartifact=org.apache.kafka:kafka-clients:3.9.1 -DoutputDirectory="$PWD/$cache/java-3.9"
  cp "$cache"/java/{lz4-java,snappy-java,slf4j-api,slf4j-nop,zstd-jni}-*.jar "$cache/java-3.9/"
  touch "$cache/java-3.9/.done-3.9.1"
fi
# All command-line tools of both: what a distribution of Kafka has below `libs`.
for version in "$kafka_version" 3.9.1; do
  if [ "$(cat "$cache/tools/$version/.done" 2> /dev/null)" != "$(sha256sum < tools/pom.xml)" ]; then
    rm -rf "$cache/tools/$version"
    mvn -q -B -f tools/pom.xml -Dkafka.version="$version" dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$PWD/$cache/tools/$version"
    sha256sum < tools/pom.xml > "$cache/tools/$version/.done"
  fi
done
# The schemas of the newest version that the declarations follow.
messages_version=4.3.1
if [ ! -f "$cache/kafka-messages/.done-$messages_version" ]; then
  messages="$PWD/$cache/kafka-messages"
  rm -rf "$messages" && mkdir -p "$messages"
  mvn -q -B dependency:copy -Dartifact="org.apache.kafka:kafka-clients:$messages_version" -DoutputDirectory="$messages"
  unzip -qjo "$messages/kafka-clients-$messages_version.jar" 'common/message/*.json' -d "$messages"
  touch "$messages/.done-$messages_version"
fi

# A Python of its own for every set of packages: `python/NAME/bin/python`.
python_with() { # name, package…
  local at="$cache/python/$1"
  shift
  [ "$(cat "$at/.done" 2> /dev/null)" = "$*" ] && return
  rm -rf "$at"
  python3 -m venv "$at"
  "$at/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" > "$at/.done"
}

# librdkafka 2.16.0 and, of 2024, 2.6.2; the newest of the others, and the kafka-python that distributions have.
python_with confluent confluent-kafka==2.16.1
python_with confluent-2024 confluent-kafka==2.6.2
python_with kafka-python kafka-python==3.0.12 zstandard==0.25.0 six==1.17.0 lz4==4.4.5 python-snappy==0.7.3
python_with kafka-python-2.0.2 kafka-python==2.0.2 zstandard==0.25.0 six==1.17.0
python_with aiokafka aiokafka==0.14.0 cramjam==2.11.0

# Clients with a burst of QoS 2 messages: test/clients/burst, built again when its sources change.
python_with mqtt paho-mqtt==2.2.0 aiomqtt==2.5.1 gmqtt==0.8.0
sources_of() { cat $(find "$1" -type f | sort) | sha256sum; }
burst="$PWD/$cache/burst"
mkdir -p "$burst"
if [ "$(cat "$burst/.go" 2> /dev/null)" != "$(sources_of burst/go)" ]; then
  (cd burst/go && go build -o "$burst/autopaho" .)
  sources_of burst/go > "$burst/.go"
fi
if [ "$(cat "$burst/.rust" 2> /dev/null)" != "$(sources_of burst/rust)" ]; then
  rm -rf "$burst/rust"
  cp -r burst/rust "$burst/rust"
  cargo build --quiet --release --manifest-path "$burst/rust/Cargo.toml"
  cp "$burst/rust/target/release/burst" "$burst/rumqttc"
  rm -rf "$burst/rust/target"
  sources_of burst/rust > "$burst/.rust"
fi
if [ "$(cat "$burst/.java" 2> /dev/null)" != "$(sources_of burst/java)" ]; then
  rm -rf "$burst/java"
  mvn -q -B -f burst/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$burst/java"
  sources_of burst/java > "$burst/.java"
fi

# The programs that take MQTT libraries through their features: test/clients/mqtt/programs, built again when their sources change.
programs="$PWD/$cache/mqtt"
mkdir -p "$programs"
if [ "$(cat "$programs/.go" 2> /dev/null)" != "$(sources_of mqtt/programs/go)" ]; then
  (cd mqtt/programs/go && go build -o "$programs/autopaho" .)
  sources_of mqtt/programs/go > "$programs/.go"
fi
if [ "$(cat "$programs/.rust" 2> /dev/null)" != "$(sources_of mqtt/programs/rust)" ]; then
  rm -rf "$programs/rust"
  cp -r mqtt/programs/rust "$programs/rust"
  cargo build --quiet --release --manifest-path "$programs/rust/Cargo.toml"
  cp "$programs/rust/target/release/program" "$programs/rumqttc"
  rm -rf "$programs/rust/target"
  sources_of mqtt/programs/rust > "$programs/.rust"
fi
if [ "$(cat "$programs/.java" 2> /dev/null)" != "$(sources_of mqtt/programs/java)" ]; then
  rm -rf "$programs/java"
  mvn -q -B -f mqtt/programs/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$programs/java"
  javac -cp "$programs/java/*" -d "$programs/java" mqtt/programs/java/*.java
  sources_of mqtt/programs/java > "$programs/.java"
fi
if [ "$(cat "$programs/.c" 2> /dev/null)" != "$(sources_of mqtt/programs/c)" ]; then
  bash mqtt/programs/c/build.sh "$programs"
  sources_of mqtt/programs/c > "$programs/.c"
fi

# The programs that take Kafka libraries through their features: test/clients/kafka/programs. Beside them franz-go's own tests.
kafka="$PWD/$cache/kafka"
mkdir -p "$kafka"
if [ "$(cat "$kafka/.go" 2> /dev/null)" != "$(sources_of kafka/programs/go)" ]; then
  (
    cd kafka/programs/go
    go build -o "$kafka/franz-go" ./franz
    go build -modfile=franz-2024.mod -o "$kafka/franz-go-2024" ./franz
    go build -o "$kafka/sarama" ./sarama
    go build -o "$kafka/kafka-go" ./kafkago
    go test -c -o "$kafka/kgo.test" github.com/twmb/franz-go/pkg/kgo
  )
  sources_of kafka/programs/go > "$kafka/.go"
fi
if [ "$(cat "$kafka/.rust" 2> /dev/null)" != "$(sources_of kafka/programs/rust)" ]; then
  rm -rf "$kafka/rust"
  cp -r kafka/programs/rust "$kafka/rust"
  cargo build --quiet --release --manifest-path "$kafka/rust/Cargo.toml"
  cp "$kafka/rust/target/release/program" "$kafka/rdkafka"
  rm -rf "$kafka/rust/target"
  sources_of kafka/programs/rust > "$kafka/.rust"
fi
node_red=node-red@5.0.7
if [ "$(cat "$cache/node-red/.done" 2> /dev/null)" != "$node_red" ]; then
  npm install --silent --no-save --prefix "$cache/node-red" "$node_red"
  echo "$node_red" > "$cache/node-red/.done"
fi
