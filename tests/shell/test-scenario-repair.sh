#!/bin/bash
# SPDX-License-Identifier: MIT
# The example that a person could type: a bad remap in the middle of a day of log, found with blame, undone and verified;
# a lost VM rebuilt while its neighbour is read.
set -u
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

ln -s "$PANBIND" "$TMP/panbind"
start_daemon --device=sim:fault=op=70:ENOMEM
status "the whole day" 0 env PATH="$TMP:$PATH" TMPDIR="$TMP" sh "$SOURCE/examples/repair.sh"
sed 's/^/# /' "$TMP/err" | head -20

# ---- What it showed ----
like "blame names the bad entry, who, and why" "$(out)" \
	"[0-9]+ [0-9-]+ [0-9:.]+ uid=[0-9]+ pid=[0-9]+ map game 0x10050000 0x4000 scratch # quick fix"
like "the undo is an entry that refers to it" "$(out)" "map game 0x10050000 0x4000 atlas.*# undo of entry [0-9]+: wrong page"
is "eight ranges differ from the morning" "$(grep -c '^~ ' "$TMP/out")" 8
like "eight ops lead back to it" "$(err)" "8 ops, recorded as entry"
like "a second time there is nothing to do" "$(err)" "it is so already"
like "the VM was lost" "$(out)" "game +1 +unusable"
like "and is there again, as another one" "$(out)" "game +2 +usable"
like "the rebuild told what it made" "$(out)" "vm game: generation 2, [0-9]+ mappings, [0-9]+ ops"
is "and had nothing to leave out" "$(grep -c lost: "$TMP/out")" 0

# ---- And what the log says of it afterwards ----
status "the log agrees with itself" 0 "$PANBIND" log verify
status "a daemon that is killed" 0 kill_daemon KILL
start_daemon --device=sim: --restore
status "brings the rebuilt VM back" 0 "$PANBIND" diff "@last:game" game
status "and its neighbour" 0 "$PANBIND" diff "@last:movie" movie
kill_daemon TERM
done_testing
