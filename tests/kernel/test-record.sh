#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind record on the real driver: a program with plain ioctls, recorded, and repeated there and on the simulator.
# shellcheck source=tests/kernel/each-box.sh
. "$(dirname "$0")/each-box.sh"
each_box "$0" "$@"
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
cd "$TMP" || exit 1

for mode in 'threads 2 40' fork exec reopen pass prime errors async 'kill 2 10'; do
	name=${mode%% *}
	wanted=0
	[ "$name" != kill ] || wanted=137
	# shellcheck disable=SC2086 # words are meant
	status "$name: recorded" $wanted "$PANBIND" record -o "$name.log" -- "$BUILD/tests/record/busy" $mode
	like "$name: nothing is missing" "$("$PANBIND" log show --log="$name.log" | tail -n 1)" "none is missing"
	for device in drm:auto sim:; do
		status "$name: repeated on $device" 0 "$PANBIND" -d $device replay --verify "$name.log"
		like "$name: without a difference on $device" "$(cat out err)" " 0 differences"
	done
done
like "reopen: a file that is closed is over" "$("$PANBIND" log show --log=reopen.log)" "vm destroy vm1 # with its file"
done_testing
