#!/bin/bash
# SPDX-License-Identifier: MIT
# --fenced: all ops of a script, a call or a state in one asynchronous VM_BIND, what is promised of it, and what is said
# and recorded when it is refused or fails in the middle; and what `vm verify` then finds.
set -u
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

script make.pb 'vm create v' 'vm create w' 'bo create b 1M' 'syncobj create go --signaled' 'syncobj create done'
script remap.pb 'map v 0 4K b' 'map v 1M 4K b+4K' 'map v 2M 4K b'
{
	cat make.pb remap.pb
	echo 'assert mapped v 1M 4K b+4K'
} >whole.pb

# ---- In this process ----
status "a whole script is fenced" 0 "$PANBIND" -d sim: run --fenced --wait=go --signal=done whole.pb
status "its plan" 0 "$PANBIND" -j -d sim: plan --fenced --wait=go whole.pb
json "says what is promised, and of how many units" '.transactions[0] | .guarantee, (.units | length)' $'fenced\n3'
status "without the option" 0 "$PANBIND" -j -d sim: plan whole.pb
json "less is" '.transactions[0].guarantee' return
script one.pb 'vm create v' 'bo create b 1M' 'map v 0 4K b' 'map v 4K 4K b+4K'
status "neighbours that are one unit" 0 "$PANBIND" -j -d sim: plan --fenced one.pb
json "are atomic for every access" '.transactions[0].guarantee' access
status "refused at entry: nothing is applied" 1 "$PANBIND" -j -d sim:fault=VM_BIND#1=ENOMEM run --fenced whole.pb
json "and it says so" '.errors[0] | .outcome, .stage' $'rolled-back\nsubmit'
status "failed in the middle: unknown" 4 "$PANBIND" -j -d sim:fault=op=1:ENOMEM run --fenced whole.pb
json "and it says so" '.errors[0] | .outcome, .stage, .name' $'unknown\ncomplete\nEIO'
status "a syncobj that is not there" 1 "$PANBIND" -d sim: run --fenced --wait=nope whole.pb
like "is named" "$(err)" "there is no syncobj nope"
status "a wait without a fence" 2 "$PANBIND" -d sim: run --wait=go whole.pb
like "is a mistake" "$(err)" "--wait and --signal belong to --fenced"
status "no name" 2 "$PANBIND" -d sim: run --fenced --signal=a:b whole.pb
script two.pb 'vm create v' 'vm create w' 'bo create b 1M' 'map v 0 4K b' 'map w 0 4K b'
status "ops of two VMs" 2 "$PANBIND" -d sim: run --fenced two.pb
like "are no single bind, and the place is shown" "$(err)" "two.pb:5:1: .*one VM_BIND of one VM"

# ---- In the daemon ----
start_daemon --device=sim:fault=VM_BIND#6:op=1:ENOMEM
status "objects" 0 "$PANBIND" run make.pb
status "a script, fenced, under an id" 0 "$PANBIND" run --fenced --wait=go --signal=done:3 --id=first remap.pb
status "again" 0 "$PANBIND" run --fenced --wait=go --signal=done:3 --id=first remap.pb
status "the log" 0 "$PANBIND" log show
is "has it once" "$(grep -c 'map v 0x200000' "$TMP/out")" 1
like "with its wait" "$(out)" "map v 0x0 0x1000 b.*wait=go"
like "and its signal" "$(out)" "map v 0x200000 0x1000 b.*signal=done:3"
script after.pb 'syncobj wait done:3' 'assert point done 3'
status "the point is signalled" 0 "$PANBIND" run after.pb
status "one op" 0 "$PANBIND" map --fenced --wait=done:3 v 4M 64K b
status "and back" 0 "$PANBIND" unmap --fenced v 4M 64K
status "an option that is not for it" 2 "$PANBIND" map --wait=go v 4M 64K b
status "several ops of one call" 0 "$PANBIND" -j rpc txn.run \
	'{"vm":"v","fenced":true,"ops":[{"op":"map","va":"0x800000","size":4096,"bo":"b"},{"op":"unmap","va":"0x0","size":4096}]}'
json "are applied, and nothing else is told" '.result | .outcome, .ops, has("output")' $'applied\n2\nfalse'
status "ops of two VMs in one call" 1 "$PANBIND" -j rpc txn.run \
	'{"fenced":true,"ops":[{"op":"unmap","vm":"v","va":0,"size":4096},{"op":"unmap","vm":"w","va":0,"size":4096}]}'
json "are refused, with the op" '.errors[0].pointer' /params/ops/1
status "a state" 0 "$PANBIND" apply --fenced --to-state=v w
status "is reached" 0 "$PANBIND" diff v w
status "a plan there" 0 "$PANBIND" -j plan --fenced --signal=done remap.pb
json "promises as much" '.transactions[0].guarantee' fenced

# A failure in the middle: the answer, the log and the VM say the same.
script other.pb 'map v 0x3000 4K b+8K' 'map v 1M 4K b+8K' 'unmap v 2M 4K'
status "a bind that fails while it runs" 4 "$PANBIND" -j run --fenced --id=second other.pb
json "is unknown" '.errors[0] | .name, .stage, .outcome' $'EIO\ncomplete\nunknown'
status "the same id again" 4 "$PANBIND" -j run --fenced --id=second other.pb
json "gives the same answer" '.errors[0] | .name, .stage, .outcome' $'EIO\ncomplete\nunknown'
# ---- And the driver's own truth ----
status "a VM that is as the driver has it" 0 "$PANBIND" -v vm verify w
like "is said to be so" "$(err)" "w is as the driver has it .pages"
status "the lost one" 1 "$PANBIND" vm verify v
like "lacks what was not bound" "$(out)" "0x100000 0x1000  shadow: b.0x2000  driver: b.0x1000"
status "in JSON" 1 "$PANBIND" -j vm verify v
json "with a verdict" '.result | .verdict, .source' $'different\npages'
status "a VM that is not there" 1 "$PANBIND" vm verify nope
status "the VM" 0 "$PANBIND" -j vm show v
json "is lost" '.vm.state' unusable
status "the log" 0 "$PANBIND" -j log show
json "has the failure, and the loss behind it" '[.entries[] | select(.outcome == "unknown" or .kind == "vm.lost") | .kind] | join(" ")' \
	"bind vm.lost"
status "it is rebuilt as the log has it" 0 "$PANBIND" vm rebuild v --from=log
status "and maps what it did before" 0 "$PANBIND" diff v w
status "and takes the remap" 0 "$PANBIND" run --fenced other.pb
status "as the driver does" 0 "$PANBIND" vm verify v
status "the log is right" 0 "$PANBIND" log verify
kill_daemon TERM
done_testing
