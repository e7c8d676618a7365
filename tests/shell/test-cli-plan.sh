#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind plan: ops, merged neighbours, lock regions, and what is atomic for the GPU.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"

# Sixteen neighbours that are one; a remap of two pages in the middle; an unmap across a large power-of-two border.
script plan.pb 'begin' 'vm create v' 'bo create atlas 1M' 'bo create page 8K' 'commit' \
	'begin' 'repeat 16 i' 'map v $(0x100000 + i * 64K) 64K atlas+$(i * 64K) --noexec' 'end' 'commit' \
	'begin' 'map v 0x141000 8K page' 'unmap v 0x1ff000 8K' 'commit'
status "a plan" 0 "$PANBIND" -d sim: plan plan.pb
golden "as a table" cli-plan.txt "$TMP/out"
status "the same in JSON" 0 "$PANBIND" --json -d sim: plan plan.pb
json "sixteen ops are one" '.transactions[0].units | length, (.[0] | .first, .count, .va, .size, .bo)' \
	$'1\n0\n16\n0x100000\n0x100000\natlas'
json "a remap replaces one mapping" '.transactions[1].units[0] | .replaces, .lock_va, .lock_size' $'1\n0x140000\n0x8000'
json "an op across a border locks wide" '.transactions[1].units[1] | .lock_va, .lock_size' $'0x0\n0x400000'
json "which stalls what lives beside it" '.transactions[1].units[1] | .neighbours, .neighbour_bytes, .neighbour_list[1].bo' \
	$'3\n0xff000\npage'
json "and would be undone" '.transactions[1].units[0].inverse[] | .op, .va, .size, .bo, .offset, .flags[0]' \
	$'map\n0x141000\n0x2000\natlas\n0x41000\nnoexec'
json "what is promised of each" '.transactions[].guarantee' $'access\nreturn'
json "totals" '.result | .transactions, .ops, .units, .atomic_units, .page_tables, .page_table_kib' $'2\n18\n3\n3\n8\n32'
status "nothing was done" 1 bash -c 'echo "vm show v" >>plan.pb; "$0" -d sim: run <(echo "vm show v")' "$PANBIND"

status "on a driver without atomic updates" 0 "$PANBIND" --json -d sim:atomic=off plan plan.pb
json "nothing is atomic" '.result.atomic_units' 0
script sparse.pb 'vm create v' 'sparse reserve v 0x40000000 16M'
status "a sparse region below 1.9" 0 "$PANBIND" --json -d sim:minor=8 plan sparse.pb
json "takes an op each 2 MiB, and is not atomic" '.transactions[0].units[0] | .driver_ops, .atomic' $'8\nno'
status "from 1.9 on" 0 "$PANBIND" --json -d sim: plan sparse.pb
json "one, and it is" '.transactions[0].units[0] | .driver_ops, .atomic' $'1\nyes'

# Ops that are overwritten, merged from afar, and in the way of each other.
script merge.pb 'begin' 'vm create v' 'bo create b 64M' 'map v 4M 4M b' 'commit' \
	'begin' 'unmap v 0x500000 64K' 'map v 0x510000 4K b+0x10000' 'map v 0x500000 64K b' 'commit' \
	'begin async' 'map v 0x700000 4K b' 'map v 0x701000 4K b+4K' 'commit'
status "a plan with ops that are overwritten" 0 "$PANBIND" -d sim: plan --stalls --undo merge.pb
golden "in full" cli-plan-merge.txt "$TMP/out"
status "and in JSON" 0 "$PANBIND" --json -d sim: plan merge.pb
json "the unmap is gone, the maps are one" '.transactions[1] | .ops, .dropped, (.units | length), .units[0].first, .units[0].last, .units[0].count, .units[0].splits' \
	$'3\n1\n1\n1\n2\n2\n1'

script wrong.pb 'vm create v' 'bo create b 64K' 'map v 0x10000 128K b'
status "a plan of what cannot be" 1 "$PANBIND" -d sim: plan wrong.pb
like "says why" "$(err)" "wrong.pb:3:"
status "a plan of no script" 2 "$PANBIND" -d sim: plan missing.pb
status "from standard input" 0 "$PANBIND" -d sim: plan - <plan.pb

done_testing
