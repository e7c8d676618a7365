#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind record: what it says of real programs is what the simulated node saw, whatever becomes of them, and of it.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$TMP" || exit 1
BUSY=$BUILD/tests/record/busy
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 # a preloaded library comes before it
binds=12500 # of each of eight threads
[ -z "${PANBIND_NIGHTLY:-}" ] || binds=125000

# record NAME MODE...: busy on a simulated node, recorded to NAME.log; the node's own trace is NAME.trace.
record() {
	local name=$1
	shift
	"$PANBIND" sim --trace="$name.trace" -- "$PANBIND" record -o "$name.log" -- "$BUSY" "$@"
}

# node_binds FILE and log_binds FILE: "TID result ops" of each bind, thread by thread, from what either of them says.
node_binds() {
	jq -r 'select(.name == "PANTHOR_VM_BIND") | [.tid, (if .ret < 0 then .errno else 0 end), (.args.ops // [] | map(
		"\(.op | sub("_"; "-")) \(.va) \(.size) \(if .op == "map" then "bo\(.bo)+\(.bo_offset)" else "" end) " +
		"\(if .flags == "0x2" then "noexec" else "" end) " +
		([.syncs[] | "\(.op)=so\(.handle):\(.value)"] | join(" "))) | join(", "))] | @tsv' "$1" | sort -s -n -k1,1
}
log_binds() {
	"$PANBIND" log export --log="$1" | jq -r 'select(.kind == "bind" and .outcome != "unknown") |
		[.tid, (.error.errno // 0), (.ops | map(
		"\(.op) \(.va) \(.size) \(if .bo then "\(.bo.name | sub("^f[0-9]+[.]"; ""))+\(.bo_offset)" else "" end) " +
		"\((.flags // []) | join(" ")) \(.syncs // "")") | join(", "))] | @tsv' | sort -s -n -k1,1
}

# same NAME: the node and the recording agree, and a replay ends as the recording did.
same() {
	node_binds "$1.trace" >"$1.node"
	log_binds "$1.log" >"$1.binds"
	ok "$1: there are binds" test -s "$1.node"
	ok "$1: every bind is there, in order within its thread" cmp "$1.node" "$1.binds"
	status "$1: a replay gives the results and the mapping" 0 "$PANBIND" -d sim: replay --verify "$1.log"
	like "$1: without a difference" "$(cat out err)" " 0 differences"
	status "$1: the log is right" 0 "$PANBIND" log verify --log="$1.log"
	like "$1: it says that nothing is missing" "$("$PANBIND" log show --log="$1.log" | tail -n 1)" "none is missing"
}

status "threads: eight of them bind" 0 record threads threads 8 "$binds"
same threads
is "threads: as many as were made" "$(wc -l <threads.node)" $((8 * binds))
is "threads: each of them has a thread" "$(cut -f1 threads.binds | uniq | wc -l)" 8

for mode in fork exec reopen pass async submit; do
	status "$mode: the program ends well" 0 record "$mode" "$mode"
	same "$mode"
done
# Jobs of queues that wait and signal order binds: what the node took of them is in the log, between the same binds.
jq -r 'select(.name == "PANTHOR_GROUP_SUBMIT" or .name == "PANTHOR_VM_BIND") |
	if .name == "PANTHOR_VM_BIND" then "bind" elif .ret < 0 then "failed" else "submit" end' submit.trace >submit.turns
"$PANBIND" log export --log=submit.log | jq -r 'if .kind == "bind" then "bind"
	elif (.comment // "" | test("^group submit")) then (if .error then "failed" else "submit" end) else empty end' >submit.logged
ok "submit: jobs and binds take turns as the node saw it" cmp submit.turns submit.logged
is "submit: as many as there were" "$(sort submit.logged | uniq -c | tr -s ' \n' ' ')" " 10 bind 1 failed 10 submit "
like "submit: with what they wait for and signal" "$("$PANBIND" log show --log=submit.log)" \
	"sync # group submit 1: queue 0 signal=so1:3 wait=so1:2"

status "kill: the status is the program's" 137 record kill kill 2 30
same kill
is "kill: all before the kill is there" "$(wc -l <kill.binds)" 60

# Two files, one BO: a replay has it once.
status "prime: the program ends well" 0 record prime prime
status "prime: a replay gives the mapping" 0 "$PANBIND" -d sim: replay --verify prime.log
like "prime: the other file maps the first one's BO" "$("$PANBIND" log show --log=prime.log)" "map f2.vm1 0x200000 0x2000 bo1[+]0x1000"

# Wherever a kill hits: what is finished is there; what was begun is unknown, and no more than one call of each thread.
status "killed: children die at any time" 0 record killed killed 3
node_binds killed.trace >killed.node
log_binds killed.log >killed.binds
extra=$(comm -13 <(sort killed.node) <(sort killed.binds) | wc -l)
is "killed: nothing is made up" "$extra" 0
missing=$(comm -23 <(sort killed.node) <(sort killed.binds) | wc -l)
unknown=$("$PANBIND" log query --log=killed.log "SELECT count(*) FROM log WHERE outcome = 'unknown'" | tail -n 1)
ok "killed: what is missing is marked as unknown ($missing of $unknown)" [ "$missing" -le "$unknown" ]
status "killed: a replay gives what is known" 0 "$PANBIND" -d sim: replay --verify killed.log

# Failures: with the op that failed and what stays of the others.
status "errors: the program finds its errors" 0 record errors errors
same_errors=$("$PANBIND" log show --log=errors.log)
like "errors: where a batch stopped" "$same_errors" "EINVAL at op 2 [(]submit, partial[)]"
like "errors: a pointer that leads nowhere" "$same_errors" "EFAULT [(]submit, rolled-back[)]"
status "errors: a replay fails alike" 0 "$PANBIND" -d sim: replay --verify errors.log
is "errors: results are the node's" "$(node_binds errors.trace | cut -f2 | tr '\n' ' ')" "$(log_binds errors.log | cut -f2 | tr '\n' ' ')"

# The program does not see it.
"$PANBIND" sim -- bash -c 'echo out; echo err >&2; ls /proc/self/fd | wc -l; exit 5' >plain.out 2>plain.err
"$PANBIND" sim -- "$PANBIND" record -o quiet.log -- bash -c 'echo out; echo err >&2; ls /proc/self/fd | wc -l; exit 5' >with.out 2>with.err
is "its status is the program's" "$?" 5
ok "its output is the program's" cmp plain.out with.out
ok "its errors are the program's" cmp plain.err with.err
status "a log that is there is not written over" 1 "$PANBIND" record -o quiet.log -- true
status "a command that is not there" 127 "$PANBIND" record -o none.log -- /nonexistent

# With a simulated device of its own, in one command.
status "-d sim: gives the program a node" 0 "$PANBIND" record -d sim:minor=5 -o own.log -- "$BUSY" threads 2 10
is "-d sim: all is recorded" "$(log_binds own.log | wc -l)" 20
status "-d sim: in front of the command, too" 0 "$PANBIND" -d sim: record -o front.log -- "$BUSY" errors
PANBIND_DEVICE=sim: status "PANBIND_DEVICE does the same" 0 "$PANBIND" record -o usual.log -- "$BUSY" prime
PANBIND_DEVICE=sim: status "but for a node that is there already" 0 "$PANBIND" sim --trace=seen.trace -- "$PANBIND" record -o seen.log -- "$BUSY" prime
ok "which sees it all" [ "$(node_binds seen.trace | wc -l)" = "$(log_binds seen.log | wc -l)" ]
status "-d sim: with a wrong option" 2 "$PANBIND" record -d sim:nonsense -o wrong.log -- true
ok "makes no log" [ ! -e wrong.log ]
status "-d sim: the status is the program's" 7 "$PANBIND" record -d sim: -o seven.log -- sh -c 'exit 7'

# A log that is read while it is written.
mkfifo go
# shellcheck disable=SC2016 # the inner shell expands it
"$PANBIND" record -d sim: -o live.log -- bash -c '"$0" threads 2 150; read -r _ <go; "$0" threads 2 150' "$BUSY" &
job=$!
reads=0
for _ in $(seq 600); do
	if now=$("$PANBIND" log show --log=live.log 2>err); then
		reads=$((reads + 1))
		[ "$(log_binds live.log | wc -l)" != 300 ] || break
	fi
	sleep 0.05
done
is "a recording in progress: all that was done so far is there" "$(log_binds live.log | wc -l)" 300
ok "a recording in progress: it was read while it grew ($reads times)" [ "$reads" -ge 1 ]
ok "a recording in progress: it does not claim to be whole" bash -c '! grep -q "end of the recording" <<<"$0"' "$now"
status "a recording in progress: what is there is right" 0 "$PANBIND" log verify --log=live.log
status "a recording in progress: it can be replayed" 0 "$PANBIND" -d sim: replay --verify live.log
like "a recording in progress: to what there is now" "$(cat out err)" " 0 differences"
echo >go
during=0
while kill -0 "$job" 2>/dev/null; do # as long as it is written, and never is it wrong
	"$PANBIND" log verify --log=live.log >/dev/null 2>verify.err || break
	during=$((during + 1))
done
ok "a recording in progress: reading does not fail ($during times)" [ ! -s verify.err ]
wait "$job"
is "a recording in progress: nor does reading make it fail" "$?" 0
is "and then it is whole" "$(log_binds live.log | wc -l)" 600
like "and says so" "$("$PANBIND" log show --log=live.log | tail -n 1)" "none is missing"
status "a replay ends as it did" 0 "$PANBIND" -d sim: replay --verify live.log

# A recorder that is killed: the program goes on to its end, the log has what was written and no last word.
# shellcheck disable=SC2016 # the inner shells expand it
"$PANBIND" sim -- bash -c '"$0" record -o cut.log -- bash -c "echo \$PPID >recorder; $1 threads 2 3000; echo \$? >program"
	until [ -s program ]; do sleep 0.05; done' "$PANBIND" "$BUSY" >/dev/null 2>&1 &
job=$!
for _ in $(seq 600); do
	[ "$("$PANBIND" log status --log=cut.log 2>/dev/null | wc -l)" = 0 ] || [ ! -s recorder ] || break
	sleep 0.05
done
kill -9 "$(cat recorder)"
wait "$job"
for _ in $(seq 600); do
	[ ! -s program ] || break
	sleep 0.05
done
is "a killed recorder: the program ends well" "$(cat program)" 0
status "a killed recorder: the log is right" 0 "$PANBIND" log verify --log=cut.log
ok "a killed recorder: its log does not claim to be whole" bash -c '! "$0" log show --log=cut.log | tail -n 1 | grep -q "end of the recording"' "$PANBIND"

# A full disk: the program goes on, and the log says where it ends.
mkdir small
if mount -t tmpfs -o size=1600k none small 2>/dev/null; then
	"$PANBIND" sim -- "$PANBIND" record --buffer=64K -o small/full.log -- "$BUSY" threads 2 2000 >out 2>err
	is "a full disk: the program ends well, and the log is not whole" "$?" 4
	like "a full disk: it is said" "$(cat err)" "small/full.log: .*missing|small/full.log: the recording ended"
	like "a full disk: the log says it, too" "$("$PANBIND" log show --log=small/full.log | tail -n 1)" "the recording ends here"
	status "a full disk: what is there is right" 0 "$PANBIND" log verify --log=small/full.log
	umount small
else
	skip "a full disk" "no small file system can be mounted here"
fi

done_testing
