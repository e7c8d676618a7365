#!/bin/bash
# SPDX-License-Identifier: MIT
# The simulated GPU sees what the emulated GPU under the real driver saw: kernel/ATOMICITY.md, case by case.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/kernel/atomicity/document.sh
. "$SOURCE/tests/kernel/atomicity/document.sh"
document=$SOURCE/kernel/ATOMICITY.md

# seen SPEC: what it comes to, in $TMP/rows, with the program's own judgement of each case.
seen() {
	"$BUILD/tests/kernel/atomicity" "$1" "$TMP/rows" >"$TMP/tap"
	ok "$1: each remap is seen as it must be" [ $? = 0 ]
	grep -A 1 '^not ok' "$TMP/tap" | sed 's/^/# /'
	compared_rows "$TMP/rows" >"$TMP/got"
}

for column in stock atomic; do
	case $column in stock) atomic=off ;; *) atomic=on ;; esac
	document_rows $column "$document" >"$TMP/wanted"
	ok "the document has a column $column" test "$(wc -l <"$TMP/wanted")" -ge 100
	seen "sim:minor=3,atomic=$atomic"
	ok "and as the real driver's GPU sees it" cmp -s "$TMP/wanted" "$TMP/got"
	diff "$TMP/wanted" "$TMP/got" | sed 's/^/# /'
	# A driver of 1.7 or later has the same locks and the same looks, and other commands to end a lock.
	seen "sim:minor=9,atomic=$atomic"
	ok "so for a newer driver, but for the commands" \
		cmp -s <(grep -v $'\tcommands\t' "$TMP/wanted") <(grep -v $'\tcommands\t' "$TMP/got")
done
done_testing
