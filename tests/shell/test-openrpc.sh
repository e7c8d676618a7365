#!/bin/bash
# SPDX-License-Identifier: MIT
# rpc.discover's document against OpenRPC's own published schema, which npm has. Without npm, or where it cannot reach its
# registry, there is nothing to judge by and the test is skipped; what it has fetched once it keeps.
set -u
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/daemon.sh"

packages=(@open-rpc/meta-schema@1.14.9 @json-schema-tools/meta-schema@1.8.0 ajv@8.20.0)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/panbind/openrpc

skip() {
	echo "ok 1 - the document # SKIP $1"
	echo "1..1"
	exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "there is no node or no npm"
if [ "$(cat "$cache/packages" 2>/dev/null)" != "${packages[*]}" ]; then
	mkdir -p "$cache"
	timeout 300 npm install --silent --no-audit --no-fund --prefix "$cache" "${packages[@]}" >"$TMP/npm" 2>&1 ||
		skip "npm cannot install ${packages[*]}"
	echo "${packages[*]}" >"$cache/packages"
fi
export NODE_PATH=$cache/node_modules

judge() {
	node "$SOURCE/tests/shell/openrpc.js"
}

start_daemon || exit 1
status "a daemon describes itself" 0 "$PANBIND" -j rpc rpc.discover
jq .result "$TMP/out" >document.json
is "as an OpenRPC document" "$(judge <document.json)" ""
"$PANBINDD" --print=openrpc >printed.json
is "so does --print=openrpc" "$(judge <printed.json)" ""
is "with the methods" "$(jq ".methods | length > 20" document.json)" true

# The schema is one that can say no.
jq 'del(.info)' document.json >wrong.json
like "without its info it is none" "$(judge <wrong.json)" "must have required property 'info'"
jq '.methods[3].surprise = 1' document.json >wrong.json
like "nor with a member that OpenRPC does not have" "$(judge <wrong.json)" "^/methods/3"
jq '.methods[3].params[0].schema.type = "nonsense"' document.json >wrong.json
like "nor with a schema that is none" "$(judge <wrong.json)" "^/methods/3/params/0"
done_testing
