#!/bin/bash
# SPDX-License-Identifier: MIT
# The command line against a daemon: each verb, each exit status, and a daemon that is not there, goes away or is silent.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

# ---- No daemon: status 3 at once, and how to start one ----
for verb in 'vm list' 'bo list' 'map v 0 4K b' 'unmap v 0 4K' 'sparse reserve v 0 4K' 'rpc rpc.ping' monitor dump 'plan /dev/null' \
	'run /dev/null'; do
	# shellcheck disable=SC2086
	status "$verb without a daemon" 3 "$PANBIND" $verb
	like "names the socket" "$(err)" "no daemon answers at $PANBIND_SOCKET"
	like "and the command that starts one" "$(err)" "panbindd --device=drm:auto --socket=$PANBIND_SOCKET"
done
status "so in JSON" 3 "$PANBIND" -j vm list
json "with a name" '.status, .errors[0].name' $'3\nENOENT'
mkfifo fifo
status "a socket that is none" 3 "$PANBIND" -s "$TMP/fifo" vm list
status "a path that is too long" 2 "$PANBIND" -s "/$(printf 'x%.0s' {1..200})" vm list

start_daemon || exit 1

# ---- Objects ----
status "vm create" 0 "$PANBIND" vm create v
is "says nothing" "$(out)$(err)" ""
status "a second one of the name" 1 "$PANBIND" vm create v
like "is refused with its errno" "$(err)" "EEXIST"
status "vm create with a size" 0 "$PANBIND" vm create small --va=4G
status "bo create" 0 "$PANBIND" bo create page 64K
status "bo create in one VM" 0 "$PANBIND" bo create tex 1M --vm=v --wb-mmap
status "-v tells the entry" 0 "$PANBIND" -v bo create spare 0x1_0000
like "by its number" "$(err)" "recorded as entry [0-9]+"
status "vm list" 0 "$PANBIND" vm list
golden "is a table" cli-vm-list.txt "$TMP/out"
status "bo list" 0 "$PANBIND" bo list
golden "is a table" cli-bo-list.txt "$TMP/out"
status "vm list in JSON" 0 "$PANBIND" -j vm list
json "has both" '[.vms[].name] | join(",")' v,small
status "bo destroy" 0 "$PANBIND" bo destroy spare
status "twice" 1 "$PANBIND" bo destroy spare
like "is none" "$(err)" "there is no BO spare.*ENOENT"
status "with --missing-ok" 0 "$PANBIND" bo destroy --missing-ok spare

# ---- Binds ----
status "map" 0 "$PANBIND" map v 0x100000 1M tex --noexec
status "a piece over it" 0 "$PANBIND" map v 0x140000 32K page+32K --readonly --uncached
status "vm show" 0 "$PANBIND" vm show v
golden "is the table that a script shows" cli-vm-show.txt "$TMP/out"
status "vm show --map" 0 "$PANBIND" vm show v --map
golden "is the picture" cli-vm-map.txt "$TMP/out"
status "vm show in JSON" 0 "$PANBIND" -j vm show v
json "has the mappings" '[.vm.mappings[] | .va + "+" + .size + " " + .bo + "+" + .offset] | join(",")' \
	'0x100000+0x40000 tex+0x0,0x140000+0x8000 page+0x8000,0x148000+0xb8000 tex+0x48000'
status "unmap" 0 "$PANBIND" unmap v 0x100000 1M
status "an address that is no page's" 1 "$PANBIND" map v 0x100001 64K page
like "says op, errno and range" "$(err)" "not a multiple of 4096 \[EINVAL, op 0, validate, 0x100001\+0x10000\]"
status "beyond the BO" 1 "$PANBIND" map v 0x100000 128K page
status "a VM that is not there" 1 "$PANBIND" map w 0x100000 64K page
like "is named" "$(err)" "there is no VM w"
status "a BO of another VM" 1 "$PANBIND" map small 0x100000 64K tex
status "sparse reserve" 0 "$PANBIND" sparse reserve v 0x800000 1M
status "sparse bind" 0 "$PANBIND" sparse bind v 0x810000 64K page
status "sparse unbind" 0 "$PANBIND" sparse unbind v 0x810000 64K
status "sparse bind outside" 1 "$PANBIND" sparse bind v 0x10000 64K page
status "sparse release" 0 "$PANBIND" sparse release v 0x800000 1M

# ---- Wrong command lines ----
for line in vm 'vm frobnicate' 'vm create' 'vm create a b' 'vm list --va=1M' 'bo create b' 'bo create b many' 'map v 0x1000' \
	'map v here 4K b' 'map v 0x1_ 4K b' 'map v 0x10000000000000000 4K b' 'unmap v 0 4K b' 'map v 0 4K b+x' 'sparse v 0 4K' \
	'map --readwrite v 0 4K b' 'rpc' 'rpc a b c' 'rpc vm.list [' 'rpc vm.list []' 'monitor --since=x' '-d sim: -s x vm list'; do
	# shellcheck disable=SC2086
	status "'$line' is a usage error" 2 "$PANBIND" $line
done
status "-d does not go with vm" 3 "$PANBIND" -d sim: vm list
like "and says what does" "$(err)" "panbind run FILE"

# ---- Bytes ----
head -c 1500000 /dev/urandom >noise
status "bo create for bytes" 0 "$PANBIND" bo create bytes 2M
status "bo write, larger than a request" 0 "$PANBIND" bo write bytes 4096 noise
status "bo read" 0 "$PANBIND" bo read bytes 4096 1500000
ok "gives the same bytes" cmp -s noise "$TMP/out"
status "bo write from standard input" 0 bash -c 'printf hello | "$0" bo write bytes 0 -' "$PANBIND"
status "bo read in JSON" 0 "$PANBIND" -j bo read bytes 0 5
json "is base64" '.data | @base64d' hello
status "bo read beyond the end" 2 "$PANBIND" bo read bytes 2M 1
status "bo write that does not fit" 4 "$PANBIND" bo write bytes 1M noise
like "says how much it wrote" "$(err)" "[0-9]+ bytes were written before"
status "bo write of a missing file" 2 "$PANBIND" bo write bytes 0 missing

# ---- Scripts ----
mkdir inc
script inc/bos.pb 'bo create sb 64K' 'echo "from inc"; include more.pb'
printf 'echo more' >inc/more.pb # and no newline at its end
script good.pb '# a comment' 'vm create sv ; include "inc/bos.pb" # and more' 'map sv 0x10000 64K sb' 'echo $WHAT "a;b # c"'
status "run" 0 "$PANBIND" run -D WHAT=now good.pb
is "prints what the script does, includes in place" "$(out)" $'from inc\nmore\nnow a;b # c'
status "a second run" 1 "$PANBIND" run -D WHAT=now good.pb
golden "fails where it did" cli-daemon-run-error.txt "$TMP/err"
script inc/bos.pb 'bo create sb2 64K' '  map sv 0x10000 128K sb2'
script include.pb 'define X 1' 'include inc/*s.pb' 'echo never'
status "an error in an included file" 1 "$PANBIND" run include.pb
golden "is told with that file and line" cli-daemon-include-error.txt "$TMP/err"
script variable.pb 'define F inc/more.pb' 'include $F'
status "an include by variable" 2 "$PANBIND" run variable.pb
like "cannot be sent" "$(err)" "variable.pb:2:9: error: .*\\$"
script bad.pb 'vm create bad' 'nonsense'
status "a mistake" 2 "$PANBIND" run bad.pb
like "has its place" "$(err)" "bad.pb:2:1: error"
status "and with -k" 2 "$PANBIND" run -k bad.pb
status "nothing of it is there" 1 "$PANBIND" vm show bad
script keep.pb 'bo create kept 64K' 'map sv 0x1 4K kept' 'echo on' 'unmap sv 0x10000 64K'
status "run -k" 4 "$PANBIND" run -k keep.pb
is "goes on" "$(out)" on
like "after the error" "$(err)" "keep.pb:2:1: error: .*EINVAL"
script two.pb 'begin' 'bo create t1 64K' 'map sv 0x10000 64K t1' 'commit' 'begin' 'map sv 0x10000 128K t1' 'commit'
status "the second of two transactions" 4 "$PANBIND" run two.pb
like "leaves the first" "$(err)" "what was complete before it stays"
status "run -c changes nothing" 0 "$PANBIND" run -c - <<<'unmap sv 0x10000 64K'
status "run -c finds what does not fit" 1 "$PANBIND" run -c - <<<'map sv 0x10000 128K t1'
status "run in JSON" 0 "$PANBIND" -j run - <<<'echo hi'
json "is as without a daemon" '.output[0].text, .result.outcome' $'hi\napplied'
status "run -d does not ask the daemon" 0 "$PANBIND" -d sim: run - <<<'vm create sv'
status "PANBIND_DEVICE neither" 0 env PANBIND_DEVICE=sim: "$PANBIND" run - <<<'vm create sv'
status "-s wins over it" 1 env PANBIND_DEVICE=sim: "$PANBIND" -s "$PANBIND_SOCKET" run - <<<'vm create sv'
status "--id without a daemon" 2 "$PANBIND" -d sim: run --id=x - <<<'vm create sv'

# ---- Plan and dump ----
status "dump of a VM" 0 "$PANBIND" dump sv
is "is its script" "$(out | grep -c '^map sv 0x10000 0x10000 t1')" 1
status "dump of all" 0 "$PANBIND" dump
cp "$TMP/out" all.pb
status "runs elsewhere" 0 "$PANBIND" -d sim: run --dump all.pb
ok "and gives itself" cmp -s "$TMP/out" all.pb
status "dump of a VM that is not there" 1 "$PANBIND" dump nothing
status "plan on what the daemon has" 0 "$PANBIND" plan - <<<'map sv 0x10000 32K t1'
like "sees its mapping" "$(out)" "map +0x10000 +32 KiB +t1 +1 +0x10000 +32 KiB +- +0 +3 +yes"
script own.pb 'begin' 'vm create own' 'bo create own 8M' 'map own 0 4M own' 'commit' 'begin' 'unmap own 0x1000 8K' \
	'map own 0x1000 4K own' 'unmap own 0x3ff000 64K' 'commit' \
	'begin' 'sparse reserve own 0x40000000 4M' 'map own 0x40001000 4K own+4K' 'commit'
status "a plan of what a script makes itself" 0 "$PANBIND" -j plan own.pb
jq -S '.result, (.transactions | map(del(.file, .line)))' "$TMP/out" >there.json
status "is the same without the daemon" 0 "$PANBIND" -j -d sim: plan own.pb
jq -S '.result, (.transactions | map(del(.file, .line)))' "$TMP/out" >here.json
ok "to the last member" cmp here.json there.json
ok "and not empty" test "$(jq -s ".[0].units" here.json)" -gt 3
status "a plan of what cannot be" 1 "$PANBIND" plan - <<<'map sv 0x10000 32M t1'
status "changes nothing" 0 "$PANBIND" dump
ok "of it" cmp -s "$TMP/out" all.pb
status "run --map draws all" 0 "$PANBIND" run --map /dev/null
is "VMs" "$(grep -c '^vm ' "$TMP/out")" 3

# ---- Ids ----
status "a change with an id" 0 "$PANBIND" -j bo create once 64K --id=deploy-1 --comment 'for the log'
seq=$(jq .result.seq "$TMP/out")
status "the same again" 0 "$PANBIND" -j bo create once 64K --id=deploy-1
json "is the same entry" .result.seq "$seq"
status "the id on something else is refused" 1 "$PANBIND" bo create other 64K --id=deploy-1
ok "and why" grep -q "another request before" "$TMP/err"
ok "and does nothing" bash -c '! "$0" bo list | grep -q other' "$PANBIND"
status "a script with an id" 0 "$PANBIND" run --id=script-1 - <<<'unmap sv 0x10000 64K'
status "again" 0 "$PANBIND" -j run --id=script-1 - <<<'unmap sv 0x10000 64K'
status "txn.status knows it" 0 "$PANBIND" rpc txn.status '{"txn_id": "script-1"}'
is "as applied" "$(jq -r .outcome "$TMP/out")" applied
status "--id with two files" 2 "$PANBIND" run --id=x keep.pb two.pb
status "a durability that there is" 0 "$PANBIND" bo create fast 64K --durability=none
status "and one that there is not" 2 "$PANBIND" bo create fast2 64K --durability=maybe

# ---- rpc ----
status "rpc" 0 "$PANBIND" rpc vm.state '{"name": "v"}'
is "prints the result" "$(jq -r .state "$TMP/out")" usable
status "rpc from standard input" 0 "$PANBIND" rpc vm.state - <<<'{"name": "v"}'
status "rpc in JSON" 0 "$PANBIND" -j rpc rpc.ping
json "is in the document" '.result | has("uptime_ms")' true
status "an unknown method" 2 "$PANBIND" rpc no.method
status "a wrong parameter" 2 "$PANBIND" -j rpc vm.show '{"name": 3}'
json "has a pointer" '.errors[0].pointer' /params/name
status "an unknown device" 1 "$PANBIND" --gpu=gpu7 vm list
status "the device by name" 0 "$PANBIND" --gpu=gpu0 vm list

# ---- Monitor ----
status "monitor from an entry on" 0 "$PANBIND" monitor --since=1 --limit=2
steady "$TMP/out" >monitor.txt
golden "prints entries" cli-monitor.txt monitor.txt
status "monitor in JSON" 0 "$PANBIND" -j monitor --since=2 --limit=3
is "prints objects" "$(jq -r .kind "$TMP/out" | xargs)" "vm.create vm.create bo.create"
"$PANBIND" -j monitor --limit=1 >live.json &
watcher=$!
for _ in {1..200}; do # until it has seen one: it may not have subscribed yet
	"$PANBIND" bo create --missing-ok live 4K >/dev/null 2>&1
	"$PANBIND" bo destroy --missing-ok live
	"$PANBIND" bo create live 4K
	kill -0 $watcher 2>/dev/null || break
	"$PANBIND" bo destroy live
done
wait $watcher
is "monitor sees what happens" "$?" 0
is "and ends after its limit" "$(wc -l <live.json)" 1
status "monitor under -T" 6 "$PANBIND" -T 0.3 monitor

# ---- Permission ----
if [ "$(id -u)" = 0 ]; then
	as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	chmod 755 "$TMP"
	if as_nobody "$PANBIND" --version >/dev/null 2>&1; then
		status "a socket that may not be used" 5 as_nobody "$PANBIND" vm list
		like "is told" "$(err)" "not permitted"
		kill_daemon TERM
		rm -f "$TMP/log.db"*
		start_daemon --read='*'
		chmod 666 "$PANBIND_SOCKET"
		status "a reader may look" 0 as_nobody "$PANBIND" vm list
		status "and not change" 5 as_nobody "$PANBIND" vm create v
		status "which is so in JSON" 5 as_nobody "$PANBIND" -j vm create v
		json "and named" '.errors[0].name' EPERM
	fi
fi

# ---- A daemon that goes away, and one that is silent ----
kill -STOP $DAEMON_PID
status "a silent daemon is waited for until -T" 6 "$PANBIND" -T 0.3 vm list
env --default-signal=INT "$PANBIND" vm list >"$TMP/out" 2>"$TMP/err" &
pid=$!
sleep 0.3
kill -INT $pid
{ wait $pid; } 2>/dev/null
is "or until a signal" "$?" 130
"$PANBIND" vm create gone 2>lost.err &
pid=$!
sleep 0.3
kill_daemon
wait $pid
is "a daemon that dies before it greets has done nothing: status 3" "$?" 3
# One that takes a change and never answers: the fate of the change is unknown.
cat >mute.py <<'PY'
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
connection, _ = server.accept()
greeting = {"jsonrpc": "2.0", "method": "rpc.greeting", "params": {"protocol": int(sys.argv[2])}}
connection.sendall(sys.argv[3].encode() if len(sys.argv) > 3 else json.dumps(greeting).encode() + b"\n")
connection.recv(65536)
PY
mute() {
	rm -f mute.socket
	python3 mute.py mute.socket "$@" &
	until [ -S mute.socket ]; do sleep 0.05; done
}
mute 1
status "a daemon that dies over a change" 4 "$PANBIND" -s mute.socket vm create v
like "leaves its fate unknown" "$(err)" "not known.*txn.status"
mute 1
status "over a question" 3 "$PANBIND" -s mute.socket vm list
mute 7
status "another protocol" 3 "$PANBIND" -s mute.socket vm list
like "is told with both numbers" "$(err)" "protocol 7, this program 1"
mute 1 $'SSH-2.0\n'
status "something else behind the socket" 3 "$PANBIND" -s mute.socket vm list
like "is no daemon" "$(err)" "does not speak JSON-RPC"

done_testing
