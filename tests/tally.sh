#!/bin/sh
# tally.sh BUILD-FOLDER...: adds up the last `make check` of each: every test of a Check program
# counts, and every script as one. Prints `N passed, N failed, N skipped`; 1 if any failed.
set -eu
for folder; do
  for trs in "$folder"/tests/*.trs; do
    if [ -f "$trs" ]; then
      echo "result $(sed -n 's/^:test-result: *//p' "$trs")"
      grep '^[0-9]*%: Checks: ' "${trs%.trs}.log" || :
      echo end
    fi
  done
done | awk '
  $1 == "result" { result = $2; checks = bad = 0 }
  /Checks: / {
    gsub(/,/, "")
    for (i = 1; i < NF; i++) {
      if ($i == "Checks:") checks += $(i + 1)
      if ($i == "Failures:" || $i == "Errors:") bad += $(i + 1)
    }
  }
  $1 == "end" {
    if (result == "SKIP") skipped++
    else if (checks == 0) { if (result == "PASS") passed++; else failed++ }
    else {
      # A program that failed after its totals said that all is well has failed all the same.
      if (bad == 0 && result != "PASS") bad = 1
      passed += checks > bad ? checks - bad : 0
      failed += bad
    }
  }
  END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }
'
