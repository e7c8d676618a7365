#!/bin/bash
# SPDX-License-Identifier: MIT
# Which device a command works on, and what is said when there is none.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"

if "$PANBIND" devices >"$TMP/out" 2>"$TMP/err"; then
	like "devices lists a node" "$(out)" "^drm:/dev/dri/renderD[0-9]+ +panthor +1\."
	status "info works on it" 0 "$PANBIND" info
else
	status "devices without one" 3 "$PANBIND" devices
	like "says so" "$(err)" "no render node of this machine is driven by panthor"
	like "and names the simulator" "$(err)" "panbind -d sim: info"
	status "devices --json without one" 3 "$PANBIND" devices --json
	json "is an empty list, and an error" '(.devices | length), .errors[0].name' $'0\nENODEV'
	status "info without one" 3 "$PANBIND" info
	like "says so, too" "$(err)" "driven by panthor.*ENODEV"
	like "the simulator is offered, not chosen" "$(err)" "panbind -d sim: info"
	status "-q leaves out the offer" 3 "$PANBIND" -q info
	is "and only the error is left" "$(wc -l <"$TMP/err")" 1
	status "run without one" 3 "$PANBIND" run - </dev/null
fi

status "a node that is not there" 3 "$PANBIND" -d drm:/dev/dri/renderD999 info
status "a file that is no render node" 3 "$PANBIND" -d drm:/dev/null info
: >"$TMP/forbidden"
chmod 000 "$TMP/forbidden"
chmod 755 "$TMP"
if [ "$(id -u)" = 0 ]; then
	as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
else
	as_nobody() { "$@"; }
fi
if as_nobody "$PANBIND" --version >/dev/null 2>&1; then
	status "a node that may not be opened" 5 as_nobody "$PANBIND" -d "drm:$TMP/forbidden" info
	like "and says so" "$(err)" "EACCES"
else
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - a node that may not be opened # SKIP another user cannot reach the build"
fi

for spec in '' : nvidia: sim drm: sim:minor=10 sim:minor= sim:what=1 sim:minor=1,minor=2 sim:va-bits=200 \
	sim:fault=VM_BIND sim:fault=VM_BIND#1=EWHAT sim:atomic=maybe; do
	status "the spec '$spec' is refused" 2 "$PANBIND" -d "$spec" info
done
status "a bad option has a caret" 2 "$PANBIND" -d sim:minor=1,atomic=maybe info
like "under the value" "$(err)" '^ {23}\^$'

status "the simulator by name" 0 "$PANBIND" -d sim:minor=4,va-bits=40,atomic=off info
golden "info as text" cli-info.txt "$TMP/out"
status "the same in JSON" 0 "$PANBIND" --pretty -d sim:minor=4,va-bits=40,atomic=off info
golden "info as JSON" cli-info.json "$TMP/out"
json "version and bits" '.device | .version, .va_bits, .atomic, .native_sparse' $'1.4.0\n40\nno\nno'

status "PANBIND_DEVICE chooses" 0 env PANBIND_DEVICE=sim:minor=2 "$PANBIND" -j info
json "and it is that one" .device.version 1.2.0
status "-d wins" 0 env PANBIND_DEVICE=sim:minor=2 "$PANBIND" -j -d sim:minor=3 info
json "over the environment" .device.version 1.3.0
status "an empty PANBIND_DEVICE is none" 2 env PANBIND_DEVICE= "$PANBIND" -d bad info

done_testing
