#!/bin/sh
# The main job, from the build folder: every line of a real file goes through the pair and comes
# back the same; both ends' account of the connection; then SIGTERM while a client is connected.
set -eu

work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then kill -KILL "$server" 2>/dev/null || :; fi
  rm -rf "$work"
}
trap finish EXIT
fail() {
  echo "main_job.sh: $*" >&2
  exit 1
}
say() {
  printf '\n%s\n' "$*"
}

# shellcheck disable=SC2086 # a wrapper such as valgrind brings its arguments
synfind() { exec ${SYNFIN_WRAP-} ./server/synfind "$@"; }
# shellcheck disable=SC2086
synfin() { ${SYNFIN_WRAP-} ./client/synfin "$@"; }

# A real file: this system's C headers. Under a wrapper the first lines of it will do.
find /usr/include -name '*.h' -type f -print0 | sort -z | xargs -0 cat >"$work/all"
if [ -n "${SYNFIN_WRAP-}" ]; then head -n 20000 "$work/all"; else cat "$work/all"; fi >"$work/file"
if [ "$(tail -c 1 "$work/file" | wc -l)" -eq 0 ]; then echo >>"$work/file"; fi
lines=$(wc -l <"$work/file")
if [ "$lines" -lt 10000 ]; then
  fail "/usr/include holds $lines lines only; apt-get install libc6-dev"
fi

say "synfind on a port of the system's choice:"
synfind 127.0.0.1:0 --port-file "$work/port" --journal "jsonl:$work/server.jsonl" \
  2>"$work/server.log" &
server=$!
while [ ! -s "$work/port" ]; do
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/server.log")"
  sleep 0.05
done
port=$(cat "$work/port")
cat "$work/server.log"

say "every line of /usr/include's headers: $lines lines, $(wc -c <"$work/file") bytes:"
echo "    synfin 127.0.0.1 $port < file > replies"
synfin --journal "jsonl:$work/client.jsonl" 127.0.0.1 "$port" <"$work/file" >"$work/replies" ||
  fail "the client's exit status is $?"
cmp "$work/file" "$work/replies" || fail "the replies differ from what was sent"
echo "each of $lines lines came back equal"

# The second client: one line and its reply, and stdin stays open, so it stays connected.
mkfifo "$work/in" "$work/out"
synfin --journal "jsonl:$work/second.jsonl" 127.0.0.1 "$port" <"$work/in" >"$work/out" &
second=$!
exec 3>"$work/in" 4<"$work/out"
echo 'still here' >&3
read -r reply <&4 || fail "the second client ended without a reply"
if [ "$reply" != 'still here' ]; then fail "the second client's reply is '$reply'"; fi
logged=$(wc -l <"$work/server.log")
say "SIGTERM to the server, with a client connected and idle:"
kill -TERM "$server"
wait "$second" || fail "the second client's exit status is $?"
status=0
wait "$server" || status=$?
server=
tail -n "+$((logged + 1))" "$work/server.log"
if [ "$status" -ne 0 ]; then fail "the server's exit status is $status"; fi

# Side by side, one column for each record: the connection that carried the file, from both ends.
value() { # END KEY: of the first record; "-" for null
  head -n 1 "$work/$1.jsonl" |
    sed -n "s/.*[{,]\"$2\":\"\{0,1\}\([^\",}]*\)\"\{0,1\}[,}].*/\1/p" | sed 's/^null$/-/'
}
row() { # LABEL KEY
  printf '%-14s %16s %16s\n' "$1" "$(value client "$2")" "$(value server "$2")"
}
say "the file's connection, as each end recorded it (--journal jsonl:FILE), times in microseconds:"
printf '%-14s %16s %16s\n' stage client server
for stage in resolve queue create connect transfer drain linger close total; do
  row "$stage" "${stage}_us"
done
for key in frames_out frames_in bytes_out bytes_in unanswered unread_bytes unacked_bytes fate \
  closed_first time_wait; do
  row "$(echo "$key" | tr _ ' ')" "$key"
done

for end in client server; do
  if [ "$(value "$end" fate)" != clean ]; then fail "the $end's record is not clean"; fi
  for key in frames_in frames_out; do
    if [ "$(value "$end" "$key")" -ne "$lines" ]; then
      fail "$key of the $end is not $lines"
    fi
  done
done
say "done: $lines lines there and back, nothing lost"
