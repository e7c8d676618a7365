#!/bin/bash
# SPDX-License-Identifier: MIT
# box.sh BUILD [BOOTS]: what a remap costs on the real driver in the kernel box, stock and atomic, through the raw ioctl and
# through libpanbind. The drivers are booted in turn, BOOTS times each (default 5), on one CPU; medians of all boots.
# CPU=N: which one (default 0).
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 boots=${2:-5}
results=$(mktemp)
trap 'rm -f "$results"' EXIT

for ((boot = 0; boot < boots; boot++)); do
	for driver in stock atomic; do
		taskset -c "${CPU:-0}" "$top/kernel/run" --panthor=$driver --time-limit=120 -- "$build/tests/kernel/bench_box" </dev/null |
			tr -d '\r' | sed "s/^/$driver /" >>"$results"
	done
done

sort -k 2,2 -k 1,1 -k 3,3n "$results" | awk -v boots="$boots" '
	{ key = $2 " " $1; value[key, ++count[key]] = $3; names[$2] = 1 }
	function median(key) { return value[key, int((count[key] + 1) / 2)] }
	function row(vm, ops,    raw, lib, driver) {
		raw = vm "/" ops "/ioctl"; lib = vm "/" ops "/libpanbind"
		printf "%-9s %5d  %8d %8d  %6.2f", vm, ops, median(raw " stock"), median(raw " atomic"),
			median(raw " atomic") / median(raw " stock")
		for (driver = 0; driver < 2; driver++)
			printf "  %8d %6.2f", median(lib (driver ? " atomic" : " stock")),
				median(lib (driver ? " atomic" : " stock")) / median(raw (driver ? " atomic" : " stock"))
		print ""
	}
	# What is left of one op a call when the system call is taken off.
	function over(vm, driver,    raw, floor) {
		raw = median(vm "/1/ioctl " driver)
		floor = median(vm "/1/nothing " driver)
		printf "%-9s %-7s %8d  %8d\n", vm, driver, floor, raw - floor
	}
	END {
		print "Remap of 4 KiB on the real driver, ns an op, medians of " boots " boots of each driver"
		print "                    raw ioctl            atomic/  libpanbind, and against the ioctl"
		print "VM          ops     stock   atomic   stock     stock           atomic"
		row("idle", 1); row("idle", 1000); row("resident", 1); row("resident", 1000)
		print "\nOne op a call: an ioctl that does nothing, and what the op takes beyond"
		over("idle", "stock"); over("idle", "atomic"); over("resident", "stock"); over("resident", "atomic")
	}'
