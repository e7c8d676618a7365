#!/bin/bash
# SPDX-License-Identifier: MIT
# The faces of the libraries: a header declares, a symbol list names, and a shared library exports the same functions;
# and the headers stand alone in every language that it promises.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"

# Functions that a header declares: what precedes a "(" in any statement that is not a typedef.
declared() {
	cc -E -P -I"$SOURCE/include" "$1" | tr '\n' ' ' | tr ';' '\n' | grep -v typedef | grep -oE '\bpanbind_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u
}

listed() {
	grep -oE '^[[:space:]]+panbind_[a-z0-9_]+;' "$1" | tr -d '\t ;' | sort
}

# Names and versions of all that is exported, but for the version's own entry.
exported() {
	nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort
}

# same NAME FILE FILE: when they differ, says in what.
same() {
	ok "$1" cmp -s "$2" "$3"
	diff "$2" "$3" | sed 's/^/# /'
}

# face HEADERS LIST LIBRARY VERSION PATTERN: the three name the same functions.
face() {
	local library header
	library=$(find "$BUILD/lib" -name "$3" | head -n 1)
	for header in $1; do
		declared "$SOURCE/include/$header"
	done | sort -u | grep -E "$5" >"$TMP/declared"
	listed "$SOURCE/$2" >"$TMP/listed"
	exported "$library" >"$TMP/exported"
	sed "s/\$/@@$4/" "$TMP/listed" >"$TMP/versioned"
	ok "$1 declares functions" test "$(wc -l <"$TMP/declared")" -gt 30
	ok "$2 has no name twice" test -z "$(uniq -d "$TMP/listed")"
	same "$2 has what $1 declares, all of it" "$TMP/declared" "$TMP/listed"
	same "$3 exports what is listed, with its version, and nothing else" "$TMP/versioned" "$TMP/exported"
}
face "panbind.h panbind-sim.h" lib/libpanbind.map libpanbind.so LIBPANBIND_0.1 .
face panbind-log.h lib/log/libpanbind-log.map libpanbind-log.so LIBPANBIND_LOG_0.1 ^panbind_log_

# compiles NAME COMPILER FLAGS...: the headers alone, included twice.
printf '#include "%s"\n' panbind-sim.h panbind-log.h panbind-plan.h panbind-adopt.h panbind-script.h panbind.h panbind-state.h panbind-log.h panbind.h \
	panbind-sim.h >"$TMP/alone.c"
printf 'struct panbind_error use_it;\nstruct panbind_log_entry and_this;\n' >>"$TMP/alone.c"
compiles() {
	local name=$1 compiler=$2
	shift 2
	if ! command -v "$compiler" >/dev/null; then
		tests_run=$((tests_run + 1))
		echo "ok $tests_run - $name # SKIP no $compiler here"
		return
	fi
	ok "$name" "$compiler" -I"$SOURCE/include" -Wall -Wextra -Werror -pedantic "$@" -c "$TMP/alone.c" -o "$TMP/alone.o" \
		2>"$TMP/err"
	sed 's/^/# /' "$TMP/err"
}
compiles "the headers alone, gcc, C99" gcc -std=c99
compiles "the headers alone, gcc, C11" gcc -std=c11
compiles "the headers alone, g++, C++11" g++ -std=c++11 -x c++
compiles "the headers alone, clang, C99" clang -std=c99 -Wstrict-prototypes
compiles "the headers alone, clang, C++17" clang -std=c++17 -x c++

done_testing
