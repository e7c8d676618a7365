#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind replay --bench: what is counted is exact, what is measured is only sane.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"
TRACES=$SOURCE/tests/data/traces
"$PANBIND" import --log=small.db "$TRACES/panvk-small.jsonl" || exit 1

# ---- A trace of a real program: every VM_BIND once a round ----
status "a benchmark" 0 "$PANBIND" -j -d sim:minor=0 replay --bench=3 --verify small.db
json "counts rounds, VM_BINDs, ops, threads" '.bench | .rounds, (.seconds | length), .binds, .ops, .threads, .left_out' $'3\n3\n60\n458\n2\n0'
json "the kinds, sync and async" '[.bench.kinds[] | [.kind, .async, .calls, .ops]] | tojson' \
	'[["map",false,17,137],["map",true,32,310],["unmap",false,10,10],["sync-only",true,1,1],["vm.create",false,1,0],["vm.destroy",false,1,0],["bo.create",false,9,0],["bo.destroy",false,9,0]]'
json "the sizes of batches" '[.bench.batches[] | [.batch, .async, .calls, .ops]] | tojson' \
	'[["1",false,19,19],["1",true,13,13],["2-4",true,1,2],["5-16",false,8,128],["5-16",true,19,296]]'
json "percentiles rise" '[.bench | .kinds[], .batches[] | .ns, .recorded_ns | .p50 <= .p90 and .p90 <= .p99 and .p99 <= .max and .p50 > 0] | all' true
json "rates and times are there" '.bench | .ops_per_s.min <= .ops_per_s.median and .ops_per_s.median <= .ops_per_s.max and .ops_per_s.min > 0 and ([.seconds[] > 0] | all)' true
json "the mapping is the one of the log" '.bench.problems.failures, .bench.problems.differences' $'0\n0'
cp "$TMP/out" a.json
# What was recorded is what the trace says.
recorded=$(jq -s '[.[] | select(.name == "PANTHOR_VM_BIND" and (.args.flags | tostring | test("1$")) and ([.args.ops[].op] | unique == ["map"])) | .dur] | sort | .[length - 1]' "$TRACES/panvk-small.jsonl")
is "the recorded latency is the trace's" "$(jq '.bench.kinds[] | select(.kind == "map" and .async) | .recorded_ns.max' a.json)" "$recorded"

status "as text" 0 "$PANBIND" -d sim:minor=0 replay --bench=2 small.db
like "the head" "$(out)" "^small.db on sim:minor=0, 2 rounds of 60 binds with 458 ops, 2 threads$"
like "the rate" "$(out)" "^ops/s: [0-9]+ \([0-9]+ to [0-9]+\); recorded: [0-9]+ in [0-9.]+ s$"
like "a row" "$(out)" "^map +async +32 +310 +[0-9.]+ .* [0-9.]+$"
status "one entry less" 0 "$PANBIND" -j -d sim:minor=0 replay --bench=1 --until=60 --verify small.db
json "is fewer binds, and the mapping of then" '.bench.binds < 60, .bench.problems.differences' $'true\n0'

# ---- Two devices by turns, two results, and what cannot be compared ----
status "two devices" 0 "$PANBIND" -j replay --bench=2 --compare sim:minor=0 sim: small.db
json "have a result each" '.a.device, .b.device, .a.rounds, .b.rounds, .a.binds == .b.binds' $'sim:minor=0\nsim:\n2\n2\ntrue'
json "and ratios of all kinds" '(.ratios.ops_per_s > 0), (.ratios.kinds | length), ([.ratios.kinds[], .ratios.batches[] | .p50 > 0 and .max > 0] | all)' $'true\n8\ntrue'
json "which are B's by A's" '((.ratios.ops_per_s - .b.ops_per_s.median / .a.ops_per_s.median) | fabs) < 0.001' true
status "two results" 0 "$PANBIND" -j replay --compare a.json a.json
json "of the same run have the ratio 1" '[.ratios.ops_per_s, (.ratios.kinds[], .ratios.batches[] | .p50, .p90, .p99, .max)] | unique | tojson' '[1]'
status "as text" 0 "$PANBIND" replay --compare a.json a.json
like "side by side" "$(out)" "^map +async +32 +([0-9.]+ +){4}1.00 +1.00$"
echo '{"bench":{}}' >no.json
status "a file that is no result" 2 "$PANBIND" replay --compare a.json no.json
like "is said to be none" "$(err)" "no.json: not what"

# ---- Threads: eight processes on one VM, over each other, bound by fences; only the log's order gives the log's mapping ----
# An export of the log, made here: each process binds its own range, all of them one range that they share, and signals
# what the next one waits for.
threads_log() {
	jq -nc --argjson n "$1" '
		def entry(seq; kind; pid): {seq: seq, time: "2026-01-02T03:04:05.\(1000000 + seq | tostring)Z", kind: kind, pid: pid,
			outcome: "applied", applied: 0, latency_ns: (1000 + seq), durability: "none"};
		def ref(name): {name: name, generation: 1};
		def hex: . as $v | [$v] | until(.[0] < 16; [(.[0] / 16 | floor), .[0] % 16] + .[1:]) | map("0123456789abcdef"[.:.+1]) | "0x" + join("");
		def map(va; bo; syncs): {op: "map", vm: ref("v"), va: (va | hex), size: "0x10000", bo: ref(bo), bo_offset: "0x0", flags: []}
			+ (if syncs then {syncs: syncs} else {} end);
		{panbind_log: 2, state_seq: 0},
		(entry(1; "vm.create"; 100) + {object: ref("v"), size: "0x800000000000"}),
		(range(8) | entry(2 + .; "bo.create"; 100 + .) + {object: ref("b\(.)"), size: "0x10000"}),
		(range($n) | . as $i | ($i * 7 % 8) as $p | entry(10 + $i; "bind"; 100 + $p) |
			if $i % 5 == 4 then . + {async: true, applied: 1, ops: [map(1048576; "b\($p)"; "wait=s:\($i) signal=s:\($i + 5)")]}
			elif $i % 2 == 0 then . + {async: false, applied: 2, ops: [map(2097152 + $p * 65536; "b\($p)"; null), map(2097152 + (($p + 1) % 8) * 65536; "b\($p)"; null)]}
			else . + {async: false, applied: 1, ops: [map(268435456 + $i * 65536; "b\($p)"; null)]} end)'
}
threads_log 800 >threads.jsonl
"$PANBIND" log import threads.jsonl threads.db || exit 1
for device in sim: sim:minor=0; do
	status "eight threads on $device" 0 "$PANBIND" -j -d "$device" replay --bench=2 --verify threads.db
	json "eight threads, all binds, the log's mapping" '.bench | .threads, .binds, .ops, .problems.failures, .problems.differences' $'8\n800\n1120\n0\n0'
done
status "in one thread" 0 "$PANBIND" -j -d sim: replay --bench=1 --threads=one --verify threads.db
json "the same" '.bench | .threads, .binds, .problems.differences' $'1\n800\n0'
status "in recorded time" 0 "$PANBIND" -j -d sim: replay --bench=1 --speed=recorded threads.db
json "takes as long as it took" '.bench.speed, .bench.seconds[0] >= 0.0007' $'1\ntrue'
# One process is busy for long before it does what the others' next calls build upon: over the same page, with the same
# fence, with a BO that goes then. Were they not held back, they would be first.
late_log() {
	jq -nc '
		def entry(seq; kind; pid): {seq: seq, time: "2026-01-02T03:04:05.\(1000000 + seq | tostring)Z", kind: kind, pid: pid,
			outcome: "applied", applied: 0, latency_ns: 1000, durability: "none"};
		def ref(name): {name: name, generation: 1};
		def bind(seq; pid; va; bo; syncs): entry(seq; "bind"; pid) + {async: (syncs != null), applied: 1, ops: [
			{op: "map", vm: ref("v"), va: va, size: "0x10000", bo: ref(bo), bo_offset: "0x0", flags: []} + (if syncs then {syncs: syncs} else {} end)]};
		{panbind_log: 2, state_seq: 0},
		(entry(1; "vm.create"; 1) + {object: ref("v"), size: "0x800000000000"}),
		(range(4) | entry(2 + .; "bo.create"; 1) + {object: ref("b\(.)"), size: "0x10000"}),
		(range(3) | bind(6 + .; 2 + .; "0x900000"; "b0"; null)),
		(range(500) | bind(9 + .; 1; "0x\(. % 9 + 1)00000"; "b0"; null)),
		bind(509; 1; "0xa00000"; "b1"; null), bind(510; 2; "0xa00000"; "b2"; null),
		bind(511; 1; "0xb00000"; "b1"; "signal=s:7"), bind(512; 3; "0xc00000"; "b1"; "wait=s:7"),
		bind(513; 1; "0xd00000"; "b3"; null), (entry(514; "bo.destroy"; 4) + {object: ref("b3")})'
}
late_log >late.jsonl
"$PANBIND" log import late.jsonl late.db || exit 1
for i in 1 2 3; do
	status "those who depend on a busy one, time $i" 0 "$PANBIND" -j -d sim: replay --bench=2 --verify late.db
	json "wait for it, time $i" '.bench | .threads, .problems.failures, .problems.differences' $'4\n0\n0'
done
# Processes that came one after the other are one thread: nobody ever worked beside another.
sed -E 's/"pid":10[0-7]/"pid":1/' threads.jsonl | awk -v OFS= '{ n = NR < 400 ? 1 : 2; sub(/"pid":1,/, "\"pid\":" n ","); print }' >turns.jsonl
"$PANBIND" log import turns.jsonl turns.db
status "processes that took turns" 0 "$PANBIND" -j -d sim: replay --bench=1 --verify turns.db
json "share a thread" '.bench.threads, .bench.problems.differences' $'1\n0'

# ---- A log that begins with a snapshot, failures, and what is wrong ----
cp threads.db compacted.db
"$PANBIND" -q log compact --until=400 --log=compacted.db
status "a compacted log" 0 "$PANBIND" -j -d sim: replay --bench=1 --verify compacted.db
json "is measured from where it begins" '.bench.binds, .bench.problems.differences' $'409\n0'
status "a bind that fails here" 1 "$PANBIND" -j -d sim:fault=VM_BIND#5=ENOMEM replay --bench=1 threads.db
json "is told, once for all" '.bench.problems.failures > 0, .bench.problems.error' $'true\nENOMEM'
sed -E '/"seq":(20|21|23),/s/"outcome":"applied","applied":[0-9]+,/"outcome":"rolled-back","applied":0,"error":{"name":"ENOMEM","errno":12,"stage":"submit","op":0},/' threads.jsonl >failed.jsonl
"$PANBIND" log import failed.jsonl failed.db
status "entries that had failed" 0 "$PANBIND" -j -d sim: replay --bench=1 --verify failed.db
json "are left out" '.bench.binds, .bench.left_out' $'797\n3'
script nothing.jsonl '{"panbind_log":2,"state_seq":0}' "$(sed -n 2p threads.jsonl)"
"$PANBIND" log import nothing.jsonl nothing.db
status "a log without binds" 1 "$PANBIND" -d sim: replay --bench nothing.db
like "has nothing to measure" "$(err)" "no bind in it"
status "without a device" 2 "$PANBIND" replay --bench small.db
like "what is missing" "$(err)" "-d SPEC"
for line in '--bench=0 x' '--bench=many x' '--compare x' '--compare a b c d' '--threads=one x' '--bench --threads=two x' '--bench --verify=each x' \
	'--bench a b'; do
	# shellcheck disable=SC2086
	status "'replay $line' is a usage error" 2 "$PANBIND" -d sim: replay $line
done

done_testing
