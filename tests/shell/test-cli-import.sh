#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind import: traces of a real driver, and what is wrong with other ones.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"
TRACES=$SOURCE/tests/data/traces

text() { case $1 in *.xz) xz -dc "$1" ;; *) cat "$1" ;; esac }
count() { text "$1" | jq -r "$2" | wc -l; }

# ---- The traces: every recorded result comes out the same, with as many VM_BINDs of as many ops ----
for trace in panvk-small.jsonl panvk-image.jsonl panvk-stream.jsonl.xz; do
	file=$TRACES/$trace
	binds=$(count "$file" 'select(.name == "PANTHOR_VM_BIND") | .name')
	status "$trace becomes a script" 0 "$PANBIND" import "$file"
	cp "$TMP/out" "$trace.pb"
	is "$trace: as many maps" "$(grep -c '^map ' "$trace.pb")" \
		"$(count "$file" 'select(.name == "PANTHOR_VM_BIND") | .args.ops[] | select(.op == "map") | .va')"
	is "$trace: as many unmaps" "$(grep -c '^unmap ' "$trace.pb")" \
		"$(count "$file" 'select(.name == "PANTHOR_VM_BIND") | .args.ops[] | select(.op == "unmap") | .va')"
	is "$trace: as many syncs of ops" "$(grep -oE -- '--(wait|signal)=' "$trace.pb" | wc -l)" \
		"$(count "$file" 'select(.name == "PANTHOR_VM_BIND") | .args.ops[].syncs[] | .op')"
	is "$trace: as many failures" "$(grep -c '^expect ' "$trace.pb")" \
		"$(count "$file" 'select(.ret != null and .ret < 0) | .name')"
	is "$trace: as many states" "$(grep -c '^assert state .* usable$' "$trace.pb")" \
		"$(count "$file" 'select(.name == "PANTHOR_VM_GET_STATE" and .out.state == 0) | .name')"
	status "$trace runs on a driver of its version" 0 "$PANBIND" -d sim:minor=0 run "$trace.pb"
	# A fault at the last bind is met, one behind it is not: so there are exactly as many ioctls as were recorded.
	status "$trace has a VM_BIND number $binds" 4 "$PANBIND" -d "sim:minor=0,fault=VM_BIND#$binds=EIO" run "$trace.pb"
	status "$trace has none behind it" 0 "$PANBIND" -d "sim:minor=0,fault=VM_BIND#$((binds + 1))=EIO" run "$trace.pb"
	status "$trace runs on the newest driver" 0 "$PANBIND" -d sim: run "$trace.pb"
	"$PANBIND" import - <"$file" | tail -n +2 >again.pb
	ok "$trace: standard input gives the same" cmp -s again.pb <(tail -n +2 "$trace.pb")
done
status "import | run" 0 bash -c '"$0" import "$1" | "$0" -d sim:minor=0 run -' "$PANBIND" "$TRACES/panvk-small.jsonl"
status "import --json" 0 "$PANBIND" --json import "$TRACES/panvk-small.jsonl"
json "counts" '.binds, .ops, (.script | length > 10000)' $'60\n458\ntrue'

# The mapping in the middle of a trace, as the trace has it: each page maps what was bound last.
awk '/--- s17/ { print "vm show fd5.vm1 --map" } { print }' panvk-small.jsonl.pb >middle.pb
status "a look into the middle of a trace" 0 "$PANBIND" -d sim:minor=0 run middle.pb
golden "has these mappings" cli-import-middle.txt "$TMP/out"

# ---- Small traces: each kind of line ----
vm='{"t":1,"dur":1,"pid":1,"tid":1,"fd":3,"name":"PANTHOR_VM_CREATE","args":{"flags":0,"user_va_range":"0x0"},"out":{"id":1},"ret":0,"errno":0}'
bo='{"t":2,"dur":1,"pid":1,"tid":1,"fd":3,"name":"PANTHOR_BO_CREATE","args":{"size":"0x10000","flags":0},"out":{"handle":1},"ret":0,"errno":0}'
so='{"t":3,"dur":1,"pid":1,"tid":1,"fd":3,"name":"SYNCOBJ_CREATE","args":{"flags":0},"out":{"handle":9},"ret":0,"errno":0}'
# bind T FLAGS NOPS RET ERRNO OP...
bind() {
	local t=$1 flags=$2 done=$3 ret=$4 err=$5
	shift 5
	local IFS=,
	echo '{"t":'"$t"',"dur":1,"pid":1,"tid":1,"fd":3,"name":"PANTHOR_VM_BIND","args":{"vm_id":1,"flags":'"$flags"',"ops":['"$*"']},"out":{"nops":'"$done"'},"ret":'"$ret"',"errno":'"$err"'}'
}
# op VA SIZE [SYNC]
op() { echo '{"op":"map","flags":"0x0","bo":1,"bo_offset":0,"va":"'"$1"'","size":"'"$2"'","syncs":['"${3-}"']}'; }
imported() { "$PANBIND" import "$1" 2>"$TMP/err" | grep -v '^#'; }

{ echo "$vm"; echo "$bo"; bind 10 0 1 -1 22 "$(op 0x10000 0x10000)" "$(op 0x10001 0x10000)" "$(op 0x30000 0x10000)"; } >partial.jsonl
is "a synchronous bind that failed at op 1 of 3" "$(imported partial.jsonl)" "vm create vm1
bo create bo1 0x10000
begin
map vm1 0x10000 0x10000 bo1
commit
expect EINVAL map vm1 0x10001 0x10000 bo1"
ok "its last op is a comment" bash -c '"$0" import partial.jsonl | grep -q "^# the 1 ops behind it never ran"' "$PANBIND"
status "and it fails the same way again" 0 bash -c '"$0" import partial.jsonl | "$0" -d sim: run -' "$PANBIND"

{ echo "$vm"; echo "$bo"; echo "$so"; bind 10 1 1 -1 22 "$(op 0x10000 0x20000 '{"op":"signal","type":"syncobj","handle":9,"value":0}')"; } >refused.jsonl
status "an asynchronous bind that was refused" 0 "$PANBIND" import refused.jsonl
cp "$TMP/out" refused.pb
like "is expected to be" "$(out)" "^expect EINVAL commit$"
status "and is refused again" 0 "$PANBIND" -d sim: run refused.pb

# From driver 1.9 on: a sparse map reserves, one inside gives back, an unmap of the whole releases.
sparse() { echo '{"op":"map","flags":"0xa","bo":0,"bo_offset":0,"va":"'"$1"'","size":"'"$2"'","syncs":[]}'; }
unmap() { echo '{"op":"unmap","flags":"0x10000000","va":"'"$1"'","size":"'"$2"'"}'; }
{
	echo "$vm"; echo "$bo"
	bind 10 0 1 0 0 "$(sparse 0x40000000 0x400000)"
	bind 11 1 1 0 0 "$(op 0x40010000 0x10000)"
	bind 12 1 1 0 0 "$(sparse 0x40010000 0x10000)"
	bind 13 0 1 0 0 "$(unmap 0x40000000 0x400000)"
} >sparse.jsonl
is "sparse maps" "$(imported sparse.jsonl | grep -vE 'begin|commit')" "vm create vm1
bo create bo1 0x10000
sparse reserve vm1 0x40000000 0x400000
map vm1 0x40010000 0x10000 bo1
sparse unbind vm1 0x40010000 0x10000
sparse release vm1 0x40000000 0x400000"

# A program's thread waits, another one signals; the wait began first and ended last.
{
	echo "$vm"; echo "$bo"; echo "$so"
	echo '{"t":10,"dur":100,"pid":1,"tid":1,"fd":3,"name":"SYNCOBJ_WAIT","args":{"handles":[9],"timeout_nsec":60000000010,"flags":3},"out":{},"ret":0,"errno":0}'
	bind 50 1 1 0 0 "$(op 0x10000 0x10000 '{"op":"signal","type":"syncobj","handle":9,"value":0}')"
} >threads.jsonl
is "a wait stands where it ended" "$(imported threads.jsonl | tail -n 1)" "syncobj wait so9 --for-submit --timeout=60000"
status "so one thread can do it" 0 bash -c '"$0" import threads.jsonl | "$0" -d sim: -T 20 run -' "$PANBIND"

sed 's/"fd":3/"fd":4/' <<<"$vm" >files.jsonl; echo "$vm" >>files.jsonl
is "several files show in names" "$(imported files.jsonl)" $'vm create fd4.vm1\nvm create fd3.vm1'
sed 's/"pid":1/"pid":2/' <<<"$vm" >processes.jsonl; echo "$vm" >>processes.jsonl
is "several processes, too" "$(imported processes.jsonl)" $'vm create pid2.fd3.vm1\nvm create pid1.fd3.vm1'
{ echo "$vm"; echo "$vm"; } >reopened.jsonl
is "an id that is given out twice" "$(imported reopened.jsonl)" $'vm create vm1\nvm destroy vm1\nvm create vm1'
printf '%s\r\n' "$vm" '' "$bo" >crlf.jsonl
is "CRLF and blank lines" "$(imported crlf.jsonl)" $'vm create vm1\nbo create bo1 0x10000'
echo '{"t":1,"name":"MARK","args":{"text":"a\nmap x; rm"}}' >mark.jsonl
is "a mark cannot leave its comment" "$(imported mark.jsonl)" ""
: >nothing.jsonl
status "an empty trace" 0 "$PANBIND" import nothing.jsonl
status "runs" 0 "$PANBIND" -d sim: run "$TMP/out"

# ---- To a log: the same VM_BINDs, which replay to the same mapping on a driver of their version ----
for trace in panvk-small.jsonl panvk-image.jsonl panvk-stream.jsonl.xz; do
	file=$TRACES/$trace
	status "$trace becomes a log" 0 "$PANBIND" -j import --log="$trace.db" "$file"
	entries=$(jq .entries "$TMP/out")
	status "$trace: that can be exported" 0 "$PANBIND" log export --log="$trace.db"
	cp "$TMP/out" exported.jsonl
	is "$trace: with as many entries as it said" "$(tail -n +2 exported.jsonl | wc -l)" "$entries"
	is "$trace: each VM_BIND has its ops" \
		"$(jq -c 'select(.kind == "bind") | [.ops[] | [.op, .va, .size, .bo_offset // "0x0"]]' exported.jsonl | sha256sum)" \
		"$(text "$file" | jq -c 'select(.name == "PANTHOR_VM_BIND") | [.args.ops[] | [(.op | sub("_"; "-")), .va, .size,
			(if .op == "map" then .bo_offset else "0x0" end)]]' | sha256sum)"
	is "$trace: its waits and signals" "$(jq -r 'select(.kind == "bind") | .ops[].syncs // empty' exported.jsonl | tr ' ' '\n' | sha256sum)" \
		"$(text "$file" | jq -r 'select(.name == "PANTHOR_VM_BIND") | .args.ops[].syncs[] |
			"\(.op)=fd5.so\(.handle)\(if .type == "timeline" and .value > 0 then ":\(.value)" else "" end)"' | sha256sum)"
	is "$trace: and its latency" "$(jq -s '[.[] | select(.kind == "bind") | .latency_ns] | add' exported.jsonl)" \
		"$(text "$file" | jq -s '[.[] | select(.name == "PANTHOR_VM_BIND") | .dur] | add')"
	status "$trace: verify" 0 "$PANBIND" log verify --deep --log="$trace.db"
	status "$trace: replay on a driver of its version" 0 "$PANBIND" -j -d sim:minor=0 replay --verify "$trace.db"
	json "$trace: gives all ops and no difference" '.result.ops, .result.differences, .result.skipped' \
		"$(jq -s '[.[] | select(.kind == "bind") | .ops | length] | add' exported.jsonl)"$'\n0\n0'
done
like "a mark becomes the comment of what begins there" "$("$PANBIND" log show --log=panvk-small.jsonl.db)" '^2 .* vm create fd5.vm1 .*# vkCreateDevice begin$'
status "a log that is there is not overwritten" 1 "$PANBIND" import --log=panvk-small.jsonl.db "$TRACES/panvk-small.jsonl"
like "which is said" "$(err)" "panvk-small.jsonl.db: .*exist"
"$PANBIND" import --log=partial.db partial.jsonl
status "a synchronous bind that failed at op 1 of 3" 0 "$PANBIND" -j log show --log=partial.db
is "is an entry with one op applied" "$(jq -c '.entries[-1] | [.outcome, .applied, .error.name, .error.op, (.ops | length)]' "$TMP/out")" \
	'["partial",1,"EINVAL",1,3]'
"$PANBIND" import --log=refused.db refused.jsonl
status "an asynchronous bind that was refused is refused again" 0 "$PANBIND" -d sim: replay --verify refused.db
"$PANBIND" import --log=reopened.db reopened.jsonl
is "an id that is given out twice is another generation" \
	"$("$PANBIND" log export --log=reopened.db | jq -c 'select(.object) | [.kind, .object.generation]')" \
	$'["vm.create",1]\n["vm.destroy",1]\n["vm.create",2]'
"$PANBIND" import --log=sparse.db sparse.jsonl
status "sparse maps" 0 "$PANBIND" -d sim: replay --verify=each sparse.db

# ---- Wrong traces: file, line, field; status 2; nothing on standard output ----
# wrong NAME TEXT REGEX
wrong() {
	printf '%s\n' "$vm" "$2" "$bo" >wrong.jsonl
	status "$1" 2 "$PANBIND" import wrong.jsonl
	like "$1: line and field" "$(err)" "^wrong.jsonl:2:.*$3"
	is "$1: nothing is written" "$(out)" ""
	status "$1: into no log either" 2 "$PANBIND" import --log=wrong.db wrong.jsonl
	like "$1: line and field again" "$(err)" "^wrong.jsonl:2:.*$3"
	ok "$1: there is none" test ! -e wrong.db
}
wrong "no JSON" '{"t":1,' 'error:'
wrong "no object" '[1]' 'error: not a JSON object'
wrong "a key twice" '{"t":1,"t":2}' 'error:'
wrong "no name" '{"t":1}' "field 'name'"
wrong "no time" '{"name":"VERSION","ret":0}' "field 't' is missing"
wrong "no result" '{"t":1,"name":"VERSION"}' "field 'ret'"
wrong "a failure without errno" '{"t":1,"name":"VERSION","ret":-1,"errno":0}' "field 'errno'"
wrong "a size that is none" "${bo/0x10000/0xzz}" "field 'args.size'"
wrong "a size that is too large" "${bo/0x10000/0x10000000000000000}" "field 'args.size'"
wrong "a size below 0" "${bo/\"0x10000\"/-1}" "field 'args.size'"
wrong "no handle" "${bo/\"handle\":1/\"x\":1}" "field 'out.handle' is missing"
wrong "a BO that is not there" "$(bind 1 0 1 0 0 "$(op 0x10000 0x10000)")" "field 'args.ops\[0\]' names bo1"
wrong "an op of no kind" "$(bind 5 0 1 0 0 '{"op":"mop"}')" "field 'args.ops\[0\]' has no 'op'"
wrong "a VM that is not there" "$(bind 5 0 0 0 0 | sed 's/"vm_id":1/"vm_id":7/')" "field 'args.vm_id' names vm7"
wrong "a mark without text" '{"t":1,"name":"MARK","args":{}}' "field 'args.text'"
status "-k reports and goes on" 2 "$PANBIND" import -k wrong.jsonl
is "with the other lines" "$(grep -v '^#' "$TMP/out")" $'vm create vm1\nbo create bo1 0x10000'
is "and one error" "$(grep -c error: "$TMP/err")" 1
status "in JSON" 2 "$PANBIND" --json import wrong.jsonl
json "file and line" '.errors[0] | .file, .line, .stage' $'wrong.jsonl\n2\nparse'

status "a missing trace" 2 "$PANBIND" import missing.jsonl
head -c 3000 "$TRACES/panvk-stream.jsonl.xz" >cut.xz
status "an .xz that ends early" 2 "$PANBIND" import cut.xz
like "is said to" "$(err)" "cut.xz: the compressed data cannot be read: it ends early"
{ head -c 1000 "$TRACES/panvk-stream.jsonl.xz"; head -c 5000 /dev/zero; } >damaged.xz
status "a damaged .xz" 2 "$PANBIND" import damaged.xz
like "is said to be" "$(err)" "it is damaged"

done_testing
