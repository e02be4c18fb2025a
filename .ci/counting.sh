# Sourced by `.ci/run`: what counts as passed and failed. Sets `passed` and `failed`; reports go to `$reports`.
passed=0
failed=0

check() { # name, command…
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; fi
}

# The tests of one vitest report that passed and that failed; one that is missing or empty is a failure.
count() { # report
  local counts
  counts=$(node -e '
    const r = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))
    const broken = r.testResults.filter((f) => f.status === "failed" && f.assertionResults.length === 0).length
    console.log(r.numPassedTests, r.numFailedTests + r.numPendingTests + r.numTodoTests + broken)' "$1" 2> /dev/null) || counts="0 1"
  [ "$counts" = "0 0" ] && counts="0 1"
  echo "$counts"
}

# Vitest's exit code counts beside its report: an unhandled rejection fails the run, and no test of the report.
tests() { # npm script, options of vitest…
  local script=$1 code=0 counts
  shift
  printf '\n== npm run %s\n' "$script${*:+ $*}"
  npm run --silent "$script" -- --reporter=default --reporter=json --outputFile="$reports/$script.json" "$@" || code=$?
  counts=$(count "$reports/$script.json")
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
  [ "$code" = 0 ] && return
  echo "FAILED: npm run $script (exit code $code)"
  [ "${counts#* }" = 0 ] && failed=$((failed + 1))
}

# Of a rig that is too long for every run, the part whose turn it is: "2/5". By the commit, so that it can be repeated. A turn within
# another one goes by other digits of it: by the same ones some parts would never have theirs.
turn() { # parts, which seven digits: 0 by default, to 4
  local commit digits
  commit=$(git rev-parse HEAD 2> /dev/null) || commit=0
  digits=${commit:$((7 * ${2:-0})):7}
  echo "$((0x${digits:-0} % $1 + 1))/$1"
}

verdict() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}
