#!/bin/bash
# SPDX-License-Identifier: MIT
# panbindd(8) tells the truth: its examples run, its configuration file is taken, it knows every option. And the units are
# right.
set -u
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/lib.sh"

page=$SOURCE/man/panbindd.8
panbindd=$BUILD/daemon/panbindd
mkdir "$TMP/bin" "$TMP/work"
ln -s "$panbindd" "$TMP/bin/panbindd"
PATH=$TMP/bin:$PATH
cd "$TMP/work" || exit 1

for each in panbindd.8 panbind-rpc.7; do
	man --warnings -E UTF-8 -l -Tutf8 -Z "$SOURCE/man/$each" >/dev/null 2>"$TMP/man.err"
	is "$each is right roff" "$(cat "$TMP/man.err")" ""
done

# Each example as a person would type it; one that ends in & is a daemon, which is up when its socket is there.
MANWIDTH=200 man -E UTF-8 -l "$page" 2>/dev/null | col -bx >"$TMP/page.txt"
sed -nE 's/^ +\$ //p' "$TMP/page.txt" >"$TMP/examples"
ok "there are examples" test "$(wc -l <"$TMP/examples")" -ge 4
started() {
	local socket=$1 pid=$2 i
	for ((i = 0; i < 2000; i++)); do
		[ -S "$socket" ] && return 0
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.01
	done
	return 1
}
while read -r example; do
	case $example in
	*'&')
		rm -f socket two
		case $example in *'/two &') socket=two ;; *) socket=socket ;; esac
		eval "${example%&} 2>said & pid=\$!"
		ok "example: $example" started "$socket" "$pid"
		kill -TERM "$pid"
		ok "and it ends as asked" wait "$pid"
		;;
	*) status "example: $example" 0 bash -c "$example" ;;
	esac
done <"$TMP/examples"
is "the log is where the example says" "$(ls log.db old.db new.db)" "$(printf 'log.db\nnew.db\nold.db')"

# The configuration, with its paths moved here.
sed -n '/example begins: config/,/example ends/p' "$page" | sed -e '/^\./d' -e 's/\\-/-/g' \
	-e "s|/tmp/panbind-example|$TMP/work|" >config
ok "the page has a configuration" grep -q '^device = ' config
panbindd --config=config 2>said &
pid=$!
rm -f socket
ok "and it is taken" started socket "$pid"
kill -TERM "$pid"
wait "$pid"
echo 'max-ops = lots' >>config
status "a wrong one is refused" 2 panbindd --config=config
ok "with the line" grep -q "line $(wc -l <config)" "$TMP/err"

panbindd --help >"$TMP/help"
for option in $(grep -oE -- '--[a-z-]+' "$TMP/help" | sort -u); do
	case $option in --help | --usage | --version) continue ;; esac
	ok "the page has $option" grep -qF -- "$option" "$TMP/page.txt"
done
for option in $(sed -n '/^OPTIONS/,/^ROLES/p' "$TMP/page.txt" | grep -oE -- '--[a-z-]+' | sort -u); do
	ok "--help has the page's $option" grep -qF -- "$option" "$TMP/help"
done

# Where the socket is when nobody says: what the environment says, in a folder of its own; and clients look there.
panbind=$BUILD/cmd/panbind
finds_it() { # SOCKET VARIABLE=VALUE AS...
	local socket=$1 variable=$2 pid
	shift 2
	env -u PANBIND_SOCKET -u XDG_RUNTIME_DIR "$variable" "$@" panbindd --foreground --log=none --device=sim: 2>said &
	pid=$!
	ok "$variable: the socket is $socket" started "$socket" $pid
	status "and a client finds it" 0 env -u PANBIND_SOCKET -u XDG_RUNTIME_DIR "$variable" "$@" "$panbind" rpc rpc.ping
	kill -TERM $pid
	wait $pid
}
finds_it "$TMP/work/given/s" "PANBIND_SOCKET=$TMP/work/given/s"
is "its folder is the daemon's" "$(stat -c %a given)" "$([ "$(id -u)" = 0 ] && echo 755 || echo 700)"
as_user=()
mkdir -m 777 runtime
if [ "$(id -u)" = 0 ]; then
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 "$TMP" "$TMP/bin" .
fi
if "${as_user[@]}" "$panbindd" --version >/dev/null 2>&1; then
	finds_it "$TMP/work/runtime/panbind/panbindd.sock" "XDG_RUNTIME_DIR=$TMP/work/runtime" "${as_user[@]}"
	is "its folder is for nobody else" "$(stat -c %a runtime/panbind)" 700
	status "without either there is no place" 1 env -u PANBIND_SOCKET -u XDG_RUNTIME_DIR "${as_user[@]}" \
		"$panbindd" --foreground --log=none --device=sim:
	ok "which is said" grep -q "no place for a socket: give --socket, or set XDG_RUNTIME_DIR" "$TMP/err"
fi

# Completion: of options, and of what an option takes.
# shellcheck source=packaging/completions/panbindd
. "$SOURCE/packaging/completions/panbindd"
complete_words() {
	COMP_WORDS=(panbindd "$@") COMP_CWORD=$# COMPREPLY=()
	compopt() { :; }
	_panbindd panbindd
	echo "${COMPREPLY[*]}"
}
is "an option is completed" "$(complete_words --resto)" "--restore"
is "so is what it takes" "$(complete_words --print op)" "openrpc"
is "also behind a =" "$(complete_words --print = me)" "methods"
is "and a device" "$(complete_words --device s)" "sim:"

if command -v systemd-analyze >/dev/null; then
	mkdir units
	cp "$SOURCE/packaging/systemd/panbindd.socket" units
	sed "s|^ExecStart=[^ ]*|ExecStart=$panbindd|" "$BUILD/packaging/panbindd.service" >units/panbindd.service
	SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no ./units/panbindd.service ./units/panbindd.socket >verify 2>&1
	is "systemd takes the units" "$(grep -i panbindd verify | grep -v 'not-found\|masked')" ""
	level=$(systemd-analyze security --offline=yes ./units/panbindd.service 2>/dev/null | sed -nE 's/.*exposure level[^0-9]*([0-9]+)\.[0-9].*/\1/p')
	ok "and calls them well hardened (${level:-?})" test "${level:-9}" -le 1
fi
done_testing
