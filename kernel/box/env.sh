# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by kernel/build and kernel/run: where things are. $top is the repository; $debug is "-debug" or nothing.

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# What the kernel says when it has found something wrong with itself.
# shellcheck disable=SC2034 # for kernel/run, and tests
REPORT='(WARNING|BUG|KASAN|UBSAN|INFO: (task|possible|suspicious)|kmemleak: [1-9])'

# locate: sets tree (a word for the kernel's tree), out (what one box needs, in this worktree), cache.
locate() {
	cache=${PANBIND_KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/panbind/kernel}
	tree=debian
	if [ -n "${KERNEL_SOURCE:-}" ]; then
		source=$(cd "$KERNEL_SOURCE" 2>/dev/null && pwd -P) || { say "KERNEL_SOURCE: no folder $KERNEL_SOURCE"; return 1; }
		tree=$(basename "$source")-$(printf '%s' "$source" | sha256sum | cut -c 1-8)
	fi
	out=$top/build/kernel/$tree$debug
}
