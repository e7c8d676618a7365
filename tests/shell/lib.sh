# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For shell tests: TAP lines and a scratch folder. Source it, use ok/is/like/status, end with `done_testing`.
# The build folder is $1 of the test script.

BUILD=${1:?usage: $0 BUILD_DIR}
SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # for the tests
PANBIND=$BUILD/cmd/panbind
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
tests_run=0
tests_failed=0
unset PANBIND_DEVICE NO_COLOR COLUMNS
export LC_ALL=C.UTF-8

# ok NAME COMMAND...: passes when the command does.
ok() {
	local name=$1
	shift
	tests_run=$((tests_run + 1))
	if "$@"; then
		echo "ok $tests_run - $name"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $name"
	fi
}

# is NAME GOT WANTED
is() {
	ok "$1" [ "$2" = "$3" ] || true
	[ "$2" = "$3" ] || printf '# got:    %q\n# wanted: %q\n' "$2" "$3"
}

# like NAME TEXT REGEX: an extended regular expression somewhere in the text.
like() {
	ok "$1" grep -qE -- "$3" <<<"$2"
	grep -qE -- "$3" <<<"$2" || printf '# text:   %q\n# wanted: %s\n' "$2" "$3"
}

# status NAME WANTED COMMAND...: runs it with $TMP/out and $TMP/err, passes when the exit status is WANTED.
status() {
	local name=$1 wanted=$2 got=0
	shift 2
	"$@" >"$TMP/out" 2>"$TMP/err" || got=$?
	is "$name" "$got" "$wanted"
	[ "$got" = "$wanted" ] || sed 's/^/# /' "$TMP/err"
}

# skip NAME REASON
skip() {
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1 # SKIP $2"
}

done_testing() {
	echo "1..$tests_run"
	[ "$tests_failed" = 0 ]
}
