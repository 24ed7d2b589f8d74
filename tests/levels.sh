#!/bin/sh
# levels.sh [FOLDER]: who may include whom, held against the sources of FOLDER (default: this tree).
#
#   common/           a file includes its own level or a lower one; the level is the "Level N." of
#                     the header's comment, and a .c has that of its header (life_text.c: life.h)
#   server/ client/   common/ and their own files, not each other's
#   tests/ bench/     any
#   doc/tour/         none: the tour stands alone
#
# Also: each .c but the tour's includes config.h first, and no folder holds a config.h of its own.
set -eu

# The rules, over `FILE` arguments relative to the current folder. One line for each violation.
rules() {
  awk '
    function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
    function base(path) { sub(/.*\//, "", path); return path }
    function bad(what) { print FILENAME ":" FNR ": " what; failed = 1 }

    # The level of a file in common/: its own, or that of the header with the longest name that
    # its name begins with.
    function level_of(path, stem) {
        stem = base(path)
        sub(/\.[a-z]*$/, "", stem)
        while (1) {
            if (path in level)
                return level[path]
            if (("common/" stem ".h") in level)
                return level["common/" stem ".h"]
            if (!sub(/_[^_]*$/, "", stem))
                return -1
        }
    }

    function may_include(from, to) {
        if (from == "doc/tour")
            return 0
        if (from == "common" || from == "server" || from == "client")
            return to == "common" || to == from
        return 1
    }

    # The first pass learns which files there are and at which level.
    FNR == 1 { pass = (FILENAME in there) ? 2 : 1; there[FILENAME] = 1; first = 1 }
    pass == 1 && FNR == 1 && FILENAME ~ /\.def$/ { level[FILENAME] = 0 }
    pass == 1 && FNR == 1 && base(FILENAME) == "config.h" {
        bad("the name config.h is configure'"'"'s; name this header otherwise")
    }
    pass == 1 && FNR <= 14 && folder(FILENAME) == "common" && !(FILENAME in level) &&
            match($0, /Level [0-9]/) {
        level[FILENAME] = substr($0, RSTART + 6, 1)
    }

    pass == 2 && FNR == 1 && folder(FILENAME) == "common" && level_of(FILENAME) < 0 {
        bad("no level: say \"Level N.\" in the first comment of its header")
    }
    pass == 2 && /^[ \t]*#[ \t]*include/ {
        from = folder(FILENAME)
        config = /"config\.h"/
        if (from != "doc/tour" && first && FILENAME ~ /\.c$/ && !config)
            bad("a .c includes \"config.h\" before anything else")
        if (config && (!first || FILENAME ~ /\.h$/))
            bad("\"config.h\" is included first, and by a .c only")
        first = 0
        if (config || !match($0, /"[^"]*"/))
            next
        name = substr($0, RSTART + 1, RLENGTH - 2)
        if ((from "/" name) in there)
            file = from "/" name
        else if (("common/" name) in there)
            file = "common/" name
        else if (("tests/" name) in there && from == "tests")
            file = "tests/" name
        else if (("server/" name) in there)
            file = "server/" name
        else if (("client/" name) in there)
            file = "client/" name
        else {
            bad("\"" name "\" is not there")
            next
        }
        if (name ~ /\.c$/)
            bad("a .c is compiled by itself, not included: " file)
        if (!may_include(from, folder(file)))
            bad(from "/ does not include " folder(file) "/: " file)
        else if (from == "common" && level_of(file) > level_of(FILENAME))
            bad("level " level_of(FILENAME) " includes level " level_of(file) ": " file)
    }
    END { exit failed }
  ' "$@" "$@"
}

check() (
  cd "$1"
  set --
  for file in common/*.[ch] common/*.def server/*.[ch] client/*.[ch] tests/*.[ch] bench/*.[ch] \
    doc/tour/*.[ch]; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
  done
  rules "$@"
)

# A rule that cannot fail checks nothing: each is held against a file that breaks it.
expect() { # MESSAGE FILE LINE...
  message=$1 file=$2
  shift 2
  rm -rf "$made"
  mkdir -p "$made/common" "$made/server" "$made/client" "$made/tests" "$made/doc/tour"
  printf '/* low: first. Level 0. */\n' >"$made/common/low.h"
  printf '/* high: second. Level 2. */\n#include "low.h"\n' >"$made/common/high.h"
  printf '#include "config.h"\n#include "high.h"\n' >"$made/common/high_more.c"
  printf '#include "config.h"\n#include "worker.h"\n#include "low.h"\n' >"$made/server/worker.c"
  printf '/* worker */\n' >"$made/server/worker.h"
  if ! check "$made" >"$made/said"; then
    echo "levels.sh: a tree without a fault fails: $(cat "$made/said")" >&2
    exit 1
  fi
  printf '%s\n' "$@" >"$made/$file"
  if check "$made" >"$made/said"; then
    echo "levels.sh: this passes in $file, and must not: $*" >&2
    exit 1
  fi
  if ! grep -qF "$message" "$made/said"; then
    echo "levels.sh: for $file the message is '$(cat "$made/said")', not '$message'" >&2
    exit 1
  fi
}

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
expect 'common/low.c:2: level 0 includes level 2: common/high.h' common/low.c \
  '#include "config.h"' '#include "high.h"'
expect 'common/other.h:1: no level' common/other.h '/* other: without a level. */'
expect 'common/low.c:2: common/ does not include server/: server/worker.h' common/low.c \
  '#include "config.h"' '#include "worker.h"'
expect 'client/main.c:2: client/ does not include server/: server/worker.h' client/main.c \
  '#include "config.h"' '#include "worker.h"'
expect 'doc/tour/server.c:1: doc/tour/ does not include common/: common/low.h' doc/tour/server.c \
  '#include "low.h"'
expect 'server/main.c:1: a .c includes "config.h" before anything else' server/main.c \
  '#include <stdio.h>' '#include "low.h"'
expect 'server/main.h:1: "config.h" is included first, and by a .c only' server/main.h \
  '#include "config.h"'
expect 'client/config.h:1: the name config.h is configure' client/config.h '/* config */'
expect 'client/main.c:2: "gone.h" is not there' client/main.c '#include "config.h"' \
  '#include "gone.h"'
expect 'a .c is compiled by itself, not included: server/worker.c' tests/check_it.c \
  '#include "config.h"' '#include "worker.c"'

tree=${1:-$(dirname "$0")/..}
if check "$tree" >"$made/said"; then
  echo "levels.sh: every include goes to the same level or down"
else
  cat "$made/said" >&2
  exit 1
fi
