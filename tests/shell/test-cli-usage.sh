#!/bin/bash
# SPDX-License-Identifier: MIT
# The command line itself: help, options, what is no command, and an output that cannot be written.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"

status "--help succeeds" 0 "$PANBIND" --help
like "--help says what it is" "$(out)" "^Change GPU page tables"
verbs='devices info run plan dump import sim help vm bo map unmap sparse monitor rpc log replay'
for verb in $verbs; do
	like "--help lists $verb" "$(out)" "^  $verb +[a-z]"
done
like "--help has the exit statuses" "$(tr '\n' ' ' <"$TMP/out")" "0 done; 1 failed, nothing applied; 2 usage .* 6 timed out"
status "help without a command is the same text" 0 "$PANBIND" help
cp "$TMP/out" "$TMP/help"
status "--help again" 0 "$PANBIND" --help
ok "the same text" cmp -s "$TMP/out" "$TMP/help"

for verb in $verbs; do
	status "$verb --help succeeds" 0 "$PANBIND" "$verb" --help
	like "$verb --help has its name" "$(out)" "^Usage: panbind $verb "
	like "$verb --help has the common options" "$(out)" "-T, --timeout=SECS"
	cp "$TMP/out" "$TMP/help"
	status "help $verb succeeds" 0 "$PANBIND" help "$verb"
	ok "help $verb is the same text" cmp -s "$TMP/out" "$TMP/help"
	status "$verb -h succeeds" 0 "$PANBIND" "$verb" -h
done

for sub in show follow blame status verify compact query export import; do
	like "log --help lists $sub" "$("$PANBIND" log --help)" "^  $sub +[a-z]"
	status "log $sub --help succeeds" 0 "$PANBIND" log "$sub" --help
	like "log $sub --help has its name" "$(out)" "^Usage: panbind log $sub "
done

status "--version succeeds" 0 "$PANBIND" --version
like "--version has a number" "$(out)" "^panbind [0-9]+\.[0-9]+\.[0-9]+$"

status "no command is a usage error" 2 "$PANBIND"
like "and says so" "$(err)" "no command given"
status "an unknown command is a usage error" 2 "$PANBIND" frobnicate
like "and names it" "$(err)" "there is no command 'frobnicate'"
status "an unknown option is a usage error" 2 "$PANBIND" --frobnicate info
status "an unknown option of a verb is a usage error" 2 "$PANBIND" run --frobnicate x
status "help on an unknown command is a usage error" 2 "$PANBIND" help frobnicate
status "info takes no argument" 2 "$PANBIND" -d sim: info more
status "run wants a file" 2 "$PANBIND" -d sim: run
status "plan wants a file" 2 "$PANBIND" -d sim: plan
status "plan wants one file" 2 "$PANBIND" -d sim: plan a b
status "import wants a file" 2 "$PANBIND" import
status "a define wants a value" 2 "$PANBIND" -d sim: run -D NAME -
for secs in 0 -1 nan inf x 1x ''; do
	status "-T '$secs' is a usage error" 2 "$PANBIND" -T "$secs" -d sim: info
done
status "-T takes a fraction" 0 "$PANBIND" -T 30.5 -d sim: info
status "--color=mauve is a usage error" 2 "$PANBIND" --color=mauve -d sim: info
status "options may follow the verb" 0 "$PANBIND" info -d sim: --json
json "and count there" .command info

for verb in vm bo map unmap sparse; do
	status "$verb needs the daemon" 3 "$PANBIND" -d sim: "$verb"
	like "$verb points to run" "$(err)" "needs the daemon.*panbind run FILE"
done
status "so in JSON, too" 3 "$PANBIND" --json -q vm list
json "with a name" '.status, .errors[0].name' $'3\nENOENT'
is "and nothing on standard error" "$(err)" ""

# An output that cannot be written is noticed, whoever writes it.
status "/dev/full under info" 1 bash -c '"$0" -d sim: info >/dev/full' "$PANBIND"
like "and says so" "$(err)" "cannot write to standard output"
status "/dev/full under --help" 1 bash -c '"$0" --help >/dev/full' "$PANBIND"
status "/dev/full under --json" 1 bash -c '"$0" -j -d sim: info >/dev/full' "$PANBIND"
status "a closed standard output" 1 bash -c '"$0" -d sim: info >&-' "$PANBIND"
status "closed, and nothing to write" 3 bash -c '"$0" vm list >&-' "$PANBIND"
status "a reader that has gone away" 1 bash -c 'exec 3> >(true); wait $!; "$0" --help >&3' "$PANBIND"
seq -f 'echo %g' 20000 >lines.pb
status "a reader that goes away in the middle" 1 \
	bash -c '"$0" -d sim: run lines.pb | head -n 1 >/dev/null; exit "${PIPESTATUS[0]}"' "$PANBIND"

# With standard output closed, no file that is opened may take its place and be written into.
script kept.pb 'echo precious'
status "a closed standard output, and a file is read" 1 bash -c '"$0" -d sim: run kept.pb >&-' "$PANBIND"
is "the file is what it was" "$(cat kept.pb)" "echo precious"

done_testing
