#!/usr/bin/env bash
# Floating effects, missing yield* and the like, in every package that uses Effect. Fails when the checker saw no file.
set -euo pipefail
cd "$(dirname "$0")/.."
for package in core actors server; do
  out=$(npm exec --yes --package=@effect/tsgo@0.45.0 -- effect-tsgo diagnostics --project "packages/$package/tsconfig.json" --strict 2>&1) || { printf '%s\n' "$out"; exit 1; }
  seen=$(printf '%s\n' "$out" | sed -n 's/^Checked \([0-9]*\) files.*/\1/p')
  echo "$package: ${seen:-0} files checked"
  [ "${seen:-0}" -gt 0 ]
done
