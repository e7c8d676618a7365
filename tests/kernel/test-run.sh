#!/bin/bash
# SPDX-License-Identifier: MIT
# kernel/run itself: what goes in and comes out, and how each way to fail looks.
set -u
cd "$(dirname "$0")/../.." || exit 1
run=$PWD/kernel/run
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

# ok NAME COMMAND...: the command succeeds.
ok() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/log" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$dir/log"
		sed 's/^/# err: /' "$dir/err"
	fi
}

# ends STATUS ARG...: kernel/run ends so; what it wrote is in $dir/out and $dir/err.
ends() {
	local want=$1 got=0
	shift
	"$run" "$@" >"$dir/out" 2>"$dir/err" <"${stdin:-/dev/null}" || got=$?
	[ "$got" = "$want" ] || { echo "ended with $got, not $want"; return 1; }
}

provoke() {
	ends "$1" --time-limit=20 -- sh -c "echo $2 >/sys/kernel/debug/malisim/provoke; sleep 1"
}

streams_apart() {
	ends 7 -- sh -c 'echo to-out; echo to-err >&2; exit 7' && [ "$(cat "$dir/out")" = to-out ] &&
		[ "$(cat "$dir/err")" = to-err ]
}

streams_joined() {
	"$run" -- sh -c 'echo 1; echo 2 >&2; echo 3' >"$dir/both" 2>&1 && [ "$(tr '\n' ' ' <"$dir/both")" = "1 2 3 " ]
}

bytes_unchanged() {
	head -c 300000 /dev/urandom >"$dir/bytes"
	stdin=$dir/bytes ends 0 -- cat && cmp "$dir/bytes" "$dir/out"
}

pipe_in() {
	[ "$(seq 5000 | "$run" --stdin -- tail -n 1)" = 5000 ]
}

surroundings() {
	(cd "$dir" && A_WORD='two words' ends 0 -- sh -c 'pwd; echo "$A_WORD"; echo "$PANBIND_BOX"; printf "%s." "$@"' - 'a  b' '' c)
	[ "$(cat "$dir/out")" = "$(cd "$dir" && pwd -P)
two words
stock
a  b..c." ]
}

host_files() {
	ends 0 -- sh -c "echo inside >'$dir/file'" && [ "$(cat "$dir/file")" = inside ]
}

trace_file() {
	ends 0 --trace="$dir/trace" -- sh -c 'echo "note a mark" >/sys/kernel/debug/malisim/trace' &&
		grep -q ' NOTE a mark$' "$dir/trace" && grep -qE '^[0-9]+ [0-9]+ UPDATE as=0 ' "$dir/trace"
}

says() {
	grep -q "$1" "$dir/err" || { echo "did not say: $1"; return 1; }
}

late() {
	ends 124 --time-limit=6 -- sleep 100 && says 'no end within 6 s'
}

hang() {
	provoke 124 hang && says 'no end within 20 s'
}

panic() {
	provoke 121 panic && says 'provoked'
}

oops() {
	provoke 121 oops && says 'the kernel died'
}

warning() {
	provoke 120 warning && says 'WARNING' && ends 0 --allow-reports -- sh -c \
		'echo warning >/sys/kernel/debug/malisim/provoke'
}

at_once() {
	local pids=() pid
	for i in 1 2 3; do
		"$run" -- sh -c "sleep 1; echo $i" >"$dir/out$i" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || echo "a box ended with $?"
	done
	[ "$(cat "$dir"/out[123] | tr -d '\n')" = 123 ] || { tail -n 50 "$dir"/out[123]; return 1; }
}

# a_clone: kernel/run with a box that is $dir/clone/build/kernel/debian, links to ours.
a_clone() {
	[ ! -d "$dir/clone" ] || return 0
	mkdir -p "$dir/clone/kernel/box" "$dir/clone/build/kernel"
	cp kernel/run "$dir/clone/kernel/" && cp kernel/box/env.sh "$dir/clone/kernel/box/"
	cp -rs "$PWD/build/kernel/debian" "$dir/clone/build/kernel/"
}

# UML that is ended N times by something from outside before it has a kernel.
ended_early() {
	a_clone
	rm -f "$dir/clone/build/kernel/debian/linux" "$dir"/early.*
	cat >"$dir/clone/build/kernel/debian/linux" <<-UML
		#!/bin/bash
		for n in \$(seq $1); do
			[ -e "$dir/early.\$n" ] || { : >"$dir/early.\$n"; echo "check_ptrace: PTRACE_SETOPTIONS failed"; exit 1; }
		done
		exec "$PWD/build/kernel/debian/linux" "\$@"
	UML
	chmod +x "$dir/clone/build/kernel/debian/linux"
	run=$dir/clone/kernel/run
}

started_again() {
	local run
	ended_early 1
	ends 5 -- sh -c 'echo inside; exit 5' && [ "$(cat "$dir/out")" = inside ]
}

not_for_ever() {
	local run
	ended_early 2
	ends 122 -- true && says 'PTRACE_SETOPTIONS failed'
}

# builds STATUS TEXT TREE: kernel/build with that tree.
builds() {
	local got=0
	KERNEL_SOURCE=$3 kernel/build >"$dir/out" 2>"$dir/err" || got=$?
	[ "$got" = "$1" ] || { echo "ended with $got, not $1"; return 1; }
	says "$2"
}

# What kernel/run leaves in its folder for temporary files, and processes of its boxes.
interrupted() {
	local pid status=0
	mkdir "$dir/tmp"
	TMPDIR=$dir/tmp "$run" -- sleep 1000 >/dev/null 2>&1 &
	pid=$!
	for i in $(seq 100); do
		[ -e "$dir"/tmp/*/uml/box/pid ] && break
		sleep 0.2
	done
	kill -TERM $pid
	wait $pid || status=$?
	[ "$status" = 143 ] || { echo "ended with $status"; return 1; }
	[ -z "$(ls "$dir/tmp")" ] || { ls -R "$dir/tmp"; return 1; }
	! pgrep -f "box=$dir/tmp"
}

# An ordinary user has a box of his own to run: nothing in it needs root on the host.
ordinary_user() {
	local user=nobody
	[ "$(id -u)" = 0 ] || { ends 0 -- id -u; return; }
	mkdir -m 777 "$dir/nobody"
	chmod 755 "$dir"
	cd /
	# the clone may be where only root can go
	cp -r "$OLDPWD/kernel" "$dir/nobody/" && mkdir -p "$dir/nobody/build" && cp -r "$OLDPWD/build/kernel" "$dir/nobody/build/"
	sed -i "s|$OLDPWD/|$dir/nobody/|" "$dir/nobody/build/kernel/debian/modules"
	chmod -R a+rX "$dir/nobody"
	setpriv --reuid=$user --regid=nogroup --clear-groups env HOME=/nonexistent TMPDIR=/tmp \
		"$dir/nobody/kernel/run" -- sh -c 'id -u; test -w /dev/dri/renderD128' >"$dir/out" 2>"$dir/err" </dev/null
	[ $? = 0 ] && [ "$(cat "$dir/out")" = 0 ]
}

ok "exit status, stdout and stderr come out" streams_apart
ok "where they are one file their order is kept" streams_joined
ok "a file as stdin, and bytes as they are" bytes_unchanged
ok "a pipe as stdin" pipe_in
ok "folder, environment and arguments go in" surroundings
ok "the host's files are written" host_files
ok "a signal is 128 and its number" ends 137 -- sh -c 'kill -KILL $$'
ok "a command that is not there is 127" ends 127 -- no-such-command
ok "malisim's trace" trace_file
ok "three boxes at once" at_once
ok "one that is ended before it has a kernel starts again" started_again
ok "but not for ever" not_for_ever
ok "a tree without panthor is refused" builds 1 'has no drivers/gpu/drm/panthor' "$dir"
ok "and one that is not there" builds 1 'no folder' "$dir/nowhere"
ok "the time limit is 124" late
ok "a kernel that hangs is 124" hang
ok "a panic is 121, with its last words" panic
ok "an oops is 121" oops
ok "a warning is 120, unless it is allowed" warning
ok "a wrong option is 2" ends 2 --no-such-option
ok "nothing is left when it is ended from outside" interrupted
ok "an ordinary user runs it" ordinary_user
echo "1..$n"
