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
json "totals" '.result | .transactions, .ops, .units, .atomic_units' $'2\n18\n3\n3'
status "nothing was done" 1 bash -c 'echo "vm show v" >>plan.pb; "$0" -d sim: run <(echo "vm show v")' "$PANBIND"

status "on a driver without atomic updates" 0 "$PANBIND" --json -d sim:atomic=off plan plan.pb
json "nothing is atomic" '.result.atomic_units' 0
script sparse.pb 'vm create v' 'sparse reserve v 0x40000000 16M'
status "a sparse region below 1.9" 0 "$PANBIND" --json -d sim:minor=8 plan sparse.pb
json "takes an op each 2 MiB, and is not atomic" '.transactions[0].units[0] | .driver_ops, .atomic' $'8\nno'
status "from 1.9 on" 0 "$PANBIND" --json -d sim: plan sparse.pb
json "one, and it is" '.transactions[0].units[0] | .driver_ops, .atomic' $'1\nyes'

script wrong.pb 'vm create v' 'bo create b 64K' 'map v 0x10000 128K b'
status "a plan of what cannot be" 1 "$PANBIND" -d sim: plan wrong.pb
like "says why" "$(err)" "wrong.pb:3:"
status "a plan of no script" 2 "$PANBIND" -d sim: plan missing.pb
status "from standard input" 0 "$PANBIND" -d sim: plan - <plan.pb

done_testing
