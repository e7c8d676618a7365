# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For TAP scripts that start kernel boxes themselves. Source it after tests/shell/lib.sh.

# shellcheck disable=SC2034 # for the scripts
HOOKS=$SOURCE/tests/kernel/locks/hooks.patch
BOX_DEBUG=()
# Memory that is freed is wiped, so that whoever uses it on finds nothing of what it was.
BOX_WORDS=init_on_free=1

# shellcheck source=kernel/box/env.sh
. "$SOURCE/kernel/box/env.sh"

# build_driver NAME PATCH...: the atomic driver with these patches on top, as kernel/run --panthor=NAME.
build_driver() {
	local name=$1 patches=() patch
	shift
	for patch; do
		patches+=("--extra-patch=$patch")
	done
	"$SOURCE/kernel/build" "${BOX_DEBUG[@]}" --name="$name" "${patches[@]}"
}

# run_box DRIVER COMMAND...: into $TMP/out, $TMP/err and, what the kernel said, $TMP/console.
run_box() {
	local driver=$1
	shift
	CMOCKA_MESSAGE_OUTPUT=TAP "$SOURCE/kernel/run" "${BOX_DEBUG[@]}" --append="$BOX_WORDS" --panthor="$driver" \
		--time-limit="${BOX_LIMIT:-120}" --console="$TMP/console" -- "$@" </dev/null >"$TMP/out" 2>"$TMP/err"
}

# box_tap DRIVER PROGRAM...: its tests as ours, and that it ended well and the kernel had nothing to report.
box_tap() {
	local driver=$1 status=0 line reason=
	shift
	run_box "$driver" "$@" || status=$?
	while IFS= read -r line; do
		case $line in
		"# skipped: "*) reason=${line#* skipped: } ;;
		*"ok "*" # SKIP "*) skip "$driver: ${line##* }" "$reason" ;;
		"ok "*) ok "$driver: ${line#* - }" true ;;
		"not ok "*) ok "$driver: ${line#* - }" false ;;
		"# "*) printf '%s\n' "$line" ;;
		esac
	done <"$TMP/out"
	is "$driver: ${1##*/} ends well" "$status" 0
	[ "$status" = 0 ] || sed 's/^/# /' "$TMP/err"
}

# only_report FIRST LATER: the kernel has reported once, in a line like FIRST; one like LATER comes some time after it.
only_report() {
	tr -d '\0' <"$TMP/console" | awk -v report="$REPORT" -v first="$1" -v later="$2" '
		$0 ~ report { count++; known = $0 ~ first; print "# " $0 }
		known && $0 ~ later { explained = 1 }
		END { exit !(count == 1 && explained) }'
}
