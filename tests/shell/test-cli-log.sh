#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind log: what the daemon wrote, read with and without it.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"
log() { "$PANBIND" log "$@"; }

status "log show without a log" 2 log show --log=none.db
like "names it" "$(err)" "none.db"
echo "no database" >text.db
status "log show of something else" 2 log show --log=text.db
for line in log 'log frobnicate' 'log show x' 'log show --va=x' 'log show --va=0x1000+' 'log show --since=tomorrow' 'log show --status=good' \
	'log blame v' 'log blame v x' 'log blame v 0 0' 'log query' 'log query a b' 'log import x' 'log verify --until=3'; do
	# shellcheck disable=SC2086
	status "'$line' is a usage error" 2 "$PANBIND" $line
done

start_daemon || exit 1
script setup.pb 'begin' 'vm create v' 'bo create tex 1M' 'bo create page 64K --vm=v' 'commit' 'begin' 'map v 0x100000 1M tex --noexec' \
	'map v 0x140000 64K page' 'commit'
"$PANBIND" run setup.pb
sleep 0.01
moment=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
sleep 0.01
"$PANBIND" map v 0x140000 64K tex --id=swap-1 --comment 'swap in'
"$PANBIND" map v 0x140001 64K page --comment 'wrong' 2>/dev/null
"$PANBIND" vm create w
"$PANBIND" map w 0x140000 64K tex
"$PANBIND" sparse reserve w 0x800000 1M
"$PANBIND" sparse bind w 0x800000 64K tex+64K
"$PANBIND" bo destroy page

# ---- Show ----
status "log show" 0 log show
steady "$TMP/out" >show.txt
golden "lists entries in the words of scripts" cli-log-show.txt show.txt
status "log show -v" 0 log show -v --status=failed
steady "$TMP/out" >show.txt
golden "also says who asked" cli-log-show-v.txt show.txt
seqs() { jq -r '[.entries[].seq] | join(",")' "$TMP/out"; }
for filter in '--vm=w 8,9,10,11' '--vm=v 2,5,6,7' '--vm=v#2 ' '--va=0x140000 5,6,9' '--vm=v --va=0x14ffff 5,6,7' '--va=0x150000 5,7' \
	'--va=0x7fffff+2 10,11' '--status=failed 7' '--status=ok --vm=v 2,5,6' '--since=3 --until=4 3,4' '--id=swap-1 6' \
	"--since=$moment 6,7,8,9,10,11,12" "--until=$moment 1,2,3,4,5" '--since=1d --limit=2 1,2' '--until=1h ' '--pid=1 ' \
	"--uid=$(id -u) --limit=1 1" '--since=99 '; do
	# shellcheck disable=SC2086
	status "log show ${filter% *}" 0 log show -j ${filter% *}
	is "has these" "$(seqs)" "${filter##* }"
done
status "log show in JSON" 0 log show -j --id=swap-1
json "has the whole entry" '.entries[0] | .kind, .comment, .outcome, .applied, .ops[0].op, .ops[0].bo.name, .ops[0].va' \
	$'bind\nswap in\napplied\n1\nmap\ntex\n0x140000'
status "a failed one" 0 log show -j --status=failed
json "has its error" '.entries[0].error | .name, .op, .stage' $'EINVAL\n0\nvalidate'
script nasty.pb 'vm create n'
"$PANBIND" run --comment $'\033[31mred' nasty.pb
ok "no control character of a client's reaches the terminal" bash -c '! "$0" log show | grep -q "$(printf "\033")"' "$PANBIND"

# ---- Blame, status, query, verify ----
status "log blame" 0 log blame v 0x14ffff
like "says which entry" "$(out)" '^6 .* map v 0x140000 0x10000 tex \[id swap-1\] # swap in$'
like "and who asked" "$(out)" "by: .*panbind map v 0x140000 64K tex"
status "log blame of one of many ops" 0 log blame v 0x100000
like "says which" "$(out)" "op 0: map v 0x100000 0x100000 tex --noexec"
status "log blame in JSON" 0 log blame -j v 0x140000
json "has seq and entry" '.blame | .seq, .op, .compacted, .entry.txn_id' $'6\n0\nfalse\nswap-1'
status "log blame of what nobody touched" 1 log blame v 0x4000
status "log blame of no VM" 1 log blame nothing 0
status "log status" 0 log status
like "tells the entries" "$(out)" "entries +1 to 13"
status "log status in JSON" 0 log status -j
json "too" '.log | .first, .last' $'1\n13'
status "log query" 0 log query 'SELECT seq, result FROM entry WHERE seq IN (6, 7) ORDER BY seq'
is "is a table" "$(out)" $'seq  result\n  6       0\n  7     -22'
status "log query in JSON" 0 log query -j 'SELECT count(*) AS n, NULL AS none FROM entry'
json "has rows" '.rows[0] | .n, .none' $'13\nnull'
status "log query may not write" 5 log query 'DELETE FROM entry'
status "what is no SQL" 2 log query 'SELEKT'
status "log verify" 0 log verify --deep
like "finds no problem" "$(out)" "13 entries, .*: 0 problems"

# ---- Follow ----
"$PANBIND" log follow --limit=2 >follow.txt &
follower=$!
(
	sleep 0.2
	while kill -0 $follower 2>/dev/null; do
		"$PANBIND" bo create f 4K
		"$PANBIND" bo destroy f
	done
) &
maker=$!
wait $follower
is "log follow ends after its limit" "$?" 0
is "with two entries" "$(grep -c ' bo [a-z]* f' follow.txt)" 2
wait $maker
status "log follow --since in JSON" 0 log follow -j --since=1 --limit=3
is "is an object a line" "$(jq -r .kind "$TMP/out" | xargs)" "start vm.create bo.create"
status "log follow under -T" 6 log -T 0.3 follow

# ---- Export and import ----
status "log export" 0 log export
cp "$TMP/out" export.jsonl
is "is a line an entry, and one before them" "$(wc -l <export.jsonl)" "$(($(log status -j | jq .log.last) + 1))"
status "log import" 0 log import export.jsonl copy.db
is "says nothing" "$(out)$(err)" ""
ok "the copy's export is the same" cmp -s <(log export --log=copy.db) export.jsonl
status "the copy is in order" 0 log verify --deep --log=copy.db
status "log import onto a file that is there" 1 log import export.jsonl copy.db
like "is refused" "$(err)" "copy.db: .*"
xz -k export.jsonl
status "log import of .xz" 0 log import export.jsonl.xz copy2.db
status "log import from standard input" 0 bash -c '"$0" log import - copy3.db <export.jsonl' "$PANBIND"
sed '7s/"kind":"bind"/"kind":"bond"/' export.jsonl >bad.jsonl
status "a wrong line" 2 log import bad.jsonl bad.db
like "is told with its number" "$(err)" 'bad.jsonl:7: "kind"'
ok "and nothing is made" test ! -e bad.db
sed 5d export.jsonl >bad.jsonl
status "a missing line" 2 log import bad.jsonl bad.db
ok "makes nothing either" test ! -e bad.db
status "something else" 2 log import "$PANBIND_SOCKET.none" bad.db
head -c 1000 /dev/urandom >noise
status "noise" 2 log import noise bad.db

# ---- Compaction: by the daemon, and without it ----
log export --log="$TMP/log.db" >/dev/null
status "log compact, by the daemon" 0 log -v compact --until=6
like "says how far" "$(err)" "up to 6"
status "log show" 0 log show --since=1
like "tells what is folded" "$(err)" "6 older entries are compacted"
status "log blame of a compacted entry" 0 log blame v 0x140000
like "still knows when and who" "$(out)" "^6 .*compacted"
like "and by which command" "$(out)" "^    by: .*panbind"
status "log export of it" 0 log export
cp "$TMP/out" folded.jsonl
is "begins with the state" "$(sed -n 1p folded.jsonl | jq .state_seq)" 6
status "log import of that" 0 log import folded.jsonl folded.db
ok "gives the same again" cmp -s <(log export --log=folded.db) folded.jsonl
status "in order" 0 log verify --deep --log=folded.db
status "log compact --log of the daemon's, by another name" 0 log compact --log="$TMP/../$(basename "$TMP")/log.db" --until=7
status "log compact of another log" 0 log compact --log=copy.db
status "is empty" 0 log status -j --log=copy.db
json "after it" '.log.first > .log.last' true
kill_daemon TERM
status "without the daemon, log show" 0 log show --log="$TMP/log.db" --limit=1
status "log compact" 0 log compact --log="$TMP/log.db"
status "log verify" 0 log verify --log="$TMP/log.db"

done_testing
