#!/bin/bash
# SPDX-License-Identifier: MIT
# The emulated GPU itself, below the driver as it is: TLBs, locks, faults, jobs, and a driver that comes and goes.
#
#	tests/kernel/test-malisim.sh BUILD
set -u
build=$1
run=$(dirname "$0")/../../kernel/run
export PANBIND_DEVICE=drm:/dev/dri/renderD128

"$run" --time-limit=120 -- "$build/tests/kernel/test_malisim"
"$run" --time-limit=60 --allow-reports -- "$build/tests/kernel/test_stuck"

reload='
	for i in 1 2 3; do
		/sbin/rmmod panthor || exit 1
		[ ! -e /dev/dri/renderD128 ] || exit 2
		/sbin/insmod "$PANBIND_BOX_MODULE" || exit 3
		[ -e /dev/dri/renderD128 ] || exit 4
	done
	exec "$0" >/dev/null'
echo 1..2
n=0
for driver in stock atomic; do
	n=$((n + 1))
	# a warning of the kernel is a failure of kernel/run
	if "$run" --panthor=$driver --time-limit=120 -- sh -c "$reload" "$build/tests/kernel/test_malisim"; then
		echo "ok $n - $driver: unloaded and loaded again three times, it still works"
	else
		echo "not ok $n - $driver: unloaded and loaded again three times, it still works"
	fi
done
