#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind diff, apply, undo, ensure, --if-generation, log state, log diff, vm rebuild.
set -u
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

start_daemon --device=a=sim: --device=b=sim: --log="$TMP/%n.db"
generation() {
	"$PANBIND" -j vm show "$1" | jq .vm.map_generation
}
last_seq() {
	"$PANBIND" -j log show | jq '.entries[-1].seq'
}

# ---- ensure, and destroy of what may be missing ----
status "vm ensure" 0 "$PANBIND" vm ensure v --va=4G
status "again" 0 "$PANBIND" -v vm ensure v --va=4G
like "does nothing" "$(err)" "it is so already"
status "bo ensure" 0 "$PANBIND" bo ensure tex 1M
status "again" 0 "$PANBIND" bo ensure tex 1M
status "of another size" 1 "$PANBIND" bo ensure tex 2M
like "is refused" "$(err)" "EEXIST"
status "bo ensure of a second" 0 "$PANBIND" bo ensure page 64K
status "ensure maps" 0 "$PANBIND" -v ensure v 0x100000 64K tex --readonly
like "and records it" "$(err)" "recorded as entry [0-9]+"
seq=$(last_seq)
status "ensure of a piece that is mapped so" 0 "$PANBIND" -v ensure v 0x104000 16K tex+16K --readonly
like "does nothing" "$(err)" "it is so already"
is "and records nothing" "$(last_seq)" "$seq"
status "vm destroy of none" 1 "$PANBIND" vm destroy nobody
status "with --missing-ok" 0 "$PANBIND" vm destroy --missing-ok nobody

# ---- if-generation ----
seen=$(generation v)
is "the mapping's generation is the entry that changed it last" "$seen" "$seq"
status "vm list" 0 "$PANBIND" vm list
like "shows it" "$(out)" "v +1 +usable +.* +1 +$seen"
status "a change of what was seen" 0 "$PANBIND" map v 0x200000 4K page --if-generation="$seen"
status "a change of what somebody has changed since" 1 "$PANBIND" map v 0x201000 4K page --if-generation="$seen"
like "is refused by name" "$(err)" "has changed: it is of generation [0-9]+, not $seen \[ESTALE"
status "so is a destruction" 1 "$PANBIND" vm destroy v --if-generation="$seen"
status "a script can ask too" 1 "$PANBIND" run - <<<"if-generation v $seen
unmap v 0x200000 4K"
like "at its line" "$(err)" "<stdin>:1:1: error: the mapping of v has changed"
status "and is let through" 0 "$PANBIND" run - <<<"if-generation v $(generation v)
unmap v 0x200000 4K"
seen=$(generation v)
status "a call that fails" 1 "$PANBIND" map v 0x200000 128K page
is "changes no generation" "$(generation v)" "$seen"

# ---- diff ----
before=$(last_seq)
"$PANBIND" dump v >"$TMP/before.pb"
status "a VM and its dump" 0 "$PANBIND" diff v "$TMP/before.pb"
is "do not differ" "$(out)" ""
"$PANBIND" map v 0x104000 16K page
"$PANBIND" unmap v 0x10c000 4K
"$PANBIND" sparse reserve v 0x400000 64K
"$PANBIND" map v 0x300000 8K tex+32K --noexec
status "after some changes" 1 "$PANBIND" diff "$TMP/before.pb" v
golden "they are told" cli-diff.txt "$TMP/out"
status "the log at that moment" 1 "$PANBIND" diff "@$before:v" v
golden "says the same" cli-diff.txt "$TMP/out"
status "so does log diff" 1 "$PANBIND" log diff "$before" last v
golden "for itself" cli-diff.txt "$TMP/out"
status "and the log's file" 1 "$PANBIND" diff "$TMP/a.db@$before:v" "$TMP/a.db@last:v"
golden "without a daemon" cli-diff.txt "$TMP/out"
status "log state is a script" 0 "$PANBIND" log state --at="$before" v
cp "$TMP/out" "$TMP/state.pb"
status "that makes what was there" 0 "$PANBIND" diff "$TMP/state.pb" "@$before:v"
status "JSON" 1 "$PANBIND" -j diff "$TMP/before.pb" v
json "counts" '"\(.same) \(.count) \(.ops) \(.status)"' "false 5 4 1"
json "has sides" '.differences[0] | "\(.change) \(.type) \(.va) \(.size) \(.from.bo) \(.to.bo) \(.to.bo_offset)"' \
	"~ range 0x104000 0x4000 tex page 0x0"
status "standard input" 0 "$PANBIND" diff - v < <("$PANBIND" dump v)
status "a VM that is not there" 2 "$PANBIND" diff b:v v
like "is trouble, not a difference" "$(err)" "there is no VM v"
"$PANBIND" --gpu=b vm create v
status "the other device's VM" 1 "$PANBIND" diff v b:v
status "a script with several VMs" 2 "$PANBIND" diff - v <<<"vm create x; vm create y"
like "asks which" "$(err)" "several VMs"
echo "vm create x; vm create y" >"$TMP/two.pb"
status "which is said behind a colon" 0 "$PANBIND" diff "$TMP/two.pb:x" "$TMP/two.pb:y"
status "a word that is none" 2 "$PANBIND" diff v @x:v
status "a moment that is not yet" 2 "$PANBIND" diff v @99999:v

# ---- apply ----
"$PANBIND" dump v >"$TMP/after.pb"
status "a dry run" 0 "$PANBIND" apply -n --to-state="$TMP/before.pb" v
is "prints as few ops as it takes" "$(grep -c . "$TMP/out")" 4
status "changes nothing" 0 "$PANBIND" diff v "$TMP/after.pb"
seq=$(last_seq)
status "apply" 0 "$PANBIND" -v apply --to-state="$TMP/before.pb" v
like "is one entry" "$(err)" "4 ops, recorded as entry $((seq + 1))"
status "gets there" 0 "$PANBIND" diff v "$TMP/before.pb"
status "twice" 0 "$PANBIND" -v apply --to-state="$TMP/before.pb" v
like "does nothing" "$(err)" "it is so already"
is "and records nothing" "$(last_seq)" "$((seq + 1))"
status "to the log at a moment" 0 "$PANBIND" apply --to-state="@$seq:v" v
status "is what was there" 0 "$PANBIND" diff v "$TMP/after.pb"
status "a VM of another device becomes the same" 0 "$PANBIND" --gpu=b apply --to-state="$TMP/after.pb" v
status "with BOs of its own" 0 "$PANBIND" diff v b:v
status "what was seen is gone" 1 "$PANBIND" apply --to-state="$TMP/before.pb" --if-generation=1 v
like "says so" "$(err)" "ESTALE"
status "no VM" 1 "$PANBIND" apply --to-state="$TMP/before.pb" nobody
status "in this process" 0 "$PANBIND" -d sim: -v apply -f "$TMP/after.pb" --to-state="$TMP/before.pb" v
like "counts too" "$(err)" "4 ops"
status "from nothing" 0 "$PANBIND" -d sim: -v apply -f - --to-state="$TMP/after.pb" v <<<"vm create v"

# ---- undo ----
"$PANBIND" map v 0x500000 8K tex
"$PANBIND" dump v >"$TMP/before.pb"
"$PANBIND" map v 0x500000 8K page
one=$(last_seq)
"$PANBIND" map v 0x600000 8K page
status "undo, looked at" 0 "$PANBIND" undo -n "$one"
is "is the inverse" "$(out)" "map v 0x500000 0x2000 tex+0x0"
status "undo" 0 "$PANBIND" -v undo "$one" --comment="no good"
like "is an entry" "$(err)" "1 op, recorded as entry $((one + 2))"
is "that names the other" "$("$PANBIND" -j log show | jq -r '.entries[-1].comment')" "undo of entry $one: no good"
status "undone twice" 1 "$PANBIND" undo "$one"
like "is refused, naming what stands against it" "$(err)" "entry $((one + 2)) has touched its range since"
status "the undo undone" 0 "$PANBIND" undo $((one + 2))
status "the other entry is still there" 0 "$PANBIND" run - <<<"assert mapped v 0x600000 8K page
assert mapped v 0x500000 8K page"
status "by force" 0 "$PANBIND" undo --force "$one"
is "the plan is shown" "$(out)" "map v 0x500000 0x2000 tex+0x0"
"$PANBIND" undo $((one + 1))
status "all is as it was" 0 "$PANBIND" diff v "$TMP/before.pb"
status "an entry that is no bind" 1 "$PANBIND" undo 2
like "says why not" "$(err)" "it is no bind"
status "an entry that is not there" 1 "$PANBIND" undo 99999
"$PANBIND" bo create brief 64K
"$PANBIND" map v 0x700000 8K brief
"$PANBIND" unmap v 0x700000 8K
two=$(last_seq)
"$PANBIND" bo destroy brief
status "what was there is gone" 1 "$PANBIND" undo "$two"
like "with its BO" "$(err)" "maps the BO brief, and there is none of that name"
status "by force the rest is put back" 4 "$PANBIND" undo --force "$two"
like "and what is not is told" "$(err)" "stays as it is: .*brief"

# ---- rebuild ----
status "a usable VM" 1 "$PANBIND" vm rebuild v
like "is left alone" "$(err)" "the VM is usable"
"$PANBIND" bo create own 64K --vm=v
"$PANBIND" map v 0x800000 64K own
"$PANBIND" dump v >"$TMP/before.pb"
status "unless it must be" 4 "$PANBIND" vm rebuild --force v
like "it is another one of the name" "$(out)" "vm v: generation 2, [0-9]+ mappings, [0-9]+ ops"
like "what cannot be brought back is told" "$(out)" "lost: 0x800000 0x10000 own\+0x0: the BO belongs to the old VM alone"
status "nothing else differs" 1 "$PANBIND" diff "$TMP/before.pb" v
is "but that" "$(grep -c '^[-+~] ' "$TMP/out")" 1
status "from the log" 0 "$PANBIND" vm rebuild --force --from=log v
status "the log knows it" 0 "$PANBIND" diff @last:v v
status "undo of what was before it" 1 "$PANBIND" undo "$one"
like "is about another VM" "$(err)" "another one by now"
# How far one is: seen by whoever looks while it goes on, at the latest in the tenth.
status "a large VM" 0 "$PANBIND" run - <<<$'vm create big\nbo create pixel 4K\nrepeat 60000 i\nmap big $(i * 8K) 4K pixel\nend'
see_rebuild() {
	local rebuild seen=1
	"$PANBIND" vm rebuild --force big >/dev/null &
	rebuild=$!
	while [ $seen -ne 0 ] && kill -0 $rebuild 2>/dev/null; do
		"$PANBIND" vm list | grep -qE 'big .* [0-9]+% rebuilt'
		seen=$?
	done
	wait $rebuild
	return $seen
}
tries=0
until see_rebuild || [ $((++tries)) -eq 10 ]; do :; done
ok "a rebuild that goes on is told" [ $tries -lt 10 ]
kill_daemon TERM
done_testing
