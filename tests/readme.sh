#!/bin/sh
# The README's examples: each block after a line <!-- run: SERVER --> is run, its commands ("$ ...")
# against that server (":": none) on a port of the system's, and what they print is held against
# what the README shows. Figures of time, ports and the like may differ.
#
#   readme.sh          compares
#   readme.sh --show   prints the blocks as they come out now, to be copied into the README
set -u
top=$(cd "${srcdir:-.}" && pwd) || exit 1
programs=${SYNFIN_PROGRAMS_DIR-}
PATH=${programs:-$PWD/server:$PWD/client}:$PATH
LC_ALL=C.UTF-8
export PATH LC_ALL

folder=$(mktemp -d "${TMPDIR:-/tmp}/synfin-readme-XXXXXX") || exit 1
server=
finish() {
  if [ -n "$server" ]; then
    kill "$server" 2> /dev/null
    wait "$server"
  fi
  rm -rf "$folder"
}
trap finish EXIT
cd "$folder" || exit 1

# N.server, N.want and N.script for each block.
awk '
  /^<!-- run: .* -->$/ {
    n = sprintf("%02d", n + 1)
    sub(/^<!-- run: /, "")
    sub(/ -->$/, "")
    print > (n ".server")
    marked = 1
    next
  }
  marked && /^```console$/ { inside = 1; marked = 0; next }
  inside && /^```$/ { inside = 0; next }
  inside { print > (n ".want") }
  inside && /^\$ / {
    command = substr($0, 3)
    shown = $0
    gsub(/\047/, "\047\\\047\047", shown)
    # The status of the last command is still there for the next.
    print "s=$?; printf \"%s\\n\" \047" shown "\047; (exit $s)" > (n ".script")
    gsub(/localhost 9000/, "localhost $PORT", command)
    print command > (n ".script")
  }
' "$top/README.md"

# Times, clocks, ports and rates are as they are; blanks follow from their widths. Standard output is
# written beside the connection: which stage that has reached when it fails is a race.
plain() {
  sed -E \
    -e 's/^\{.*/{record}/' \
    -e 's/[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+/CLOCK/g' \
    -e 's/[0-9][0-9.]* (ns|µs|ms|s|m|h)\b/TIME/g' \
    -e 's/^(frames\/s +[^ ]+ +)[0-9,]+/\1RATE/; s/[0-9.]+ [kMG]?B\/s/RATE/' \
    -e '/^"/s/[0-9a-f]{16}|[0-9]+/N/g' \
    -e 's/(127\.0\.0\.1|\[::1\]):[0-9]+/ADDRESS/g' \
    -e 's/localhost [0-9]+/localhost PORT/g' \
    -e 's/fd [0-9]+|close\([0-9]+\)/FD/g' \
    -e 's/^kernel: .*/kernel/' \
    -e 's/(verdict: output at )[a-z]+/\1STAGE/' \
    -e 's/ +/ /g; s/^ //'
}

start_server() { # COMMAND
  rm -f log
  mkfifo log || return 1
  $1 0 2> log &
  server=$!
  exec 3< log # stays open: what follows fits into the pipe
  PORT=
  while [ -z "$PORT" ] && read -r line <&3; do
    PORT=$(expr "$line" : '.*listening on [^ ]*:\([0-9]*\)')
    said=$line
  done
  export PORT
  [ -n "$PORT" ] || echo "$1 did not start: ${said-}" >&2
  [ -n "$PORT" ]
}

bad=0 count=0
for want in *.want; do
  n=${want%.want}
  count=$((count + 1))
  command=$(cat "$n.server")
  if [ "$command" != : ]; then
    start_server "$command" || exit 1
  fi
  sh "$n.script" > "$n.got" 2>&1 < /dev/null 3<&-
  if [ -n "$server" ]; then
    kill "$server"
    wait "$server"
    server=
  fi
  if [ "${1-}" = --show ]; then
    printf '\n<!-- run: %s -->\n' "$command"
    cat "$n.got"
  else
    plain < "$want" > "$n.want.plain"
    plain < "$n.got" > "$n.got.plain"
    if ! diff "$n.want.plain" "$n.got.plain" > "$n.diff"; then
      echo "README.md, the example with $command (< the README, > what came):" >&2
      cat "$n.diff" >&2
      bad=1
    fi
  fi
done
echo "$count examples"
[ "$count" -gt 0 ] || bad=1
exit $bad
