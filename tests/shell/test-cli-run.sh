#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind run: what goes in, what comes out, and every exit status.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"
sim() { "$PANBIND" -d sim: "$@"; }

script good.pb 'vm create v' 'bo create tex 1M' 'bo create page 64K' 'map v 0x100000 1M tex --noexec' \
	'map v 0x140000 64K page --readonly'

# ---- Input ----
status "a script runs" 0 sim run good.pb
is "and says nothing" "$(out)$(err)" ""
status "from standard input" 0 sim run - <good.pb
status "several files share their names" 0 sim run good.pb <(echo 'unmap v 0x140000 64K')
sed 's/$/\r/' good.pb >crlf.pb
status "with CRLF line ends" 0 sim run crlf.pb
printf '%s' "$(cat good.pb)" >noeol.pb
status "without a newline at the end" 0 sim run noeol.pb
: >empty.pb
status "an empty script is done at once" 0 sim run empty.pb
status "nothing on standard input, too" 0 sim run - </dev/null
status "a missing file" 2 sim run missing.pb
like "is named" "$(err)" "missing.pb: No such file"
status "a folder" 2 sim run .
like "is one" "$(err)" "Is a directory"
status "a good file and a missing one" 2 sim run good.pb missing.pb
head -c 100000 /dev/urandom >noise.pb
status "noise is no script" 2 sim run noise.pb
ok "and does not reach the terminal as it is" bash -c '! grep -q "[[:cntrl:]]" "$0"' <(tr -d '\n' <"$TMP/err")
if [ "$(id -u)" != 0 ]; then
	chmod 000 crlf.pb
	status "a file that may not be read" 5 sim run crlf.pb
fi

# ---- Parse errors: status 2, a place, a caret ----
script bad.pb 'vm create v' $'\tmap v\t0x1000 64Q page' 'echo never'
status "a bad line" 2 sim run bad.pb
golden "is shown with a caret below the tabs" cli-parse-error.txt "$TMP/err"
status "the same in JSON" 2 sim --pretty run bad.pb
json "with its place" '.errors[0] | .name, .stage, .file, .line, .column, .op' $'EINVAL\nparse\nbad.pb\n2\n17\nnull'
is "and standard error is empty" "$(err)" ""
status "in a pipe no colour" 2 sim run bad.pb
ok "no escape" bash -c '! grep -q "$(printf "\033")" "$0"' "$TMP/err"
status "--color=always" 2 sim --color=always run bad.pb
ok "has escapes" grep -q "$(printf '\033\\[1;31m')error:" "$TMP/err"
status "the first bad file stops all before anything is done" 2 sim run good.pb bad.pb
status "-c finds it without a run" 2 sim run -c bad.pb
printf 'echo %0300d $nothing\n' 7 >long.pb
status "a long line" 2 sim run long.pb
ok "is cut around the caret" bash -c '[ "$(wc -L <"$0")" -le 160 ]' "$TMP/err"

script outer.pb 'include inner.pb'
script inner.pb 'vm create v' 'unmap v 12'
status "a bad line in an included file" 2 sim run outer.pb
golden "is shown from there" cli-include-error.txt "$TMP/err"

# ---- -k, -c, -D ----
script two.pb 'vm create v' 'nonsense' 'echo one' 'more nonsense' 'echo two'
status "-k goes on after bad lines" 2 sim run -k two.pb
is "tells each of them" "$(grep -c 'error:' "$TMP/err")" 2
is "and does the rest" "$(out)" $'one\ntwo'
script fails.pb 'vm create v' 'bo create b 64K' 'map v 0x10000 64K b' 'map v 0x10000 64K b+4K' 'unmap v 0x10000 64K' 'echo on'
status "a failed command in a transaction" 1 sim run fails.pb
ok "ends it" bash -c '! grep -q on "$0"' "$TMP/out"
status "-k goes on after it" 4 sim run -k fails.pb
is "to the end" "$(out)" "on"
script txn.pb 'vm create v' 'bo create b 64K' 'begin' 'map v 0x10000 64K b' 'commit'
status "-k is refused inside a transaction" 1 sim run -k txn.pb
like "and says so" "$(err)" "txn.pb:3:1: error: a transaction cannot keep going"
status "-c changes nothing" 0 sim run -c good.pb
status "-c takes one file" 2 sim run -c good.pb good.pb
status "-c finds a mapping that does not fit" 1 sim run -c fails.pb
script defined.pb 'echo $WHAT'
status "-D defines" 0 sim run -D WHAT=this defined.pb
is "what the script sees" "$(out)" "this"
status "without it the name is unknown" 2 sim run defined.pb

# ---- What a failure leaves: statuses 1 and 4 ----
status "ENOMEM at op 1 is rolled back" 1 "$PANBIND" -d sim:fault=op=1:ENOMEM run good.pb
like "says the op and the errno" "$(err)" "good.pb:5:.*ENOMEM, op 1"
like "and that nothing of it remains" "$(err)" "rolled back"
status "the same in JSON" 1 "$PANBIND" -j -d sim:fault=op=1:ENOMEM run good.pb
json "error and outcome" '.errors[0] | .name, .op, .outcome' $'ENOMEM\n1\nrolled-back'
json "result" '.result.outcome, .result.ops' $'rolled-back\n0'
double=sim:fault=VM_BIND#1:op=1:ENOMEM:mid,fault=VM_BIND#2=EIO
printf 'vm create v\nbo create b 64K\nbegin\nmap v 0 4K b\ncommit\nbegin\nmap v 4K 4K b\nassert unmapped v 0 4K\ncommit\n' >later.pb
status "a transaction fails after another was complete" 4 sim run later.pb
like "and what stays is said" "$(err)" "1 op of transactions that were complete stays applied"
status "a second fault in the undo" 4 "$PANBIND" -d "$double" run good.pb
like "says so" "$(err)" "unknown|partly"
status "EINTR in the middle is not seen" 0 "$PANBIND" -d sim:fault=op=1:EINTR run good.pb

# ---- What it shows ----
script show.pb 'vm show v' 'vm show v --map' 'echo done'
status "vm show" 0 sim run good.pb show.pb
golden "as table and picture" cli-show.txt "$TMP/out"
LC_ALL=C status "in a locale without UTF-8" 0 sim run --map good.pb
golden "in ASCII" cli-map-ascii.txt "$TMP/out"
for width in 60 120; do
	COLUMNS=$width status "run --map at $width columns" 0 sim run --map good.pb
	ok "is no wider" bash -c '[ "$(wc -L <"$0")" -le '$width' ]' "$TMP/out"
done
status "run --dump" 0 sim run --dump good.pb
cp "$TMP/out" dumped.pb
status "is a script" 0 sim run --dump dumped.pb
ok "that makes itself again" cmp -s "$TMP/out" dumped.pb
status "dump -f is the same" 0 sim dump -f good.pb
ok "as run --dump" cmp -s "$TMP/out" dumped.pb
status "dump of one VM" 0 sim dump -f good.pb v
status "dump of a VM that is not there" 1 sim dump -f good.pb w
status "dump without a script" 3 sim dump
like "says why" "$(err)" "daemon"
status "a dump of a script that fails" 1 "$PANBIND" -d sim:fault=op=1:ENOMEM dump -f good.pb
is "is none" "$(out)" ""
status "run --json --map --dump" 0 sim --json run --map --dump good.pb
json "has the mappings" '[.vms[0].mappings[] | .va + "+" + .size + " " + .bo + "+" + .offset] | join(",")' \
	'0x100000+0x40000 tex+0x0,0x140000+0x10000 page+0x0,0x150000+0xb0000 tex+0x50000'
json "and the dump" '.dump | contains("map v 0x140000")' true
status "echo in JSON" 0 sim --json run defined.pb -D 'WHAT=a "b"'
json "is a text" '.output[0] | .type, .text' $'text\na "b"'
printf 'echo "h\303\244 \377\303 x"\n' >latin.pb
status "text that is not UTF-8" 0 sim --json run latin.pb
json "is mended in JSON" '.output[0].text' $'h\u00e4 \ufffd\ufffd x'
status "noise, in JSON" 2 sim --json run noise.pb
json "has its error" '.errors[0].stage' parse
status "-v has totals" 0 sim -v run good.pb
like "of ops" "$(err)" "2 ops"
status "-vv has commands" 0 sim -vv run good.pb
like "with their place" "$(err)" "good.pb:4: .*map"

# ---- A terminal: its width, and colour ----
# on_terminal COLUMNS COMMAND: runs under a pseudo-terminal of that width.
on_terminal() {
	env -u COLUMNS TERM=xterm script -qec "stty cols $1; $2" /dev/null </dev/null | tr -d '\r'
}
for width in 60 100; do
	on_terminal $width "$PANBIND -d sim: --color=never run --map good.pb" >"$TMP/out"
	COLUMNS=$width "$PANBIND" -d sim: run --map good.pb >"$TMP/err"
	ok "the terminal's $width columns are used" cmp "$TMP/out" "$TMP/err"
done
escapes() { grep -c "$(printf '\033')"; }
is "a terminal has colour" "$([ "$(on_terminal 80 "$PANBIND -d sim: run --map good.pb" | escapes)" -gt 3 ] && echo yes)" yes
is "not with NO_COLOR" "$(NO_COLOR=1 on_terminal 80 "$PANBIND -d sim: run --map good.pb" | escapes)" 0
is "an empty NO_COLOR is none" "$([ "$(NO_COLOR='' on_terminal 80 "$PANBIND -d sim: run --map good.pb" | escapes)" -gt 3 ] && echo yes)" yes
is "not on a dumb one" "$(on_terminal 80 "TERM=dumb $PANBIND -d sim: run --map good.pb" | escapes)" 0
is "not in a file" "$("$PANBIND" -d sim: run --map good.pb | escapes)" 0
is "--color=always beats NO_COLOR" "$([ "$(NO_COLOR=1 "$PANBIND" --color=always -d sim: run --map good.pb | escapes)" -gt 3 ] && echo yes)" yes

# ---- GPU readers ----
script race.pb 'begin' 'vm create v' 'bo create a 64K' 'bo create b 64K' 'bo stamp a' 'bo stamp b 16' 'map v 0x10000 64K a' \
	'commit' 'gpu resident v on' 'gpu read v 0x10000 64K' 'repeat 50' 'map v 0x10000 64K b' 'map v 0x10000 64K a' 'end' \
	'gpu stop v' 'assert faults v 0' 'assert torn v 0'
status "readers beside remaps" 0 sim run race.pb
like "report what they saw" "$(out)" "^gpu v: [1-9][0-9]* reads, [0-9]+ stalled, 0 faults, 0 torn values$"
status "the same in JSON" 0 sim --json run race.pb
json "with numbers" '.output[] | select(.type == "gpu") | .faults, .torn, (.reads > 0)' $'0\n0\ntrue'

# ---- Limits and signals ----
script wait.pb 'vm create v' 'bo create b 64K' 'begin' 'map v 0x10000 64K b' 'syncobj create s' \
	'syncobj wait s --for-submit --timeout=600000' 'commit' 'echo never'
status "-T ends a wait" 6 sim -T 0.3 run wait.pb
like "and says so" "$(err)" "time limit"
is "with nothing after it" "$(out)" ""
status "-T in JSON" 6 sim -j -T 0.3 run wait.pb
json "says where, and why" '.status, (.errors[] | .name)' $'6\nECANCELED\nETIMEDOUT'
status "-T while standard input is silent" 6 bash -c 'sleep 20 | { "$0" -T 0.3 -d sim: run -; s=$?; kill %1 2>/dev/null; exit $s; }' "$PANBIND"
status "-T that is not reached changes nothing" 0 sim -T 60 run good.pb
for signal in INT TERM HUP; do
	# a shell's background jobs ignore INT; env(1) gives it back
	env --default-signal=INT "$PANBIND" -d sim: run wait.pb >"$TMP/out" 2>"$TMP/err" &
	pid=$!
	sleep 0.5
	kill -s $signal $pid
	{ wait $pid; } 2>/dev/null
	is "SIG$signal ends a run, as that signal" "$?" $((128 + $(kill -l $signal)))
	like "SIG$signal is told" "$(err)" "signal"
done

done_testing
