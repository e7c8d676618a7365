#!/bin/bash
# SPDX-License-Identifier: MIT
# The README tells the truth: its commands exist, its script runs as printed, its links lead somewhere.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
readme=$SOURCE/README.md

mapfile -t commands < <(sed -nE '/^```sh/,/^```/s/^(\.\/[^ ]+).*/\1/p' "$readme" | head -n 2)
is "the first block has two commands" "${commands[*]}" "./quickstart ./tests/run"
for command in "${commands[@]}"; do
	ok "$command can be run" test -x "$SOURCE/$command"
done

sed -n '/<<.SCRIPT/,/^SCRIPT$/p' "$readme" >"$TMP/example.sh"
ok "there is a script in it" grep -q "^vm create" "$TMP/example.sh"
mkdir "$TMP/bin"
ln -s "$PANBIND" "$TMP/bin/panbind"
status "the script runs as it is printed" 0 env PATH="$TMP/bin:$PATH" bash "$TMP/example.sh"
like "and shows the VA space" "$(cat "$TMP/out")" "vm tex: 64 KiB of 1 BO"
status "the interrupted bind of the README is resumed" 0 \
	"$PANBIND" -d 'sim:minor=2,fault=VM_BIND#3=EINTR' run "$SOURCE/examples/defrag.pb"

sed -n '/^panbindd --device/,/^```/p' "$readme" | grep -v '^```' >"$TMP/daemon.sh"
ok "there is a daemon in it" grep -q "^panbind replay" "$TMP/daemon.sh"
ln -s "$BUILD/daemon/panbindd" "$TMP/bin/panbindd"
{
	sed 1q "$TMP/daemon.sh"
	echo 'for i in $(seq 50); do panbind -q rpc rpc.ping >/dev/null 2>&1 && break; sleep 0.1; done'
	sed 1d "$TMP/daemon.sh"
	echo 'kill %1; wait'
} >"$TMP/daemon-test.sh"
mkdir "$TMP/run"
status "the daemon's commands run as they are printed" 0 env HOME="$TMP/run" \
	PANBIND_SOCKET="$TMP/run/s" PATH="$TMP/bin:$PATH" bash -e "$TMP/daemon-test.sh"
like "and the log knows who did it" "$(cat "$TMP/out")" "first light"
like "and the replay is the same" "$(cat "$TMP/out" "$TMP/err")" "0 differences"

sed -n '/^panbind -d sim: record/,/^```/p' "$readme" | grep -v '^```' >"$TMP/record.sh"
ok "there is a recording in it" grep -q "^panbind log show" "$TMP/record.sh"
status "the recording's commands run as they are printed" 0 env PATH="$TMP/bin:$PATH" \
	ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" bash -c 'cd "$0" && bash -e record.sh' "$TMP"
like "and its log has the bind" "$(cat "$TMP/out")" "map vm1 0x10000 0x10000 bo1"
like "and its replay is the same" "$(cat "$TMP/out" "$TMP/err")" "0 differences"

for file in README.md CONTRIBUTING.md; do
	for link in $(grep -oE '\]\([^)#]+\)' "$SOURCE/$file" | tr -d '])(' | grep -v '^https\?:'); do
		ok "$file: $link exists" test -e "$SOURCE/$link"
	done
done
for room in $(sed -n '/^## Rooms/,/^## Who/p' "$SOURCE/CONTRIBUTING.md" | grep -oE '\b(lib|tests|cmd|man|examples|tools|include)/[a-z0-9_./-]*'); do
	ok "CONTRIBUTING.md: $room exists" test -e "$SOURCE/$room"
done
done_testing
