#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs' VMs in the daemon: shared by the program, attached to from outside; what operators do there the program sees.
# Program, simulated node, daemon and operator are processes of their own.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"
SHARE=$BUILD/tests/examples/share
export ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS-} # of a preset with sanitizers; the preload comes first
PROGRAM=
trap 'end_program; kill_daemon; rm -rf "$TMP"' EXIT

# start_program [NAME]: the example, on a simulated node of its own; it shares its VM under NAME.
start_program() {
	mkfifo ask tell
	"$PANBIND" -d "${NODE:-sim:}" sim -- "$SHARE" /dev/dri/renderD128 "$@" <ask >tell 2>program.err &
	exec 5>ask 6<tell
	rm ask tell
	read -r -t 60 FIRST <&6
	PROGRAM=${FIRST##* }
}
end_program() {
	[ -n "$PROGRAM" ] || return 0
	exec 5>&-
	cat <&6 >/dev/null
	exec 6<&-
	wait %?sim 2>/dev/null
	PROGRAM=
}
# What the program's GPU reads now.
gpu() {
	echo >&5
	read -r -t 60 line <&6
	echo "${line#the GPU reads: }"
}
# until_gone NAME: the daemon hears of a program's end on its own.
until_gone() {
	for _ in $(seq 600); do
		"$PANBIND" -j vm list | jq -e --arg vm "$1" 'all(.vms[]; .name != $vm)' >/dev/null && return 0
		sleep 0.05
	done
	return 1
}

start_daemon || exit 1

# ---- Share ----
start_program demo
like "a program shares its VM" "$FIRST" '^VM 1 of process [0-9]+$'
is "it reads its own page" "$(gpu)" mine
status "vm list" 0 "$PANBIND" -j vm list
json "the daemon has it, and knows whose it is" '.vms[] | .name, .program.pid, .program.vm_id, .unknown' \
	"demo"$'\n'"$PROGRAM"$'\n1\n0x10000'
status "vm show" 0 "$PANBIND" -j vm show demo
json "what it maps was read from its page tables" '.vm.mappings[] | .va, .size, .bo' $'0x100000\n0x10000\ndemo.bo1'
status "an operator makes a BO" 0 "$PANBIND" bo create other 64K
printf 'ours' >word
status "and writes into it" 0 "$PANBIND" bo write other 0 word
status "and maps it in the program's VM" 0 "$PANBIND" map demo 0x100000 64K other
is "the program sees it at once" "$(gpu)" ours
status "undo" 0 "$PANBIND" undo "$("$PANBIND" -j log show | jq -rs 'map(.entries? // .) | flatten | map(select(.kind == "bind")) | last.seq')"
is "and its own page again" "$(gpu)" mine
# ---- What is not known ----
status "vm show" 0 "$PANBIND" vm show demo --map
like "says what is not known" "$(out)" "^unknown: 64 KiB: BOs that are exclusive to their VM"
like "and where" "$(out)" "^  0x200000 64 KiB"
status "to displace it is refused" 1 "$PANBIND" map demo 0x1f8000 64K other --comment=careless
like "with the range" "$(err)" "what 0x200000\+0x8000 maps is not known"
status "plan" 0 "$PANBIND" plan - <<<'map demo 0x208000 32K other'
like "says so before" "$(out)" "^unknown: op 0 displaces 32 KiB of which it is not known what they map"
status "vm verify" 0 "$PANBIND" vm verify demo
status "by force it is displaced" 0 "$PANBIND" map demo 0x208000 32K other --force
status "and known from there on" 0 "$PANBIND" -j vm show demo
json "which leaves the rest" '.vm.unknown_ranges[] | .va, .size' $'0x200000\n0x8000'

# ---- All or nothing ----
status "a transaction that fails halfway" 1 "$PANBIND" run - <<'END'
begin
unmap demo 0x100000 64K
map demo 0xffff_0000_0000 64K other
commit
END
is "leaves the program's page" "$(gpu)" mine
status "vm destroy is refused" 1 "$PANBIND" vm destroy demo
like "with what to do" "$(err)" "demo is a program's VM: vm.drop lets it go"
status "vm destroy in a script too" 1 "$PANBIND" run - <<<'vm destroy demo'
status "the same VM is not taken twice" 1 "$PANBIND" attach "$PROGRAM" again
like "and the first name is told" "$(err)" "that VM is here already, as demo"
status "detach" 0 "$PANBIND" -v detach demo
like "says so" "$(err)" "demo is let go, as it is"
is "the program goes on as it was" "$(gpu)" mine
status "detach again" 1 "$PANBIND" detach demo

# ---- Attach ----
status "attach" 0 "$PANBIND" attach "$PROGRAM"
like "names it after the program" "$(out)" "^vm share-$PROGRAM: VM 1 of process $PROGRAM, 1 mapping known, 64 KiB unknown"
status "map" 0 "$PANBIND" map "share-$PROGRAM" 0x100000 64K other
is "the program sees that as well" "$(gpu)" ours
status "unmap" 0 "$PANBIND" unmap "share-$PROGRAM" 0x100000 64K
is "and that" "$(gpu)" "the GPU reads nothing: EFAULT"
status "detach by process" 0 "$PANBIND" detach "$PROGRAM"
is "leaves what is done" "$(gpu)" "the GPU reads nothing: EFAULT"

# ---- By force, and then it fails ----
status "attach" 0 "$PANBIND" attach "$PROGRAM" risky --vm=1
status "a forced transaction that fails" 4 "$PANBIND" rpc txn.run '{"vm":"risky","force":true,"ops":[
	{"op":"unmap","va":"0x200000","size":"0x8000"}, {"op":"map","va":"0xffff00000000","size":"0x10000","bo":"other"}]}'
like "says what cannot be put back" "$(err)" "what 0x200000\+0x8000 mapped was not known, so it cannot be put back"
status "the VM is not trusted any more" 1 "$PANBIND" map risky 0x100000 64K other
status "until it is let go" 0 "$PANBIND" detach risky

# ---- The program's end ----
status "attach once more" 0 "$PANBIND" attach "$PROGRAM" last
end_program
ok "with the program its VM goes" until_gone last
status "log show" 0 "$PANBIND" log show
like "the log has it: taken over" "$(out)" "vm adopt last "
like "let go at the end" "$(out)" "vm drop last"
like "and why" "$(out)" "the program has ended"
status "log verify" 0 "$PANBIND" log verify --deep
like "the log agrees with itself" "$(out)" ": 0 problems"

# ---- The log, elsewhere ----
kill_daemon TERM
status "the log is repeated on a device without the program" 0 "$PANBIND" -d sim: replay --verify=each "$TMP/log.db"
like "what was known is there" "$(out)" ": 0 differences"
like "what was not is told" "$(out)" "of a program's VM were not known: left unmapped"

# ---- Ends that nobody told ----
start_daemon --restore || exit 1
start_program kept
status "a VM shared" 0 "$PANBIND" vm show kept
kill_daemon KILL
is "the program goes on when the daemon is killed" "$(gpu)" mine
start_daemon --restore || exit 1
status "what was the program's is not restored as the daemon's" 0 "$PANBIND" -j vm list
json "VMs" '.vms | length' 0
status "and the program may be attached to again" 0 "$PANBIND" attach "$PROGRAM" kept
kill -KILL "$PROGRAM"
end_program
ok "a killed program's VM goes too" until_gone kept

# ---- Refusals ----
status "no such process" 1 "$PANBIND" attach 4194303
like "says so" "$(err)" "there is no process 4194303"
sleep 1000 &
other=$!
status "no render node" 1 "$PANBIND" attach $other
like "says so" "$(err)" "process $other has no render node of panthor open"
status "that descriptor is none" 1 "$PANBIND" attach $other --fd=0
like "says so" "$(err)" "descriptor 0 of process $other is not open on a render node of panthor"
kill $other
# Two files of one program, each with its VMs.
mkfifo ask tell
"$PANBIND" sim -- "$BUILD/tests/record/busy" hold 2 <ask >tell 2>program.err &
exec 5>ask 6<tell
rm ask tell
read -r -t 60 PROGRAM first second <&6
status "more than one render node" 2 "$PANBIND" attach "$PROGRAM" both
like "asks which" "$(err)" "process $PROGRAM has 2 render nodes with VMs open: which one, --fd says"
like "names the first" "$(err)" "--fd=$first: .*, VM 1"
like "and the second" "$(err)" "--fd=$second: .*, VM 1"
status "the second is chosen" 0 "$PANBIND" attach "$PROGRAM" chosen --fd="$second"
status "vm show" 0 "$PANBIND" -j vm show chosen
json "and it is that one" '.vm.mappings[].va' 0x200000
status "the first beside it" 0 "$PANBIND" attach "$PROGRAM" other-file --fd="$first"
status "vm show" 0 "$PANBIND" -j vm show other-file
json "is the other" '.vm.mappings[].va' 0x100000
end_program
status "a request without its descriptor" 2 "$PANBIND" rpc vm.adopt '{"name":"x"}'
like "says what is missing" "$(err)" "must come beside the request"
status "not a process" 2 "$PANBIND" attach zero
status "-d makes no sense" 3 "$PANBIND" -d sim: attach 1
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$TMP"
	start_program
	status "without the right to trace it" 5 setpriv --reuid=65534 --regid=65534 --clear-groups "$PANBIND" attach "$PROGRAM"
	like "says what it takes" "$(err)" "CAP_SYS_PTRACE"
	end_program
else
	skip "without the right to trace it" "only root can become somebody else"
fi

done_testing
