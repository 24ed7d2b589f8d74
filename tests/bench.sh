#!/bin/sh
# bench.sh: the benchmark's own programs still work with the pair as it is: one short round of a
# shape at either end, and bench/million with a few connections. What they measure is not looked at.
set -eu
srcdir=${srcdir:-$(dirname "$0")/..}
build=${1:-.}
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE

if ! command -v python3 >/dev/null; then
  echo "bench.sh: python3 is not there"
  exit 77
fi
if [ ! -x "$build/bench/raw_server" ]; then
  echo "bench.sh: $build/bench/raw_server is not built"
  exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
  echo "bench.sh: $1" >&2
  cat "$dir/out" "$dir/err" >&2
  exit 1
}

timeout 100 "$srcdir/bench/run" --build "$build" --rounds 1 --seconds 0.1 \
  --output "$dir/RESULTS.md" --only 'a server' 'a client' 'open 1000' \
  >"$dir/out" 2>"$dir/err" || fail "bench/run: status $?"
for goal in 'a +server +≥ 0.97 raw' 'a +client +≥ 0.97 raw' 'open loop +client +1,000/s: rate'; do
  grep -Eq "^(met|missed|not run) +$goal" "$dir/out" || fail "bench/run did not judge '$goal'"
done
grep -q '^| .* | a | server | ≥ 0.97 raw |' "$dir/RESULTS.md" || fail "RESULTS.md has no goals"

timeout 100 "$srcdir/bench/million" --build "$build" 300 >"$dir/out" 2>"$dir/err" ||
  fail "bench/million: status $?"
for who in synfin raw; do
  grep -q "^$who: 300 connections up" "$dir/out" || fail "bench/million did not hold 300 of $who"
done
[ "$(grep -c '^  lost: 0$' "$dir/out")" -eq 2 ] || fail "bench/million lost connections or frames"
echo "bench.sh: a round of bench/run, and 300 connections of bench/million"
