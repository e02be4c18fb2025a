#!/usr/bin/env bash
# Installs what the rigs for power cuts and disk faults run besides npm's packages. The kernel must have ext4, loop devices and FUSE.
set -euo pipefail

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v gcc > /dev/null || missing+=(gcc libc6-dev)
command -v mkfs.ext4 > /dev/null || missing+=(e2fsprogs)
command -v losetup > /dev/null || missing+=(mount util-linux)
command -v prlimit > /dev/null || missing+=(util-linux)
command -v kcat > /dev/null || missing+=(kcat)
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq "${missing[@]}" < /dev/null
fi
for device in /dev/fuse /dev/loop-control; do
  [ -c "$device" ] || { echo "$device is missing: this kernel cannot run the rig"; exit 1; }
done
