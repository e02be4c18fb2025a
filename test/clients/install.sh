#!/usr/bin/env bash
# Installs the clients of other ecosystems that the tests under test/clients run. Each step is skipped when its result is there.
set -euo pipefail
cd "$(dirname "$0")"
cache=.cache
mkdir -p "$cache"
kafka_version=4.1.0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v kcat > /dev/null || missing+=(kcat)
command -v mosquitto > /dev/null || missing+=(mosquitto)
command -v mosquitto_pub > /dev/null || missing+=(mosquitto-clients)
command -v unzip > /dev/null || missing+=(unzip)
command -v gcc > /dev/null || missing+=(gcc libc6-dev)
command -v java > /dev/null || missing+=(default-jdk-headless)
command -v mvn > /dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "${missing[@]}" < /dev/null
fi

if [ ! -f "$cache/java/.done-$kafka_version" ]; then
  mvn -q -B -f java/pom.xml -Dkafka.version="$kafka_version" dependency:copy-dependencies -DoutputDirectory="$PWD/$cache/java"
  touch "$cache/java/.done-$kafka_version"
fi
if [ ! -f "$cache/kafka-messages/.done-$kafka_version" ]; then
  mkdir -p "$cache/kafka-messages"
  unzip -qjo "$cache/java/kafka-clients-$kafka_version.jar" 'common/message/*.json' -d "$cache/kafka-messages"
  touch "$cache/kafka-messages/.done-$kafka_version"
fi
