#!/bin/bash
# SPDX-License-Identifier: MIT
# What becomes of an op's lock, and of the flaws that a driver can have there: on the atomic driver, and on one that can
# be held in the middle of an op.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
# shellcheck source=tests/kernel/locks/box.sh
. "$SOURCE/tests/kernel/locks/box.sh"

status "a driver with hooks can be built" 0 build_driver hooks "$HOOKS"
box_tap atomic "$BUILD/tests/kernel/lock_flaws"
box_tap hooks "$BUILD/tests/kernel/lock_mid_op"

run_box atomic cat /sys/module/panthor/parameters/atomic_updates
is "the atomic driver says so" "$(cat "$TMP/out")" Y
ok "and cannot be told otherwise" run_box atomic sh -c '! echo N >/sys/module/panthor/parameters/atomic_updates'
ok "the stock driver says nothing" run_box stock test ! -e /sys/module/panthor/parameters/atomic_updates
status "panbind believes it" 0 run_box atomic "$PANBIND" -j devices
is "and lists it so" "$(jq -r '.devices[0].atomic' "$TMP/out")" yes
status "and does not know of the stock driver" 0 run_box stock "$PANBIND" -j devices
is "which is listed so" "$(jq -r '.devices[0].atomic' "$TMP/out")" unknown
done_testing
