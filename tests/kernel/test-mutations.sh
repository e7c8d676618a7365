#!/bin/bash
# SPDX-License-Identifier: MIT
# Bugs put into the atomic driver on purpose, one at a time (mutations/*.patch). Each names the test that must find it.
#
# test-mutations.sh BUILD [NAME...]: these, or some of each kind; all of them in the nightly run
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
# shellcheck source=tests/kernel/locks/box.sh
. "$SOURCE/tests/kernel/locks/box.sh"
# shellcheck disable=SC2034 # for box.sh
BOX_LIMIT=600
FOLDER=$SOURCE/tests/kernel/mutations
shift
names=("$@")
[ $# != 0 ] || names=(flush-left-out unlock-before-the-map lock-a-page-short no-union-with-the-block failed-lock-recorded
	activation-in-the-middle)
[ $# != 0 ] || [ -z "${PANBIND_NIGHTLY:-}" ] || mapfile -t names < <(basename -s .patch "$FOLDER"/*.patch)

# The test has run, and found something: it said "not ok", or the kernel said what is wrong, or it never ended.
is_killed() {
	local killer=$1 test=$2 status=0
	local arguments=("$test")
	[ "$killer" != atomicity ] || arguments=(drm:auto "$TMP/rows")
	# the program judges a driver by the name of its box
	run_box mutant env PANBIND_BOX=atomic "$BUILD/tests/kernel/$killer" "${arguments[@]}" || status=$?
	grep -m 1 '^not ok' "$TMP/out" | sed 's/^not ok [0-9]* - /# found by: /'
	case $status in
	0) return 1 ;;
	1) grep -q '^not ok' "$TMP/out" ;;
	120 | 121 | 124) echo "# status $status" ;;
	*) sed 's/^/# /' "$TMP/err"; return 1 ;;
	esac
}

status "the driver without any can be built" 0 build_driver mutant "$HOOKS"
started=$SECONDS
ok "and passes" run_box mutant env PANBIND_BOX=atomic "$BUILD/tests/kernel/atomicity" drm:auto "$TMP/rows"
# What never ends is told from what is only slow today.
BOX_LIMIT=$((20 + 10 * (SECONDS - started)))
for name in "${names[@]}"; do
	read -r killer test < <(sed -n 's/^Killed-by: //p' "$FOLDER/$name.patch")
	status "$name can be built" 0 build_driver mutant "$HOOKS" "$FOLDER/$name.patch"
	ok "$name is found by $killer${test:+, $test}" is_killed "$killer" "$test"
done
done_testing
