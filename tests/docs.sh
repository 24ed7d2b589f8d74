#!/bin/sh
# The documents against the sources: mandoc's lint, each fate and each column of the record in the
# man pages, and links to files that exist.
set -u
cd "${srcdir:-.}" || exit 1
bad=0

complain() {
  printf '%s\n' "$1" >&2
  bad=1
}

if command -v mandoc > /dev/null; then
  for page in doc/*.[1-8]; do
    said=$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'mandoc\.db')
    [ -z "$said" ] || complain "$said"
  done
else
  echo 'mandoc is not here: the pages are not linted'
fi

# "word exit ends" of each fate.
fates() {
  sed -n 's/^FATE([A-Z_]*, "\([^"]*\)", [01], \([0-9]*\), \([A-Z]*\),.*/\1 \2 \3/p' common/fate.def
}

ending() {
  case $1 in
    FIN) echo 'ended by FIN' ;;
    RST) echo 'cut by RST' ;;
  esac
}

# In the client's page each fate has its place, in the table's order; in the server's, those it can
# meet.
fates | while read -r word status ends; do
  end=$(ending "$ends")
  echo ".It Cm $word Pq $status${end:+, $end}"
done > "${TMPDIR:-/tmp}/fates.$$"
sed -n '/^\.Sh DIAGNOSTICS/,/^\.Sh SEE ALSO/s/^\.It Cm .*/&/p' doc/synfin.1 |
  diff "${TMPDIR:-/tmp}/fates.$$" - > "${TMPDIR:-/tmp}/said.$$" ||
  complain "synfin(1), DIAGNOSTICS, and common/fate.def differ (< the table, > the page):
$(cat "${TMPDIR:-/tmp}/said.$$")"
rm -f "${TMPDIR:-/tmp}/fates.$$" "${TMPDIR:-/tmp}/said.$$"

sed -n '/^\.Sh DIAGNOSTICS/,/^\.Sh SEE ALSO/s/^\.It Cm //p' doc/synfind.8 > "${TMPDIR:-/tmp}/served.$$"
while read -r word rest; do
  ends=$(fates | sed -n "s/^$word [0-9]* //p")
  end=$(ending "$ends")
  [ -n "$ends" ] || complain "synfind(8), DIAGNOSTICS: $word is no fate"
  [ "$rest" = "${end:+Pq $end}" ] || complain "synfind(8), DIAGNOSTICS: $word: '$rest' is '$end'"
done < "${TMPDIR:-/tmp}/served.$$"
rm -f "${TMPDIR:-/tmp}/served.$$"

# The record's columns.
columns=$(
  sed -n 's/^PHASE([A-Z]*, \([a-z]*\))/\1_us/p' common/phase.def
  sed -n 's/.*json_[a-z]*(out, "\([a-z_]*\)".*/\1/p; s/^ *{"\([a-z_]*\)", kernel->.*/\1/p' \
    common/life_text.c
)
[ "$(echo "$columns" | wc -l)" -gt 30 ] || complain 'the columns of common/life_text.c were not found'
for column in $columns; do
  case $column in
    address | error) continue ;; # of an attempt
  esac
  sed -n '/^\.Sh JOURNAL/,/^\.Sh SIGNALS/p' doc/synfin.1 | grep -qw "$column" ||
    complain "synfin(1), JOURNAL: the column $column is not there"
done

# Links between the documents, and files they name.
for page in README.md doc/*.md doc/tour/*.md; do
  [ -e "$page" ] || continue
  for link in $(sed 's/](/\n](/g' "$page" | sed -n 's/^](\([^):#]*\)[)#].*/\1/p'); do
    [ -e "$(dirname "$page")/$link" ] || complain "$page: $link does not exist"
  done
done

exit $bad
