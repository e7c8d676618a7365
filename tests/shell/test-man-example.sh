#!/bin/bash
# SPDX-License-Identifier: MIT
# The program in libpanbind(3) is the one that people copy: it has to compile as it stands, and to do what it says.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"

page=$SOURCE/man/libpanbind.3
lib=$BUILD/lib

# From the page's source to what a reader sees: drop requests and comments, resolve the escapes.
sed -n '/^\.\\" example begins/,/^\.\\" example ends/p' "$page" | sed -e '/^\./d' -e 's/\\e/\\/g' -e 's/\\-/-/g' >"$TMP/example.c"
ok "the page has a complete program" grep -q '^int main(void)' "$TMP/example.c"
ok "of some twenty lines" test "$(wc -l <"$TMP/example.c")" -le 30

# The library of a developer's build has sanitizers in it, and then the program needs them too.
sanitizers=
nm -D "$lib/libpanbind.so" | grep -q __asan && sanitizers=-fsanitize=address,undefined
nm -D "$lib/libpanbind.so" | grep -q __tsan && sanitizers=-fsanitize=thread
# shellcheck disable=SC2086
ok "it compiles without a warning" cc -std=c99 -pedantic -Wall -Wextra -Werror $sanitizers -I"$SOURCE/include" \
	"$TMP/example.c" -o "$TMP/example" -L"$lib" -lpanbind "-Wl,-rpath,$lib"
status "it runs" 0 "$TMP/example"
is "and shows what the GPU reads" "$(cat "$TMP/out")" "the GPU reads 42"

# What the page says of functions exists: each panbind_..() in it is declared.
grep -oE 'panbind_[a-z_]+ \(\)' "$page" | tr -d ' ()' | sort -u >"$TMP/named"
grep -ohE '\bpanbind_[a-z_]+\(' "$SOURCE"/include/panbind{,-adopt,-plan,-script,-state}.h | tr -d '(' | sort -u >"$TMP/declared"
is "all functions it names are declared" "$(comm -23 "$TMP/named" "$TMP/declared")" ""
ok "and it names some" test "$(wc -l <"$TMP/named")" -gt 15

if command -v man >/dev/null; then
	man --warnings -l -Tutf8 "$page" >"$TMP/rendered" 2>"$TMP/man.err"
	is "it renders without warnings" "$(cat "$TMP/man.err")" ""
fi
done_testing
