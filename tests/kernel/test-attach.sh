#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs' VMs on the real driver: shared, attached to, let go; known by the driver's own books in debugfs, where these are
# certain. What the operator does is in those books.
# shellcheck source=tests/kernel/each-box.sh
. "$(dirname "$0")/each-box.sh"
each_box "$0" "$@"
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/../shell/daemon.sh"
SHARE=$BUILD/tests/examples/share

# start_program NUMBER [NAME]: the example with its input on descriptor NUMBER; PID in $PROGRAM.
start_program() {
	mkfifo "ask$1"
	"$SHARE" /dev/dri/renderD128 ${2+"$2"} <"ask$1" >"tell$1" 2>&1 &
	eval "exec $1>ask$1"
	until grep -q . "tell$1"; do sleep 0.1; done
	PROGRAM=$(awk '{ print $NF }' "tell$1")
}
# mapped VA: is there a mapping at VA in the driver's books?
mapped() {
	grep -qE "^ *\| *0x0*${1#0x} *\|" /sys/kernel/debug/dri/128/gpuvas
}
until_gone() {
	for _ in $(seq 600); do
		"$PANBIND" -j vm list | jq -e --arg vm "$1" 'all(.vms[]; .name != $vm)' >/dev/null && return 0
		sleep 0.1
	done
	return 1
}

start_daemon --device=drm:auto || exit 1
start_program 7 demo
first=$PROGRAM
status "vm list" 0 "$PANBIND" -j vm list
json "a program has shared its VM" '.vms[] | .name, .program.pid' "demo"$'\n'"$first"
json "which the driver's books show, since there is no other" '.vms[].program.sight' books
status "vm show" 0 "$PANBIND" -j vm show demo
json "what it maps is unknown, where it maps nothing is known" '.vm.unknown_ranges[0:2][] | .va, .size' \
	$'0x100000\n0x10000\n0x200000\n0x10000'
status "bo create" 0 "$PANBIND" bo create other 64K
status "map where nothing is" 0 "$PANBIND" map demo 0x300000 64K other
ok "the driver has it" mapped 0x300000
status "map where something is" 1 "$PANBIND" map demo 0x100000 64K other
like "is refused" "$(err)" "what 0x100000\\+0x10000 maps is not known"
status "but for force" 0 "$PANBIND" map demo 0x100000 64K other --force
status "a transaction that fails halfway" 1 "$PANBIND" rpc txn.run '{"vm":"demo","ops":[
	{"op":"unmap","va":"0x300000","size":"0x10000"}, {"op":"map","va":"0xffffffff0000","size":"0x10000","bo":"other"}]}'
ok "is undone" mapped 0x300000

# With another program's VM the books alone do not tell; what was bound in a VM does.
start_program 8
status "attach to another program" 0 "$PANBIND" attach "$PROGRAM" second
status "vm show" 0 "$PANBIND" -j vm show second
json "nothing of it is known" .vm.program.sight none
status "map by force" 0 "$PANBIND" map second 0x500000 64K other --force
status "vm show" 0 "$PANBIND" -j vm show second
json "by that it is known from then on" '.vm.program.sight, (.vm.unknown_ranges[0] | .va, .size)' $'books\n0x100000\n0x10000'
status "detach" 0 "$PANBIND" detach second
ok "leaves what was mapped" mapped 0x500000
status "the same open file under another name" 0 "$PANBIND" attach "$PROGRAM" third --vm=1
status "without the right to trace it" 5 setpriv --reuid=65534 --regid=65534 --clear-groups \
	"$PANBIND" attach "$PROGRAM"
exec 8>&-
ok "with the program its VM goes" until_gone third
ok "from the driver too" bash -c '! grep -qE "^ *\| *0x0*500000 *\|" /sys/kernel/debug/dri/128/gpuvas'
kill -KILL "$first"
ok "that of a killed one, too" until_gone demo
ok "to the last mapping" bash -c '! grep -q panthor-GPU-VM /sys/kernel/debug/dri/128/gpuvas'
status "log verify" 0 "$PANBIND" log verify --deep
like "the log agrees with itself" "$(out)" ": 0 problems"
kill_daemon TERM
status "the log is repeated" 0 "$PANBIND" -d drm:auto replay --verify=each "$TMP/log.db"
like "as far as it was known" "$(out)" ": 0 differences"

done_testing
