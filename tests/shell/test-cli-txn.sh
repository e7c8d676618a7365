#!/bin/bash
# SPDX-License-Identifier: MIT
# What comes twice under one id, as a shell sees it: scripts of several transactions, whole, failed and cut off.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

start_daemon || exit 1
"$PANBIND" run - <<<$'vm create v --va=1G\nbo create b 1M'
script blocks.pb 'begin' 'map v 0 64K b' 'commit' 'begin' 'bo create c 64K' 'map v 1M 64K c' 'commit'
script fails.pb 'begin' 'map v 2M 64K b' 'commit' 'begin' 'map v 3M 64K none' 'commit'
script waits.pb 'begin' 'map v 4M 64K b' 'commit' 'syncobj create s' 'syncobj wait s --for-submit' 'begin' 'map v 5M 64K b' 'commit'

# ---- Whole ----
status "two transactions under an id" 0 "$PANBIND" run --id=whole blocks.pb
status "again" 0 "$PANBIND" run --id=whole blocks.pb
is "has done nothing more" "$("$PANBIND" -j vm show v | jq ".vm.mappings | length")" 2
status "its entries" 0 "$PANBIND" log show --id=whole
is "are those between its begin and its end" "$(grep -c '\[id whole\]' "$TMP/out")" 5
like "its begin" "$(out)" "a script begins \[id whole\]"
like "its end" "$(out)" "a script ends \[id whole\] # 2 transactions applied: entries 5 to 7"

# ---- Failed ----
status "the second transaction fails" 4 "$PANBIND" run --id=failed fails.pb
like "and says where" "$(err)" "fails.pb:5:"
status "again" 4 "$PANBIND" run --id=failed fails.pb
like "it says that too" "$(err)" "fails.pb:5:"
is "and what stays" "$("$PANBIND" rpc txn.status '{"txn_id":"failed"}' | jq -c '[.interrupted,.outcome,.transactions,.error.line]')" \
	'[false,"partial",1,5]'

# ---- Gone on after failures ----
script some.pb 'map v 1 4K b' 'map v 8M 4K b'
script none.pb 'map v 1 4K b' 'unmap v 1 4K'
for i in 1 2; do
	status "some commands fail ($i)" 4 "$PANBIND" run -k --id=some some.pb
	like "it says which" "$(err)" "some.pb:1:"
	status "all of them fail ($i)" 1 "$PANBIND" run -k --id=none none.pb
done

# ---- Cut off ----
"$PANBIND" run --id=cut waits.pb 2>/dev/null &
run=$!
until [ "$("$PANBIND" rpc journal.status | jq .last)" -ge 22 ]; do sleep 0.05; done
kill_daemon
wait $run
is "whoever waited knows that it is not known" $? 4
start_daemon --restore || exit 1
status "under its id" 4 "$PANBIND" run --id=cut waits.pb
like "it is not run again" "$(err)" "interrupted, and is not run again: 1 of its transactions"
is "but what it did is there" "$("$PANBIND" -j vm show v | jq ".vm.mappings | length")" 5
status "in JSON" 4 "$PANBIND" -j run --id=cut waits.pb
json "the entries" '.error.kept | .first == .last' true
status "an id for the rest" 0 "$PANBIND" run --id=rest - <<<'map v 5M 64K b'

# ---- The log elsewhere ----
status "log verify" 0 "$PANBIND" log verify
"$PANBIND" log export >export.jsonl
status "a copy" 0 "$PANBIND" log import export.jsonl copy.db
ok "says the same" cmp -s <("$PANBIND" log export --log=copy.db) export.jsonl
is "and remembers the same" "$(sqlite3 -readonly copy.db "SELECT group_concat(id || ' ' || transactions || ' ' || ifnull(open, 0), ',') FROM txn WHERE transactions")" \
	"cut 1 1,failed 1 0,some 1 0,whole 2 0"
status "log replay of it" 0 "$PANBIND" -d sim: replay --verify copy.db
status "a benchmark of it" 0 "$PANBIND" -j -d sim: replay --bench=1 copy.db
json "leaves out what failed, once" .bench.left_out 4

done_testing
