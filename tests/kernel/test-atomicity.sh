#!/bin/bash
# SPDX-License-Identifier: MIT
# What the GPU sees during each remap, on the driver as it is and on the one with atomic updates: judged by the program
# `atomicity`, and compared with kernel/ATOMICITY.md.
#
# test-atomicity.sh BUILD           in one kernel box after the other, or in the box that it runs in
# test-atomicity.sh BUILD --update  write the tables of kernel/ATOMICITY.md anew, from what is seen now
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/kernel/atomicity/document.sh
. "$top/tests/kernel/atomicity/document.sh"
document=$top/kernel/ATOMICITY.md

if [ "${2:-}" = --update ]; then
	rows=$(mktemp -d)
	trap 'rm -rf "$rows"' EXIT
	for driver in stock atomic; do
		"$top/kernel/run" --panthor=$driver -- "$1/tests/kernel/atomicity" drm:auto "$rows/$driver" </dev/null || exit
	done
	document_update "$document" "$rows/stock" "$rows/atomic"
	exit
fi
# shellcheck source=tests/kernel/each-box.sh
. "$top/tests/kernel/each-box.sh"
# The document is about 1.0. What of another driver is a known bug warns, and is skipped.
minor=$(driver_minor)
[ "$minor" -lt 7 ] || export PANBIND_BOX_REPORTS=1
each_box "$0" "$@"
# shellcheck source=tests/shell/lib.sh
. "$top/tests/shell/lib.sh"

"$BUILD/tests/kernel/atomicity" drm:auto "$TMP/rows" >"$TMP/tap"
failed=$?
grep -vE '^1\.\.' "$TMP/tap"
tests_run=$(grep -cE '^(not )?ok ' "$TMP/tap")
ok "the program ends well" [ $failed = 0 ]
ok "and says what it saw" test -s "$TMP/rows"
[ "$minor" = 0 ] || { done_testing; exit; }
document_rows "$PANBIND_BOX" "$document" >"$TMP/wanted"
compared_rows "$TMP/rows" >"$TMP/got"
ok "the tables of ATOMICITY.md are true of the $PANBIND_BOX driver" cmp -s "$TMP/wanted" "$TMP/got"
diff "$TMP/wanted" "$TMP/got" | sed 's/^/# /'
done_testing
