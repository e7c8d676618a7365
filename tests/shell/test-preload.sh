#!/bin/bash
# SPDX-License-Identifier: MIT
# The preload library in programs that are not to notice it: what it exports, and that it changes nothing.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$TMP" || exit 1
PRELOAD=$BUILD/preload/libpanbind-preload.so

# Its symbol list and the library name the same functions.
listed() {
	sed -nE 's/^\t([a-z_0-9]+);$/\1/p' "$SOURCE/preload/libpanbind-preload.map" | sort
}
listed >listed
nm -D --defined-only "$PRELOAD" | awk '{ print $3 }' | sort >exported
is "it exports what is listed and nothing else" "$(diff listed exported)" ""
ok "it exports functions" [ "$(wc -l <listed)" -gt 20 ]
nm -D --defined-only "$(ldconfig -p | awk '/libc\.so\.6 .*x86-64|libc\.so\.6 .*AArch64/ { print $NF; exit }')" |
	awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u >libc
is "all of it is libc's" "$(comm -23 exported libc)" ""
ok "it needs nothing but libc" [ "$(readelf -d "$PRELOAD" | grep -c NEEDED)" = 1 ]

# Programs that are not ours behave as without it.
unchanged() {
	local name=$1
	shift
	"$@" >plain.out 2>plain.err </dev/null
	local plain=$?
	LD_PRELOAD=$PRELOAD "$@" >with.out 2>with.err </dev/null
	is "$name: same status" "$?" "$plain"
	ok "$name: same output" cmp plain.out with.out
	ok "$name: same errors" cmp plain.err with.err
}
unchanged "ls of a folder" ls -l /usr/lib
unchanged "cat of nothing" cat /nonexistent
unchanged "a shell with redirections" bash -c 'exec 5>&1; echo a >&5; exec 5>&-; (echo b) | cat; { echo c; } >/dev/full; wait'
unchanged "sort with temporary files" bash -c 'seq 20000 | sort -R --random-source=/usr/bin/sort -S 64K | md5sum'

done_testing
