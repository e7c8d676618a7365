#!/bin/sh
# SPDX-License-Identifier: MIT
# A bad day, and its repair: what a person would type against a running panbindd.
#
# Somebody remaps the wrong page in the middle of a day. It is found with blame, undone, and what is left is compared
# with what should be. Then a GPU VM is lost for good, and rebuilt while the one beside it is being read.
#
#   panbindd --foreground --device=sim:fault=op=70:ENOMEM &
#   sh examples/repair.sh
#
# The fault makes the first bind of more than seventy ops fail while it runs; when it is asynchronous, that costs its VM.
set -eu

# last_seq: the number of the log's last entry.
last_seq() {
	panbind -j log show | sed 's/.*"seq":\([0-9]*\).*/\1/'
}

echo "== The morning: two VMs, one texture each, and a few hundred page swaps"
panbind vm ensure game
panbind vm ensure movie
panbind bo ensure atlas 1M
panbind bo ensure frames 1M
panbind bo ensure scratch 64K
panbind run -q - <<'SCRIPT'
sparse reserve game 0x1000_0000 4M
repeat 64 i
  sparse bind game $(0x1000_0000 + i * 16K) 16K atlas+$(i * 16K)
end
map movie 0x2000_0000 1M frames
bo stamp frames
SCRIPT
panbind run -q -k - <<'SCRIPT'
seed 7
repeat 200
  sparse bind game $(0x1000_0000 + rand(64) * 16K) 16K atlas+$(rand(64) * 16K)
end
SCRIPT
good=$(last_seq)
panbind dump game >"${TMPDIR:-/tmp}/good-$$.pb"
trap 'rm -f "${TMPDIR:-/tmp}/good-$$.pb"' EXIT

echo "== Noon: somebody maps the wrong page, and the day goes on"
panbind map game 0x1005_0000 16K scratch --comment="quick fix, will tidy up later"
panbind run -q -k - <<'SCRIPT'
repeat 100 i
  sparse bind game $(0x1008_0000 + i % 8 * 16K) 16K atlas+$(i % 64 * 16K)
end
SCRIPT

echo "== The afternoon: the picture is wrong at 0x10051000. Who was it?"
panbind log blame game 0x10051000
bad=$(panbind -j log blame game 0x10051000 | sed 's/.*"blame":{"seq":\([0-9]*\).*/\1/')

echo "== What would undoing entry $bad do? No later entry is in its way:"
panbind undo -n "$bad"
panbind undo "$bad" --comment="wrong page"

panbind log show --since="$(last_seq)"

echo "== Where the bad entry was, nothing differs any more from what was there before it"
panbind log diff "$((bad - 1))" last game | grep "0x10050000" && exit 1

echo "== One more look: back to the morning's dump, in as few ops as it takes; a second time there is nothing to do"
panbind diff "${TMPDIR:-/tmp}/good-$$.pb" game || true
panbind -v apply --to-state "${TMPDIR:-/tmp}/good-$$.pb" game
panbind -v apply --to-state "${TMPDIR:-/tmp}/good-$$.pb" game
panbind diff "@$good:game" game

echo "== The evening: the GPU reads the movie, and an asynchronous bind of the game fails"
panbind run -q - <<'SCRIPT'
gpu resident movie on
gpu read movie 0x2000_0000 1M --threads=2
SCRIPT
panbind run -q - <<'SCRIPT'
syncobj create done
begin async
  repeat 79 i
    map game $(0x3000_0000 + i * 64K) 16K atlas
  end
  map game 0x3100_0000 16K atlas --signal=done
commit
syncobj wait done
SCRIPT
panbind vm list
panbind map game 0x4000_0000 16K atlas || echo "the driver gave the VM up: nothing can be mapped in it any more"

echo "== A new VM takes its place, with the same mapping; the movie goes on"
before=$(last_seq)
panbind vm rebuild game
panbind diff "@$before:game" game
panbind map game 0x4000_0000 16K atlas
panbind map movie 0x2100_0000 16K frames
panbind vm list
panbind run -q - <<'SCRIPT'
gpu stop movie
assert faults movie 0
assert torn movie 0
assert state game usable
assert mapped game 0x3100_0000 16K atlas
SCRIPT
echo "== Done"
