# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For TAP scripts that judge both drivers. Outside of the kernel box, each_box runs the script in one box after the other
# and makes one TAP of both; inside, it returns and lets the script go on.

# each_box SCRIPT BUILD [ARG...]
each_box() {
	[ -z "${PANBIND_BOX:-}" ] || return 0
	local script=$1 driver status=0 count=0 out
	shift
	out=$(mktemp -d)
	# shellcheck disable=SC2064 # this folder
	trap "rm -rf '$out'" EXIT
	for driver in stock atomic; do
		"$(dirname "${BASH_SOURCE[0]}")/../../kernel/run" --panthor=$driver --time-limit="${PANBIND_BOX_LIMIT:-300}" -- \
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
