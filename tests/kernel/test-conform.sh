#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/conform on the real driver, stock and atomic: the same binaries that judge the simulator. TAP; $1: a build folder
# without sanitizers. A rule that the driver cannot show is skipped with its reason.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: $0 BUILD_DIR}

# inside: every program in turn, with a line behind each that says how it ended.
if [ "${2:-}" = inside ]; then
	export PANBIND_DEVICE=drm:/dev/dri/renderD128
	for program in "$build"/tests/conform/conform_*; do
		echo "program $(basename "$program")"
		timeout 120 stdbuf -oL "$program" 2>&1
		echo "ended $?"
	done
	exit 0
fi

# shellcheck source=tests/kernel/each-box.sh
. tests/kernel/each-box.sh
count=0 failed=0

# One TAP of many. cmocka writes a skipped test as "not ok N # SKIP name", with our reason in the line before.
number() {
	awk -v driver="$1" -v n="$count" '
		{ sub(/\r$/, "") }
		/^program / { program = $2; plan = seen = 0; next }
		/^1\.\.[0-9]+$/ { plan = substr($0, 4); next }
		/^# skipped: / { reason = substr($0, 12); next }
		/^(not )?ok [0-9]+ # SKIP/ {
			seen++
			print "ok " ++n " - " driver " " program ": " $NF " # SKIP " reason
			next
		}
		/^(not )?ok [0-9]+ - / {
			seen++
			print (/^not/ ? "not ok " : "ok ") ++n " - " driver " " program ": " $NF
			next
		}
		/^ended / {
			if ($2 == 0 && seen == plan && plan > 0)
				next
			print "not ok " ++n " - " driver " " program ": ended with " $2 " after " seen " of " plan " tests"
			next
		}
		{ print (/^#/ ? "" : "# ") $0 }'
}

for driver in $(drivers); do
	# Some of what must be refused makes an unpatched driver, and DRM itself, warn: arrays of 4 GiB.
	kernel/run --panthor=$driver --allow-reports --time-limit=900 -- bash "$0" "$build" inside </dev/null 2>&1 |
		number $driver >"${TMPDIR:-/tmp}/conform-$$"
	status=${PIPESTATUS[0]}
	cat "${TMPDIR:-/tmp}/conform-$$"
	count=$((count + $(grep -cE '^(not )?ok ' "${TMPDIR:-/tmp}/conform-$$") + 1))
	failed=$((failed + $(grep -c '^not ok ' "${TMPDIR:-/tmp}/conform-$$")))
	rm -f "${TMPDIR:-/tmp}/conform-$$"
	if [ "$status" = 0 ]; then
		echo "ok $count - $driver: the box ended well"
	else
		echo "not ok $count - $driver: the box ended with $status"
		failed=$((failed + 1))
	fi
done
echo "1..$count"
[ "$failed" = 0 ]
