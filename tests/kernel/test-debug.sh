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
# shellcheck disable=SC2034 # for box.sh; KASAN has wiping of its own, and reports the kernel's while it boots
BOX_DEBUG=(--debug) BOX_WORDS='' BOX_LIMIT=1800

export PANBIND_DEVICE=drm:auto

# provoked WHAT TEXT: malisim does WHAT, and the kernel notices.
provoked() {
	local got=0
	run_box atomic sh -c "echo $1 >/sys/kernel/debug/malisim/provoke; sleep 1" || got=$?
	is "$1 is noticed" "$got" 120
	like "  as what it is" "$(tr -d '\0' <"$TMP/console")" "$2"
}

# leaks NAME COMMAND: what kmemleak has found when COMMAND has ended, into $TMP/out.
leaks() {
	status "$1" 0 run_box atomic sh -c "$2"'
		sleep 6 # nothing younger is told
		echo scan >/sys/kernel/debug/kmemleak
		sleep 6 # and nothing that was not there the time before
		echo scan >/sys/kernel/debug/kmemleak; cat /sys/kernel/debug/kmemleak' - "$BUILD"
}

status "the kernel and a driver with hooks can be built" 0 build_driver hooks "$HOOKS"
provoked use-after-free 'BUG: KASAN: slab-use-after-free'
provoked deadlock 'possible circular locking dependency'
BOX_DEBUG=(--debug --allow-reports)
leaks "what leaks" 'echo leak >/sys/kernel/debug/malisim/provoke'
like "  is noticed" "$(grep -A 30 'unreferenced object' "$TMP/out")" 'size 64'
BOX_DEBUG=(--debug)

box_tap atomic "$BUILD/tests/kernel/fail_nth"
box_tap atomic "$BUILD/tests/kernel/lock_flaws"
box_tap hooks "$BUILD/tests/kernel/lock_mid_op"
for program in "$BUILD"/tests/conform/conform_*; do
	[ "${program##*/}" != conform_sync ] || continue
	box_tap atomic "$program"
done

# DRM's core asks for as much memory as a wait has handles, and no driver sees that ioctl. All else is ours.
BOX_DEBUG=(--debug --allow-reports)
box_tap atomic "$BUILD/tests/conform/conform_sync"
ok "DRM's core warns of an array of 4G handles, and of nothing else" only_report \
	'WARNING: .* at mm/page_alloc.c:[0-9]+ __alloc_pages_noprof' 'drm_syncobj_array_find'
BOX_DEBUG=(--debug)

for program in fail_nth lock_flaws; do
	leaks "$program" "\$1/tests/kernel/$program"
	is "  leaks nothing" "$(grep -A 30 'unreferenced object' "$TMP/out")" ""
done
done_testing
