#!/usr/bin/env bash
# TO: fetches Paho C there, and builds the program as TO/paho-c.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$to/c"
cp "$here/Cargo.toml" "$here/none.rs" "$to/c"
(cd "$to/c" && cargo vendor --quiet vendor > /dev/null)
paho="$to/c/vendor/paho-mqtt-sys/paho.mqtt.c"
release="$(cat "$paho/version.major").$(cat "$paho/version.minor").$(cat "$paho/version.patch")"
printf '#define BUILD_TIMESTAMP ""\n#define CLIENT_VERSION "%s"\n' "$release" > "$to/c/VersionInfo.h"
sources=()
for source in "$paho"/src/*.c; do
  case $(basename "$source") in
    MQTTClient.c | MQTTVersion.c | SSLSocket.c) ;;
    *) sources+=("$source") ;;
  esac
done
gcc -O1 -w -D_GNU_SOURCE -I "$to/c" -I "$paho/src" -o "$to/paho-c" "$here/program.c" "${sources[@]}" -lpthread
rm -rf "$to/c"
