#!/bin/bash
# SPDX-License-Identifier: MIT
# The face of the library: the header declares, the symbol list names, and the shared library exports the same functions;
# and the header stands alone in every language that it promises.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"

header=$SOURCE/include/panbind.h
list=$SOURCE/lib/libpanbind.map
library=$(find "$BUILD/lib" -name 'libpanbind.so' | head -n 1)

# Functions that a header declares: what precedes a "(" in any statement that is not a typedef.
declared() {
	cc -E -P "$1" | tr '\n' ' ' | tr ';' '\n' | grep -v typedef | grep -oE '\bpanbind_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u
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

declared "$header" >"$TMP/declared"
listed "$list" >"$TMP/listed"
exported "$library" >"$TMP/exported"
sed 's/$/@@LIBPANBIND_0.1/' "$TMP/listed" >"$TMP/versioned"

ok "the header declares functions" test "$(wc -l <"$TMP/declared")" -gt 50
ok "the list has no name twice" test -z "$(uniq -d "$TMP/listed")"
same "the list has what the header declares, all of it" "$TMP/declared" "$TMP/listed"
same "the library exports what is listed, with its version, and nothing else" "$TMP/versioned" "$TMP/exported"

# compiles NAME COMPILER FLAGS...: the header alone, included twice.
printf '#include "panbind.h"\n#include "panbind.h"\nstruct panbind_error use_it;\n' >"$TMP/alone.c"
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
compiles "the header alone, gcc, C99" gcc -std=c99
compiles "the header alone, gcc, C11" gcc -std=c11
compiles "the header alone, g++, C++11" g++ -std=c++11 -x c++
compiles "the header alone, clang, C99" clang -std=c99 -Wstrict-prototypes
compiles "the header alone, clang, C++17" clang -std=c++17 -x c++

done_testing
