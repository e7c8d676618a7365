#!/bin/bash
# SPDX-License-Identifier: MIT
# bash completion of panbind(1): whatever the program has, and nothing else, is completed.
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=packaging/completions/panbind
. "$SOURCE/packaging/completions/panbind"
complete_words() {
	COMP_WORDS=(panbind "$@") COMP_CWORD=$# COMPREPLY=()
	compopt() { :; }
	_panbind "$PANBIND"
	echo "${COMPREPLY[*]}"
}

# The command table, as the source has it.
verbs=$(sed -n '/^const struct cmd_verb cmd_verbs/,/^};/s/^	{"\([a-z]*\)".*/\1/p' "$SOURCE/cmd/main.c" | xargs)
ok "there are verbs" test "$(wc -w <<<"$verbs")" -gt 15
is "all verbs are offered, in their order" "$(complete_words '')" "$verbs"
for verb in vm bo sparse; do
	is "all actions of $verb" "$(complete_words "$verb" '')" \
		"$(sed -nE "s/^	\{\"$verb\", \"([a-z]+)\".*/\1/p" "$SOURCE/cmd/order_table.c" | xargs)"
done
is "all actions of log" "$(complete_words log '')" "$("$PANBIND" log --help | sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p' | xargs)"
is "a verb" "$(complete_words mon)" monitor
is "an option of one" "$(complete_words run --fen)" --fenced
is "one that takes a value" "$(complete_words run --wai)" --wait=
is "an option of all, behind a device" "$(complete_words -d sim: plan --col)" --color=
is "a device" "$(complete_words -d s)" sim:
script here.pb 'echo here'
is "a script" "$(complete_words run he)" here.pb
start_daemon
"$PANBIND" vm create game
"$PANBIND" vm create movie
"$PANBIND" bo create pool 64K
is "a VM of the daemon" "$(complete_words vm show ga)" game
is "VMs where a VM stands" "$(complete_words map '')" "game movie"
is "BOs where a BO stands" "$(complete_words map game 0 4K '')" pool
is "nothing for a name that is new" "$(complete_words vm create g)" ""
kill_daemon TERM
is "and no name without a daemon" "$(complete_words vm show ga)" ""
done_testing
