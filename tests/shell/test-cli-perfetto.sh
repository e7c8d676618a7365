#!/bin/bash
# SPDX-License-Identifier: MIT
# The Chrome trace: of traces and of logs, by the rules of the format, and by what is in them.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"
TRACES=$SOURCE/tests/data/traces

# rules NAME: what the format asks of $TMP/out. Each rule answers with what breaks it.
rules() {
	json "$1: an object with events and a unit" '(.traceEvents | type), .displayTimeUnit, (.otherData.begins_at_ns | test("^0x"))' $'array\nns\ntrue'
	json "$1: events of known phases, with a name, a time, a process and a thread" \
		'[.traceEvents[] | select((.ph | IN("M", "X", "C", "b", "e", "s", "f", "i") | not) or (.name | type) != "string" or (.cat | type) != "string"
			or (.ts | type) != "number" or .ts < 0 or (.pid | type) != "number" or (.tid | type) != "number")] | length' 0
	json "$1: slices last" '[.traceEvents[] | select(.ph == "X" and ((.dur | type) != "number" or .dur < 0))] | length' 0
	json "$1: slices of a thread do not overlap" \
		'[.traceEvents[] | select(.ph == "X")] | group_by([.pid, .tid]) | [.[] | sort_by(.ts) | . as $s | range(1; length) |
			select($s[.].ts + 0.001 < $s[. - 1].ts + $s[. - 1].dur)] | length' 0
	json "$1: counters have a number" '[.traceEvents[] | select(.ph == "C" and (.args.bytes | type) != "number")] | length' 0
	json "$1: asynchronous slices begin and end once, in this order" \
		'[.traceEvents[] | select(.ph == "b" or .ph == "e")] | group_by([.cat, .id]) |
			map(select((sort_by(.ts) | map(.ph)) as $p | $p != ["b", "e"] and $p != ["e", "b"] or (map(select(.ph == "b").ts)[0] > map(select(.ph == "e").ts)[0]))) | length' 0
	json "$1: arrows have two ends, each within a slice" \
		'([.traceEvents[] | select(.ph == "X") | "\(.pid) \(.tid) \(.ts)"] | map({(.): true}) | add // {}) as $slices |
			[.traceEvents[] | select(.ph == "s" or .ph == "f")] | (group_by(.id) | map(select((map(.ph) | sort) != ["f", "s"])) | length),
			(map(select($slices["\(.pid) \(.tid) \(.ts)"] | not)) | length), (map(select(.ph == "f" and .bp != "e")) | length)' $'0\n0\n0'
	json "$1: every process and thread has one name" \
		'([.traceEvents[] | select(.ph == "X") | "\(.pid) \(.tid)"] | unique) == ([.traceEvents[] | select(.ph == "M" and .name == "thread_name") | "\(.pid) \(.tid)"] | sort)' true
	json "$1: addresses are hex strings" '[.traceEvents[] | select(.ph == "X" and .cat != "call") | .args | .. | objects | .va?, .size?, .bo_offset? | values | select((type != "string") or (test("^0x[0-9a-f]+$") | not))] | length' 0
}

for trace in panvk-small.jsonl panvk-image.jsonl panvk-stream.jsonl.xz; do
	status "$trace as a Chrome trace" 0 "$PANBIND" import --format=perfetto "$TRACES/$trace"
	rules "$trace"
	case $trace in *.xz) xz -dc "$TRACES/$trace" ;; *) cat "$TRACES/$trace" ;; esac >plain.jsonl
	json "$trace: a slice a call" '[.traceEvents[] | select(.ph == "X")] | length' "$(jq -s '[.[] | select(.name != "MARK")] | length' plain.jsonl)"
	json "$trace: a line a mark" '[.traceEvents[] | select(.ph == "i")] | length' "$(jq -s '[.[] | select(.name == "MARK")] | length' plain.jsonl)"
	json "$trace: which take as long as they took" '([.traceEvents[] | select(.ph == "X") | .dur] | add * 1000 | round)' \
		"$(jq -s '[.[] | select(.name != "MARK") | .dur] | add' plain.jsonl)"
	json "$trace: in the end nothing is mapped" '[.traceEvents[] | select(.ph == "C")] | sort_by(.ts)[-1].args.bytes' 0
done
json "every bind whose fence was waited for has landed" '[.traceEvents[] | select(.ph == "b")] | length > 1000' true

# ---- A log: the counter is what the log says is mapped ----
"$PANBIND" import --log=small.db "$TRACES/panvk-small.jsonl"
status "a log as a Chrome trace" 0 "$PANBIND" log export --format=perfetto --log=small.db
rules "a log"
cp "$TMP/out" log.json
is "an entry a slice, and a start" "$(jq '[.traceEvents[] | select(.ph == "X" or .ph == "i")] | length' log.json)" \
	"$("$PANBIND" log export --log=small.db | tail -n +2 | wc -l)"
for seq in 20 40 60; do
	"$PANBIND" log state --log=small.db fd5.vm1 --at=$seq >state.pb
	bytes=0
	while read -r verb _ _ size _; do
		[ "$verb" = map ] || continue
		case $size in *K) size=$((${size%K} << 10)) ;; *M) size=$((${size%M} << 20)) ;; *G) size=$((${size%G} << 30)) ;; esac
		bytes=$((bytes + size))
	done <state.pb
	is "after entry $seq so much is mapped" "$(jq "[.traceEvents[] | select(.ph == \"X\" and .args.seq == $seq)][0] as \$x |
		[.traceEvents[] | select(.ph == \"C\" and .ts <= \$x.ts + \$x.dur + 0.0005)] | sort_by(.ts)[-1].args.bytes" log.json)" "$bytes"
done
cp small.db compacted.db
"$PANBIND" -q log compact --until=40 --log=compacted.db
status "a compacted log" 0 "$PANBIND" log export --format=perfetto --log=compacted.db
rules "a compacted log"
json "begins with what is mapped then" '[.traceEvents[] | select(.ph == "C")][0].args.bytes > 268435456' true
status "an unknown format" 2 "$PANBIND" log export --format=svg --log=small.db
status "of a trace" 2 "$PANBIND" import --format=svg x
status "a log and a format" 2 "$PANBIND" import --format=perfetto --log=x x

# ---- A small one, whole: who is where, and what is told of it ----
cat >two.jsonl <<'TEXT'
{"t":1000,"dur":500,"pid":7,"tid":7,"fd":3,"name":"PANTHOR_VM_CREATE","args":{"flags":0,"user_va_range":"0x800000000000"},"out":{"id":1},"ret":0,"errno":0}
{"t":2000,"dur":100,"pid":7,"tid":7,"fd":3,"name":"PANTHOR_BO_CREATE","args":{"size":"0x10000","flags":0},"out":{"handle":1},"ret":0,"errno":0}
{"t":2200,"dur":100,"pid":7,"tid":7,"fd":3,"name":"SYNCOBJ_CREATE","args":{"flags":0},"out":{"handle":9},"ret":0,"errno":0}
{"t":2500,"name":"MARK","args":{"text":"go"}}
{"t":3000,"dur":2000,"pid":7,"tid":8,"fd":3,"name":"PANTHOR_VM_BIND","args":{"vm_id":1,"flags":1,"ops":[{"op":"map","flags":"0x2","bo":1,"bo_offset":"0x0","va":"0x100000","size":"0x10000","syncs":[{"op":"signal","type":"timeline","handle":9,"value":5}]}]},"out":{"nops":1},"ret":0,"errno":0}
{"t":4000,"dur":4001,"pid":7,"tid":7,"fd":3,"name":"SYNCOBJ_TIMELINE_WAIT","args":{"handles":[9],"points":[5],"timeout_nsec":9000000000,"flags":1},"out":{},"ret":0,"errno":0}
{"t":9000,"dur":10,"pid":7,"tid":7,"fd":3,"name":"PANTHOR_VM_BIND","args":{"vm_id":1,"flags":0,"ops":[{"op":"unmap","flags":"0x0","bo":0,"bo_offset":"0x0","va":"0x100000","size":"0x8000","syncs":[]},{"op":"map","flags":"0x0","bo":2,"bo_offset":"0x0","va":"0x100000","size":"0x8000","syncs":[]}]},"out":{"nops":1},"ret":-1,"errno":2}
TEXT
status "a small trace" 0 "$PANBIND" import --format=perfetto two.jsonl
rules "a small trace"
golden "as it has to be" cli-perfetto.json "$TMP/out"
status "in JSON" 0 "$PANBIND" -j import --format=perfetto two.jsonl
json "it is a string" '.trace | fromjson.traceEvents | length > 10' true

done_testing
