#!/bin/bash
# SPDX-License-Identifier: MIT
# The differential fuzzer against the real driver, stock and atomic. TAP; $1: a build folder without sanitizers.
# PANBIND_SEED repeats a run, PANBIND_NIGHTLY=1 makes it a hundred times as long. The simulator is of the driver's version;
# the recorded answers are those of 1.0.
set -u
cd "$(dirname "$0")/../.." || exit 1
diff=${1:?usage: $0 BUILD_DIR}/tests/diff/panbind_diff
seed=${PANBIND_SEED:-$(($(date +%s) * 1000003))}
programs=2000
[ "${PANBIND_NIGHTLY:-}" != 1 ] || programs=200000
# shellcheck source=tests/kernel/each-box.sh
. tests/kernel/each-box.sh
minor=$(driver_minor)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
count=0 failed=0

# check NAME COMMAND...
check() {
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$out" 2>&1 </dev/null; then
		echo "ok $count - $name"
	else
		failed=$((failed + 1))
		echo "not ok $count - $name"
	fi
	sed 's|^|# |' "$out"
}

echo "# seed of programs: PANBIND_SEED=$seed"
for driver in $(drivers); do
	# What is patched survives all; from 1.7 on a driver has atomic updates of its own.
	sim=sim:minor=$minor,atomic=off care=--careful
	[ "$minor" -lt 7 ] || sim=sim:minor=$minor
	[ "$driver" = stock ] || sim=sim:minor=$minor care=
	check "$driver: $programs programs are answered as by the simulator" \
		"$diff" --left=$sim --right=box:$driver $care --seed="$seed" --count=$programs --max=3
	[ "$minor" = 0 ] || continue
	check "$driver: old differences are answered as they were recorded" \
		"$diff" --corpus=tests/diff/corpus --left=box:$driver
done
echo "1..$count"
[ "$failed" = 0 ]
