#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind(1) tells the truth: its examples run, and it knows every command, option and variable.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"
start_daemon || exit 1
MAN=$SOURCE/man/panbind.1
mkdir bin
ln -s "$PANBIND" bin/panbind
PATH=$TMP/bin:$PATH
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 # a preloaded library comes before it
cp "$SOURCE/tests/data/traces/panvk-small.jsonl" .

ok "the page is right roff" bash -c '[ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$0" 2>&1 >/dev/null)" ]' "$MAN"

# The examples: each line behind "$ ", with what is continued by a backslash, as a person would type it.
MANWIDTH=160 man -E UTF-8 -l "$MAN" 2>/dev/null | col -bx >page.txt
sed -n '/^EXAMPLES/,/^SEE ALSO/p' page.txt | awk '/^ +\$ / { sub(/^ +\$ /, ""); on = 1 } on { print; on = /\\$/; if (!on) print "" }' |
	awk 'BEGIN { RS = "" } { print > sprintf("example-%02d", NR) }'
examples=0
for example in example-*; do
	examples=$((examples + 1))
	status "example: $(head -n 1 "$example")" 0 bash -e -o pipefail "$example"
done
ok "there are examples" [ "$examples" -ge 12 ]

for verb in $("$PANBIND" --help | sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p'); do
	ok "the page has the command $verb" grep -qE "^\.(SS|BR?|SY|B) .*\b$verb\b" "$MAN"
done
for verb in '' devices info run plan dump import record sim vm bo map unmap sparse monitor rpc log 'log show' 'log follow' 'log blame' \
	'log status' 'log verify' 'log compact' 'log query' 'log export' 'log import' replay; do
	# shellcheck disable=SC2086
	for option in $("$PANBIND" $verb --help | grep -oE -- '--[a-z-]+' | sort -u); do
		ok "the page has ${verb:-panbind}'s $option" grep -qF -- "$option" page.txt
	done
done
"$PANBIND" --help >help.txt
for option in $(sed -n '/^OPTIONS/,/^COMMANDS/p' page.txt | grep -oE -- '--[a-z-]+' | sort -u); do
	ok "--help has the page's $option" grep -qF -- "$option" help.txt
done
for sub in $("$PANBIND" log --help | sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p'); do
	ok "the page has the command log $sub" grep -qE "^\.BR? .*log .*\b$sub\b" "$MAN"
done
for option in minor kernel va-bits as-slots atomic name fault; do
	ok "the page has sim:$option" grep -qE "^ +$option=" page.txt
done

done_testing
