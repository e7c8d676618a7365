#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may know whom: fails when a file includes what its room must not see, directly or through another header.
# CONTRIBUTING.md says why each wall is there.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"
shopt -s nullglob

drm_flags=$(pkg-config --cflags libdrm)

# reached ROOT FILE: base names of all headers that the compiler opens for FILE, in the tree at ROOT.
reached() {
	# shellcheck disable=SC2086
	cc -M -D_GNU_SOURCE -I"$1/include" -I"$1/lib" -I"$1/lib/sim" $drm_flags "$2" 2>/dev/null |
		sed 's|[ \\][ \\]*|\n|g' | grep '\.h$' | sed 's|.*/||' | sort -u
}

# written FILE...: "FILE:HEADER" of all headers that the files themselves name.
written() {
	grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' "$@" | sed -E 's/:[^<"]*[<"]([^>"]+)[>"].*/:\1/'
}

# breaches ROOT: one line for each broken wall in the tree at ROOT.
breaches() {
	local root=$1 file header
	while IFS=: read -r file header; do
		file=${file#"$root"/}
		uapi_wall "$file" "$header"
		library_wall "$file" "$header"
		case $file in
		lib/sim/*) sim_wall "$file" "$header" ;;
		lib/log/* | cmd/* | daemon/*) face_wall "$root" "$file" "$header" ;;
		esac
	done < <(written "$root"/lib/*.[ch] "$root"/lib/*/*.[ch] "$root"/cmd/*.[ch] "$root"/daemon/*.[ch] "$root"/preload/*.[ch])
	for file in "$root"/lib/{script*,batch*,check*,merge,va_sort,vamap*,plan*}.c; do
		[ ! -e "$file" ] || pure_wall "$root" "$file"
	done
}

# Only files that fill or answer ioctls name the uAPI.
uapi_wall() {
	case $1 in
	lib/bind*.[ch] | lib/vm.c | lib/bo.c | lib/twin.c | lib/adopt.c | lib/sight.c | lib/device.c | lib/syncobj.c | lib/backend*.c | lib/sim/* | preload/*) return ;;
	esac
	case ${2##*/} in
	uapi.h | panthor_drm.h) echo "$1 includes the uAPI" ;;
	esac
}

# Foreign libraries stay in the rooms that are built around them.
library_wall() {
	case $2:$1 in
	sqlite3*:lib/log/* | event2/*:daemon/* | jansson*:daemon/* | jansson*:cmd/* | argp.h:daemon/* | argp.h:cmd/* | lzma*:cmd/*) ;;
	xf86drm*:lib/backend_drm.c | xf86drm*:lib/device.c | xf86drm*:preload/*) ;;
	sqlite3* | event2/* | event.h* | jansson* | argp.h* | lzma* | xf86drm*) echo "$1 includes $2" ;;
	esac
}

# The simulator is the library's oracle, so it shares nothing with it but the seam and the public types.
sim_wall() {
	case $2 in
	uapi.h | backend.h | panbind.h | panbind-adopt.h | panbind-plan.h | panbind-state.h | sim*.h) ;;
	*/*) ;;
	*) [ ! -e "$SOURCE/lib/$2" ] || echo "$1 includes $2" ;;
	esac
}

# Programs and the log use the public headers: if they need more, the header lacks something.
face_wall() {
	local header=${3##*/}
	case $header in
	panbind.h | panbind-adopt.h | panbind-plan.h | panbind-script.h | panbind-state.h | panbind-log.h) ;;
	*) [ -e "$1/${2%/*}/$header" ] || { [ ! -e "$SOURCE/lib/$header" ] && [ ! -e "$SOURCE/lib/sim/$header" ]; } ||
		echo "$2 includes $header" ;;
	esac
}

# Pure rooms see no device, not even through a header of somebody else's.
pure_wall() {
	local headers found
	headers=$(reached "$1" "$2")
	found=$(grep -xE 'uapi\.h|panthor_drm\.h|drm\.h|xf86drm\.h|bind\.h|sim.*\.h' <<<"$headers" | tr '\n' ' ')
	[ -z "$found" ] || echo "${2#"$1"/} reaches $found"
	[ -n "$headers" ] || echo "${2#"$1"/} cannot be read by the compiler"
}

breaches "$SOURCE" >"$TMP/breaches"
sed 's/^/# /' "$TMP/breaches"
ok "no wall is broken" test ! -s "$TMP/breaches"

# And a broken wall is seen: each line below, put into its file, has to be reported.
noticed() {
	local file=$1 line=$2 tree=$TMP/tree
	rm -rf "$tree"
	mkdir -p "$tree/lib/sim" "$tree/lib/log" "$tree/cmd" "$tree/include"
	cp "$SOURCE"/include/*.h "$tree/include"
	cp "$SOURCE"/lib/*.h "$tree/lib"
	printf '%s\n' "$line" >"$tree/$file"
	breaches "$tree" >"$TMP/noticed"
	ok "noticed: $file with $line" grep -q "^$file " "$TMP/noticed"
}
noticed lib/sim/sim_vm.c '#include "vamap.h"'
noticed lib/sim/sim_vm.c '#include "internal.h"'
noticed lib/plan.c '#include "uapi.h"'
noticed lib/plan.c '#include "bind.h"'
noticed lib/script_lex.c '#include <xf86drm.h>'
noticed lib/txn.c '#include "uapi.h"'
noticed lib/vamap_tree.c '  #  include <drm.h>'
noticed cmd/cmd_run.c '#include "internal.h"'
noticed cmd/cmd_run.c '#include "../lib/script.h"'
noticed lib/log/fold.c '#include "vamap.h"'
noticed lib/log/replay.c '#include "../internal.h"'
noticed lib/state.c '#include <jansson.h>'
noticed cmd/cmd_run.c '#include <sqlite3.h>'

done_testing
