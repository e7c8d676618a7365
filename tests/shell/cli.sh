# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests of panbind(1): lib.sh, and golden files. Source this instead of lib.sh.

# shellcheck source=tests/shell/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
GOLDEN=$SOURCE/tests/golden
export COLUMNS=80
export PANBIND_SOCKET=$TMP/no-daemon # not one that happens to run
cd "$TMP" || exit 1

out() { cat "$TMP/out"; }
err() { cat "$TMP/err"; }

# golden NAME FILE GOT-FILE: byte for byte. PANBIND_UPDATE_GOLDEN=1 writes the file anew.
golden() {
	[ -z "${PANBIND_UPDATE_GOLDEN-}" ] || cp "$3" "$GOLDEN/$2"
	ok "$1" cmp -s "$GOLDEN/$2" "$3" || true
	cmp -s "$GOLDEN/$2" "$3" || diff "$GOLDEN/$2" "$3" | sed 's/^/# /'
}

# json NAME FILTER WANTED: what jq says of the document in $TMP/out, which must be one document.
json() {
	is "$1" "$(jq -rse 'if length == 1 then .[0] else error("not one document") end | '"$2" "$TMP/out" 2>&1)" "$3"
}

# script NAME LINE...: a script file in the scratch folder.
script() {
	local name=$1
	shift
	printf '%s\n' "$@" >"$name"
}
