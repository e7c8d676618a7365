#!/bin/bash
# SPDX-License-Identifier: MIT
# The atomic driver on a kernel with KASAN, lockdep and kmemleak, which must have nothing to report: while each allocation
# of an ioctl fails once, while locks are taken away in the middle of an op, and while the conformance tests run.
# Building that kernel takes a while, so this is for the nightly run.
[ -n "${PANBIND_NIGHTLY:-}" ] || { echo "1..0 # SKIP the debug kernel is for the nightly run"; exit 0; }
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
# shellcheck source=tests/kernel/locks/box.sh
. "$SOURCE/tests/kernel/locks/box.sh"
# shellcheck disable=SC2034 # for box.sh
BOX_DEBUG=(--debug) BOX_LIMIT=900

status "the kernel and a driver with hooks can be built" 0 build_driver hooks "$HOOKS"
box_tap atomic "$BUILD/tests/kernel/fail_nth"
box_tap atomic "$BUILD/tests/kernel/lock_flaws"
box_tap hooks "$BUILD/tests/kernel/lock_mid_op"
for program in "$BUILD"/tests/conform/conform_*; do
	box_tap atomic env PANBIND_DEVICE=drm:auto "$program"
done
# The last program's memory, of the kernel's, that nobody can reach.
status "nothing has leaked" 0 run_box atomic sh -c '
	"$1"; echo scan >/sys/kernel/debug/kmemleak; sleep 6
	echo scan >/sys/kernel/debug/kmemleak; cat /sys/kernel/debug/kmemleak' - "$BUILD/tests/kernel/fail_nth"
is "says kmemleak" "$(grep -A 30 'unreferenced object' "$TMP/out")" ""
done_testing
