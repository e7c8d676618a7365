#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind sim: programs that know nothing of panbind on a simulated render node.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$TMP" || exit 1
PROGRAMS=$BUILD/tests/programs
# Programs of ours that are built with sanitizers: the runtime need not come first.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
export XDG_RUNTIME_DIR=$TMP/run
mkdir -m 700 run

# Every scene of tests/programs, each on a node of its own.
for program in "$PROGRAMS"/plain_*; do
	for scene in $("$program"); do
		status "$(basename "$program") $scene" 0 timeout 120 "$PANBIND" sim -- "$program" "$scene"
	done
done

# The same without the right to look into the program's memory: it is asked then.
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		chmod 711 "$TMP"
		install -d -m 700 -o nobody nobody
		XDG_RUNTIME_DIR=$TMP/nobody setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
	else
		"$@"
	fi
}
for scene in undumpable works; do
	status "plain_ioctl $scene of a common user" 0 as_nobody "$PANBIND" sim -- "$PROGRAMS/plain_ioctl" $scene
done

# The driver's rules, by the same programs that judge a kernel: through the preload, and as one more open of the node.
for program in "$BUILD"/tests/conform/conform_*; do
	[ "$(basename "$program")" != conform_trace ] || continue # looks into a device of its own
	for device in drm:/dev/dri/renderD128 'node:$PANBIND_SIM'; do
		status "$(basename "$program") on $device" 0 \
			"$PANBIND" sim -d sim: -- sh -c "PANBIND_DEVICE=$device exec timeout 120 $program"
	done
done

# What comes back from the command.
status "the status is the command's" 7 "$PANBIND" sim -- sh -c 'exit 7'
status "128 and the signal" 137 "$PANBIND" sim -- sh -c 'kill -9 $$'
status "no such command: 127" 127 "$PANBIND" sim -- ./nonexistent
like "and it is said" "$(cat err)" 'error: cannot run ./nonexistent'
touch plain-file
status "no program: 126" 126 "$PANBIND" sim -- ./plain-file
status "no command at all" 2 "$PANBIND" sim
status "a wrong device" 2 "$PANBIND" -d sim:minor=77 sim -- true
like "with its place" "$(cat err)" 'expected a number from 0 to 9'
status "a real device is none to simulate" 1 "$PANBIND" -d drm:auto sim -- true
status "options behind the command are its own" 0 "$PANBIND" sim sh -c 'test "$1" = --trace' sh --trace
is "output is the command's alone" "$("$PANBIND" sim -- echo -n hello 2>&1)" hello
status "what was preloaded stays" 0 env LD_PRELOAD="$(ldconfig -p | awk '/libdrm\.so\.2/ { print $NF; exit }')" \
	"$PANBIND" sim -- sh -c 'case $LD_PRELOAD in *panbind*:*libdrm*) ;; *) exit 1 ;; esac'
status "a time limit" 6 "$PANBIND" -T 0.3 sim -- sleep 60
"$PANBIND" sim -- sh -c 'trap "exit 3" TERM; echo up >up; while :; do sleep 0.05; done' &
while [ ! -s up ]; do sleep 0.05; done
kill $!
status "SIGTERM goes to the command" 3 wait $!
is "no folder is left" "$(ls run nobody 2>/dev/null | grep -c sim-)" 0

# libdrm's own programs.
status "drmdevice finds the node" 0 "$PANBIND" sim -- drmdevice
like "and its GPU" "$(cat out)" 'nodes\[2\] /dev/dri/renderD128'
like "by its device tree" "$(cat out)" '/gpu@fb000000'
for program in "modetest -M panthor" "modeprint panthor" "proptest -M panthor" vbltest; do
	got=0
	# shellcheck disable=SC2086 # words
	timeout 120 "$PANBIND" sim -- $program >out 2>&1 || got=$?
	ok "$program, which needs a display, fails cleanly ($got)" [ "$got" -gt 0 -a "$got" -lt 124 -o "$got" = 255 ]
done

# panbind itself, by the way that leads to a real node.
status "panbind devices lists it" 0 "$PANBIND" sim -- "$PANBIND" devices
like "as panthor" "$(cat out)" '/dev/dri/renderD128.*1\.9\.0'
status "another version" 0 "$PANBIND" -d sim:minor=2 sim -- "$PANBIND" devices
like "is another version" "$(cat out)" '1\.2\.0'
printf 'vm create v\nbo create a 64K\nmap v 0x10000 64K a\nunmap v 0x14000 4K\n' >small.pb
status "a script runs on drm:auto" 0 "$PANBIND" sim --trace=trace.jsonl -- "$PANBIND" -d drm:auto run small.pb
is "the trace is JSON lines" "$(jq -es 'map(has("t") and has("dur") and has("pid") and has("tid")) | all' trace.jsonl)" true
is "with every op" "$(jq -s 'map(select(.name == "PANTHOR_VM_BIND") | .args.ops | length) | add' trace.jsonl)" 2
is "as it was" "$(jq -sc 'map(select(.name == "PANTHOR_VM_BIND"))[0].args.ops[0] | [.op, .va, .size]' trace.jsonl)" \
	'["map","0x10000","0x10000"]'
status "which panbind import reads" 0 sh -c '"$0" import trace.jsonl >again.pb && "$0" -d sim: run again.pb' "$PANBIND"
status "a fault that is asked for" 1 "$PANBIND" -d sim:fault=VM_BIND#1=ENOMEM sim -- "$PANBIND" -d drm:auto run small.pb
like "arrives" "$(cat err)" ENOMEM
status "a trace that cannot be written" 1 "$PANBIND" sim --trace=/dev/full -- "$PANBIND" -d drm:auto run small.pb
like "is said" "$(cat err)" 'ENOSPC'

done_testing
