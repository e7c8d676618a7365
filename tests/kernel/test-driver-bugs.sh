#!/bin/bash
# SPDX-License-Identifier: MIT
# The bugs of the stock driver are there, so that the tests that the atomic driver passes (test-locks.sh) are not empty.
# A bug that goes away here is one that our patches need not fix any longer.
# shellcheck source=tests/shell/lib.sh
. "$(dirname "$0")/../shell/lib.sh"
# shellcheck source=tests/kernel/locks/box.sh
. "$SOURCE/tests/kernel/locks/box.sh"
# shellcheck disable=SC2034 # for box.sh
BOX_LIMIT=60

# stock NAME TEST STATUS [CONSOLE]: the test ends with STATUS, a regular expression, on the stock driver, which says CONSOLE.
stock() {
	local got=0
	run_box stock "$BUILD/tests/kernel/lock_flaws" "$2" || got=$?
	like "$1" "$got" "^($3)$"
	[ -z "${4:-}" ] || like "  and the kernel says why" "$(tr -d '\0' <"$TMP/console")" "$4"
}

stock "a SIGNAL on no syncobj kills the kernel" "a_signal*" 121 'fault at addr 0x0'
stock "an array of 4G ops is a warning" "too_large*" 120 'WARNING.*kvmalloc'
stock "so is a wait for a later signal" "a_wait_for*" 120 'WARNING.*panthor_submit_ctx_add'
stock "an op of size 0 leaves something" "an_op_of_size_0*" '1|120'
stock "an op goes on without its lock" "a_lock_that_fails*" '1|120'
stock "so does an asynchronous one" "an_asynchronous*" '1|120'
stock "a VM that dies with a stuck AS leaks" "a_vm_that_dies*" '1|120|124'
stock "a fence names a scheduler that is gone" "fences_outlive*" 121 'at addr 0x0'
done_testing
