# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests of panbind(1) against panbindd: cli.sh, and a daemon on a simulated device. Source this instead of cli.sh.

# shellcheck source=tests/shell/cli.sh
. "$(dirname "${BASH_SOURCE[0]}")/cli.sh"
# shellcheck disable=SC2034 # for the tests
PANBINDD=$BUILD/daemon/panbindd
export PANBIND_SOCKET=$TMP/socket
DAEMON_PID=
trap 'kill_daemon; rm -rf "$TMP"' EXIT

# start_daemon [OPTION...]: on sim:, unless an option names a device. Returns when it answers.
start_daemon() {
	local device=--device=sim:
	case " $* " in *" --device="*) device= ;; esac
	# shellcheck disable=SC2086
	"$PANBINDD" --foreground --socket="$PANBIND_SOCKET" --log="$TMP/log.db" $device "$@" 2>>"$TMP/daemon.err" &
	DAEMON_PID=$!
	until "$PANBIND" rpc rpc.ping >/dev/null 2>&1; do
		kill -0 $DAEMON_PID 2>/dev/null || {
			sed 's/^/# /' "$TMP/daemon.err"
			return 1
		}
		sleep 0.05
	done
}

# kill_daemon [SIGNAL]
kill_daemon() {
	[ -n "$DAEMON_PID" ] || return 0
	kill -s "${1:-KILL}" "$DAEMON_PID" 2>/dev/null
	wait "$DAEMON_PID" 2>/dev/null
	DAEMON_PID=
}

# steady FILE: what differs from run to run (times, processes, users, paths) replaced by its name.
steady() {
	sed -E -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{6}/DAY TIME/g' -e 's/pid=[0-9]+/pid=PID/g' -e 's/uid=[0-9]+/uid=UID/g' \
		-e 's/[0-9]+\.[0-9]{3} us/TIME us/g' -e "s|$PANBIND|panbind|g" -e "s|$TMP|TMP|g" "$1"
}
