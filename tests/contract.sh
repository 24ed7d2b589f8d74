#!/bin/sh
# Each rule of the close contract, taken out of the two programs (-DCONTRACT_WITHOUT=n), must make
# check_close fail, on both ends, by what that rule prevents; with all rules the same rows pass.
set -u

export SYNFIN_SCALE=10 SYNFIN_DEADLINE=4000
unset SYNFIN_WRAP

TMPDIR=$(mktemp -d) # failed tests leave their folders
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
failures=0

# run ROWS... : check_close over these rows; its messages are in $said.
run() {
  said=$(./tests/check_close "$@" 2>&1)
}

# expect RULE END ROW REASON: without the rule, the row fails by that reason (a basic regular
# expression); with it, it passes.
expect() {
  unset SYNFIN_PROGRAMS_DIR
  if ! run "$2" "$3"; then
    printf 'FAIL: with every rule, "%s %s" must pass:\n%s\n' "$2" "$3" "$said"
    failures=$((failures + 1))
  fi
  SYNFIN_PROGRAMS_DIR=$PWD/tests/contract-without-$1
  export SYNFIN_PROGRAMS_DIR
  if run "$2" "$3"; then
    printf 'FAIL: without rule %s, "%s %s" passes\n' "$1" "$2" "$3"
    failures=$((failures + 1))
  elif ! printf '%s\n' "$said" | grep -q "$4"; then
    printf 'FAIL: without rule %s, "%s %s" fails, but not by "%s":\n%s\n' "$1" "$2" "$3" "$4" "$said"
    failures=$((failures + 1))
  else
    printf 'ok: without rule %s, %s: %s: %s\n' "$1" "$2" "$3" "$(printf '%s\n' "$said" |
      sed -n 's/.*\] \(.*\); the record.*/\1/p; s/.*raw connections/raw connections/p' | head -n 1)"
  fi
}

# 1 the drain waits until the output is empty; 2 our FIN, which the peers wait for; 3 the linger;
# 4 no close with unread input; 5 the peer's FIN first: what came before is answered; 6 RST ends
# what is not clean, which the peers wait for.
expect 1 server "we first, unread, FIN" "bytes were owed"
expect 1 client "we first, unread, half-close" "bytes were owed"
expect 2 server "we first, read, FIN" "raw connections ended"
expect 2 client "we first, read, half-close" "raw connections ended"
expect 3 server "we first, unread, half-close" "saw an RST"
expect 3 client "we first, read, half-close" "replies are missing.*saw an RST"
expect 4 server "we first, unread, half-close" "saw an RST"
expect 4 client "we first, read, half-close" "replies are missing.*saw an RST"
# A slow peer shows it by the record, before the bytes are looked at: closed at the FIN, none of ours sent.
expect 5 server "peer first, unread, half-close" "bytes were owed\|closed_first is nobody"
expect 5 client "peer first, unread, half-close" "bytes were owed"
expect 6 server "we first, unread, no FIN" "raw connections ended"
expect 6 client "peer first, unread, no FIN" "raw connections ended"

exit $((failures > 0))
