#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind replay: a log on a device here and in a daemon, and what is said when it does not go the same way.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

start_daemon || exit 1
script work.pb 'vm create v' 'vm create w' 'bo create tex 1M' 'bo create page 64K' 'map v 0x100000 1M tex' 'repeat 10' \
	'map v 0x140000 64K page' 'map v 0x140000 64K tex+256K' 'end' 'map w 0x100000 64K page'
"$PANBIND" run work.pb
"$PANBIND" map v 0x100001 64K page 2>/dev/null
"$PANBIND" sparse reserve w 0x800000 1M
"$PANBIND" sparse bind w 0x810000 64K tex
"$PANBIND" unmap v 0x100000 64K
"$PANBIND" dump >before.pb
kill_daemon
LOG=$TMP/log.db

# ---- On a device here ----
for verify in '' --verify --verify=end --verify=each; do
	# shellcheck disable=SC2086
	status "replay -d sim: $verify" 0 "$PANBIND" -d sim: replay $verify "$LOG"
	like "repeats all, without a difference" "$(out)" "^[0-9]+ entries, [0-9]+ ops repeated, 0 skipped: 0 differences"
done
status "replay in JSON" 0 "$PANBIND" -j -d sim: replay --verify "$LOG"
json "has counts" '(.result.ops > 20), .result.differences, (.differences | length)' $'true\n0\n0'
ops=$(jq .result.ops "$TMP/out")
status "replay --until" 0 "$PANBIND" -j -d sim: replay --verify --until=7 "$LOG"
json "does less" ".result.ops < $ops" true
status "replay --vm" 0 "$PANBIND" -j -d sim: replay --verify=each --vm=w "$LOG"
json "does less, too" ".result.ops < $ops and .result.ops > 0" true
status "replay on an older device" 0 "$PANBIND" -d sim:minor=2 replay --verify "$LOG"
status "PANBIND_DEVICE counts as -d" 0 env PANBIND_DEVICE=sim: "$PANBIND" replay "$LOG"
is "no bar where nobody watches" "$(err)" ""
status "a bar on a terminal" 0 env script -qec "env TERM=xterm COLUMNS=80 '$PANBIND' -d sim: replay '$LOG' >/dev/null" /dev/null
like "shows how far it is" "$(tr '\r' '\n' <"$TMP/out")" "\[#+ *\] +[0-9]+% [0-9]+/[0-9]+, .* ops/s"
ok "and is taken away at the end" bash -c 'tail -c 4 "$0" | grep -q "$(printf "\r\033\\[K")"' "$TMP/out"
status "no bar with -q" 0 env script -qec "env TERM=xterm '$PANBIND' -q -d sim: replay '$LOG' >/dev/null" /dev/null
is "at all" "$(out)" ""

# ---- Differences ----
status "a bind that fails at its repetition" 1 "$PANBIND" -d sim:fault=VM_BIND#3=ENOMEM replay --verify=each "$LOG"
like "is told with its entry" "$(out)" "^entry [0-9]+: .*ENOMEM"
status "in JSON" 1 "$PANBIND" -j -d sim:fault=VM_BIND#3=ENOMEM replay --verify=each "$LOG"
json "too" '.status, (.result.differences > 0), .differences[0].type, (.differences[0].seq > 0)' $'1\ntrue\nresult\ntrue'
status "a BO that cannot be made" 1 "$PANBIND" -j -d sim:fault=BO_CREATE#1=ENOMEM replay --verify "$LOG"
json "leaves entries out" '.differences[0].type, .result.skipped > 0' $'object\ntrue'
"$PANBIND" log export --log="$LOG" | sed 's/"bo_offset":"0x40000"/"bo_offset":"0x50000"/' >other.jsonl
"$PANBIND" log import other.jsonl other.db
status "another history is another log" 0 "$PANBIND" -d sim: replay --verify=each other.db
sed -E '/"kind":"bind"/s/"outcome":"applied","applied":[0-9]+,(.*),"durability"/"outcome":"rolled-back","applied":0,\1,"error":{"name":"ENOMEM","errno":12,"stage":"submit","op":0},"durability"/;t' \
	other.jsonl | head -n 8 >failed.jsonl
"$PANBIND" log import failed.jsonl failed.db
status "a recorded failure that succeeds here" 1 "$PANBIND" -d sim: replay failed.db
like "is a difference" "$(out)" "^entry [0-9]+: "

# ---- Wrong command lines, and what is not there ----
for line in replay 'replay a b' 'replay --until=0 x' 'replay --speed=0 x' 'replay --speed=fast x' 'replay --verify=twice x'; do
	# shellcheck disable=SC2086
	status "'$line' is a usage error" 2 "$PANBIND" -d sim: $line
done
status "a missing log" 2 "$PANBIND" -d sim: replay none.db
status "no daemon" 3 "$PANBIND" replay "$LOG"
status "a speed that the daemon does not take" 2 "$PANBIND" replay --speed=1.5 "$LOG"

# ---- Recorded time, and limits ----
script slow.jsonl '{"panbind_log":1,"state_seq":0}' \
	'{"seq":1,"time":"2026-01-01T00:00:00Z","kind":"start","outcome":"applied","applied":0,"durability":"sync"}' \
	'{"seq":2,"time":"2026-01-01T01:00:00Z","kind":"vm.create","outcome":"applied","applied":0,"durability":"sync","object":{"name":"v","generation":1},"size":"0x100000000"}'
"$PANBIND" log import slow.jsonl slow.db
status "an hour at full speed" 0 "$PANBIND" -d sim: replay slow.db
status "an hour in recorded time ends by -T" 6 "$PANBIND" -T 0.5 -d sim: replay --speed=1 slow.db
like "and says so" "$(err)" "not complete.*time limit"

# ---- In a daemon ----
for file in log.db*; do # a daemon that was killed leaves some of it in a second file
	mv "$file" "${file/log/old}"
done
start_daemon || exit 1
status "replay in the daemon" 0 "$PANBIND" replay --verify old.db
like "repeats all" "$(out)" "0 skipped: 0 differences; the mapping was compared"
status "the VMs are there" 0 "$PANBIND" dump
ok "as they were" cmp -s "$TMP/out" before.pb
status "and logged as this daemon's" 0 "$PANBIND" log verify --deep
status "again" 1 "$PANBIND" replay old.db
like "their names are taken" "$(err)" "EEXIST"
status "a log that the daemon does not find" 2 "$PANBIND" replay none.db

# ---- Rebuilt at its start ----
kill_daemon
start_daemon --restore || exit 1
status "after kill -9, --restore" 0 "$PANBIND" dump
ok "brings all back" cmp -s "$TMP/out" before.pb
like "verified" "$(cat daemon.err)" "restored 2 VMs .*verified"

done_testing
