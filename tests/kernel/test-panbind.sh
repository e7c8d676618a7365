#!/bin/bash
# SPDX-License-Identifier: MIT
# All of panbind on the real driver in the kernel box: daemon, command line, log, kill, restore, replay, README, examples.
# shellcheck source=tests/kernel/each-box.sh
. "$(dirname "$0")/each-box.sh"
each_box "$0" "$@"
# shellcheck source=tests/shell/daemon.sh
. "$(dirname "$0")/../shell/daemon.sh"

# What the driver itself has mapped, from its debugfs: "VA SIZE" a line, the kernel's own objects (far up) left out.
driver_ranges() {
	cat /sys/kernel/debug/dri/*/gpuvas | awk '
		/^DRM GPU VA space|^VA space|^ *VAs/ { next }
		match($0, /0x[0-9a-f]+ *\| *0x[0-9a-f]+ *\| *0x[0-9a-f]+/) {
			split(substr($0, RSTART, RLENGTH), f, / *\| */)
			if (length(f[1]) < 15 || substr(f[1], 3, length(f[1]) - 14) < "8000")
				print f[1], f[2]
		}' | sed -E 's/0x0+([0-9a-f])/0x\1/g' | sort -u
}

# ---- The device ----
status "devices" 0 "$PANBIND" -j devices
json "finds the render node" '.devices[0].driver' panthor
status "info" 0 "$PANBIND" -j -d drm:auto info
json "knows driver and GPU" '.device | .backend, .driver, .va_bits' $'drm\npanthor\n48'
case $PANBIND_BOX in atomic) wanted=yes ;; *) wanted=unknown ;; esac
json "and whether updates are atomic" .device.atomic $wanted

# ---- A life on the daemon ----
start_daemon --device=drm:auto || exit 1
status "vm create" 0 "$PANBIND" vm create tex
status "bo create" 0 "$PANBIND" bo create pool 8M
status "bo create in one VM" 0 "$PANBIND" bo create own 64K --vm=tex
status "map" 0 "$PANBIND" map tex 0x100000 1M pool --comment='first light'
status "a piece over it" 0 "$PANBIND" map tex 0x140000 64K own
status "unmap inside of it" 0 "$PANBIND" unmap tex 0x180000 64K
status "sparse reserve" 0 "$PANBIND" sparse reserve tex 0x10_0000_0000 16M
status "sparse bind" 0 "$PANBIND" sparse bind tex 0x10_0010_0000 64K pool+1M
status "sparse bind across 2 MiB" 0 "$PANBIND" sparse bind tex 0x10_001f_0000 128K pool+2M
status "sparse unbind" 0 "$PANBIND" sparse unbind tex 0x10_0010_0000 64K
head -c 300000 /dev/urandom >noise
status "bo write" 0 "$PANBIND" bo write pool 4096 noise
status "bo read" 0 "$PANBIND" bo read pool 4096 300000
ok "gives the same bytes" cmp -s noise "$TMP/out"
script swap.pb 'begin' 'map tex 0x200000 64K pool' 'map tex 0x210000 64K pool+64K' 'commit' 'assert mapped tex 0x200000 128K pool+0' \
	'repeat 200 i' 'map tex 0x200000 64K pool+$(i % 8 * 64K)' 'end' 'syncobj create done' 'begin async' \
	'map tex 0x300000 64K own --signal=done:1' 'commit' 'syncobj wait done:1' 'assert state tex usable'
status "a script with a transaction and an asynchronous bind" 0 "$PANBIND" run swap.pb
status "a bind that the VM cannot take" 1 "$PANBIND" map tex 0x100000 16M pool
script half.pb 'begin' 'map tex 0x400000 64K pool' 'map tex 0xffff_ffff_f000 64K pool' 'commit'
status "a transaction that fails halfway" 1 "$PANBIND" run half.pb
status "leaves nothing" 0 "$PANBIND" run - <<<'assert unmapped tex 0x400000 64K'
status "plan" 0 "$PANBIND" -j plan - <<<'map tex 0x140000 64K pool'
json "knows region and atomicity" '.. | objects | select(has("lock_va")) | .lock_va, .lock_size, .atomic' \
	$'0x140000\n0x10000\n'$wanted
status "dump" 0 "$PANBIND" dump
cp "$TMP/out" before.pb
"$PANBIND" -j vm show tex | jq -r '.vm.mappings[] | select(.sparse != true) | .va + " " + .size' | sort -u >shown
ok "there is something in it" test "$(wc -l <shown)" -ge 6
driver_ranges >driver
is "the driver has each mapping that panbind shows" "$(comm -23 shown driver)" ""
status "which panbind can say itself" 0 "$PANBIND" -j vm verify tex
json "by the driver's books" '.result | .verdict, .source' $'same\nbooks'

# ---- Fenced ----
script fence.pb 'syncobj create go --signaled' 'syncobj create gone'
status "syncobjs" 0 "$PANBIND" run fence.pb
script fenced.pb 'map tex 0x600000 64K pool' 'unmap tex 0x700000 64K' 'map tex 0x800000 64K pool+64K'
status "a fenced bind" 0 "$PANBIND" run --fenced --wait=go fenced.pb
status "and one with a signal" 0 "$PANBIND" run --fenced --wait=go --signal=gone fenced.pb
status "which comes" 0 "$PANBIND" run - <<<'syncobj wait gone'
status "the driver has it" 0 "$PANBIND" vm verify tex
status "and takes it back" 0 "$PANBIND" run --fenced - <<<'unmap tex 0x600000 3M'

# ---- The log ----
status "log show" 0 "$PANBIND" log show
like "has all of it" "$(out)" "map tex 0x140000 0x10000 own"
status "log blame" 0 "$PANBIND" log blame tex 0x101000
like "knows who" "$(out)" "first light"
status "log verify" 0 "$PANBIND" log verify --deep
like "finds no problem" "$(out)" ": 0 problems"

# ---- Kill, restore ----
kill_daemon
is "the driver has let go of the mappings with the file" "$(comm -12 shown <(driver_ranges))" ""
start_daemon --device=drm:auto --restore || exit 1
status "dump after kill -9 and --restore" 0 "$PANBIND" dump
ok "is what it was" cmp -s before.pb "$TMP/out"
driver_ranges >driver
is "and the driver has it again" "$(comm -23 shown driver)" ""
status "and it goes on" 0 "$PANBIND" map tex 0x140000 64K pool
# Killed in the middle of work, five times.
for round in 1 2 3 4 5; do
	"$PANBIND" -q run - >/dev/null 2>&1 <<<'repeat 5000 i
	map tex 0x200000 64K pool+$(i % 16 * 64K)
	end' &
	client=$!
	sleep 0.0$((round * 2))
	kill_daemon
	wait $client
	start_daemon --device=drm:auto --restore || exit 1
done
status "after five kills in the middle of work" 0 "$PANBIND" log verify --deep
like "the log has no problem" "$(out)" ": 0 problems"
status "dump" 0 "$PANBIND" dump
cp "$TMP/out" before.pb
kill_daemon TERM

# ---- Replay ----
for device in drm:auto sim:minor=3 sim:; do
	status "replay --verify on $device" 0 "$PANBIND" -d $device replay --verify=each "$TMP/log.db"
	like "is the same" "$(out)" ": 0 differences"
done

# ---- The README's commands, with the machine's device in the simulator's place ----
readme=$SOURCE/README.md
mkdir bin home
ln -s "$PANBIND" bin/panbind
ln -s "$PANBINDD" bin/panbindd
sed -n '/<<.SCRIPT/,/^SCRIPT$/p' "$readme" | sed 's/-d sim:/-d drm:auto/' >first.sh
ok "the README's first script is for drm:auto now" grep -q -- '-d drm:auto run' first.sh
status "and runs" 0 env PATH="$PWD/bin:$PATH" bash first.sh
like "and shows the VA space" "$(out)" "vm tex: 64 KiB of 1 BO"
sed -n '/^panbindd --device/,/^```/p' "$readme" | grep -v '^```' |
	sed -e 's/--device sim:/--device drm:auto/' -e 's/-d sim:/-d drm:auto/' \
		-e '1a for i in $(seq 50); do panbind -q rpc rpc.ping >/dev/null 2>&1 && break; sleep 0.1; done' >daemon.sh
echo 'kill %1; wait' >>daemon.sh
status "the README's daemon commands run" 0 env HOME="$PWD/home" PANBIND_SOCKET="$PWD/home/s" PATH="$PWD/bin:$PATH" \
	bash -e daemon.sh
like "and the log knows who did it" "$(out)" "first light"
like "and the replay is the same" "$(cat "$TMP/out" "$TMP/err")" "0 differences"

# ---- The examples. Their readers need the simulated GPU; without those lines each is a script for any device. ----
for example in "$SOURCE"/examples/*.pb; do
	name=$(basename "$example")
	ok "$name has lines for the simulated GPU" grep -qE '^ *(gpu |assert (faults|torn|load) )' "$example"
	status "and stops at the first on a real one" 4 "$PANBIND" -d drm:auto run "$example"
	sed -E '/^ *(gpu |assert +(faults|torn|load) )/d' "$example" >"$name"
	status "$name without them" 0 "$PANBIND" -d drm:auto run "$name"
done

done_testing
