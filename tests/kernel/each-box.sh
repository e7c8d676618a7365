# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For TAP scripts that judge both drivers. Outside of the kernel box, each_box runs the script in one box after the other
# and makes one TAP of both; inside, it returns and lets the script go on.

# drivers: those of the box. Debian's kernel has both, or a test of the one that is missing fails; another tree
# (KERNEL_SOURCE) has those that could be built from it.
drivers() {
	local top debug='' out='' driver
	top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
	# shellcheck source=kernel/box/env.sh
	. "$top/kernel/box/env.sh"
	locate || return 1
	for driver in stock atomic; do
		[ -n "${KERNEL_SOURCE:-}" ] && [ ! -e "$out/panthor-$driver.ko" ] || echo "$driver"
	done
}

# driver_minor: the version of panthor in the tree that the box is built from, 1.N.
driver_minor() {
	[ -n "${KERNEL_SOURCE:-}" ] || { echo 0; return; }
	sed -nE 's/^\t\.minor = ([0-9]+),$/\1/p' "$KERNEL_SOURCE/drivers/gpu/drm/panthor/panthor_drv.c"
}

# each_box SCRIPT BUILD [ARG...]. PANBIND_BOX_REPORTS=1: the driver may warn.
each_box() {
	[ -z "${PANBIND_BOX:-}" ] || return 0
	local script=$1 driver status=0 count=0 out
	shift
	out=$(mktemp -d)
	# shellcheck disable=SC2064 # this folder
	trap "rm -rf '$out'" EXIT
	for driver in $(drivers); do
		"$(dirname "${BASH_SOURCE[0]}")/../../kernel/run" --panthor=$driver --time-limit="${PANBIND_BOX_LIMIT:-300}" \
			${PANBIND_BOX_REPORTS:+--allow-reports} -- \
			bash "$script" "$@" </dev/null >"$out/tap" 2>"$out/err" || status=$?
		awk -v from=$count -v driver=$driver '
			/^1\.\.[0-9]+$/ { next }
			{ sub(/\r$/, "") }
			match($0, /^(not )?ok [0-9]+ - /) {
				head = /^not/ ? "not ok " : "ok "
				print head (++n + from) " - " driver ": " substr($0, RLENGTH + 1)
				next
			}
			{ print }' "$out/tap"
		sed 's/^/# /' "$out/err"
		count=$((count + $(grep -cE '^(not )?ok [0-9]+ - ' "$out/tap")))
	done
	echo "1..$count"
	exit $status
}
