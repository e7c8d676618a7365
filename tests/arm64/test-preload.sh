#!/bin/bash
# SPDX-License-Identifier: MIT
# The preload library for arm64: what it exports, and programs that know nothing of it on a simulated render node.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
PRELOAD=$BUILD/preload/libpanbind-preload.so

sed -nE 's/^\t([a-z_0-9]+);$/\1/p' "$SOURCE/preload/libpanbind-preload.map" | sort >"$TMP/listed"
aarch64-linux-gnu-nm -D --defined-only "$PRELOAD" | awk '{ print $3 }' | sort >"$TMP/exported"
is "it exports what is listed and nothing else" "$(diff "$TMP/listed" "$TMP/exported")" ""
ok "it needs nothing but libc" [ "$(readelf -d "$PRELOAD" | grep -c NEEDED)" = 1 ]

# The raw ABI, by programs that open a render node: in another process than the simulator.
export PANBIND_DEVICE=drm:/dev/dri/renderD128
for name in conform_vm conform_bo conform_bind_sync conform_bind_async conform_arrays conform_group conform_heap; do
	"$BUILD/cmd/panbind" sim -d sim: -- "$BUILD/tests/conform/$name" >"$TMP/out" 2>&1 </dev/null
	is "$name: status" "$?" 0
	is "$name: failures" "$(grep '^not ok' "$TMP/out" | grep -v '# SKIP')" ""
	ok "$name: there were tests" grep -q '^ok ' "$TMP/out"
done
done_testing
