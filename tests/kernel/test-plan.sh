#!/bin/bash
# SPDX-License-Identifier: MIT
# The lock regions that a plan names are those that the atomic driver writes, one by one.
#
#	tests/kernel/test-plan.sh BUILD
set -u
exec "$(dirname "$0")/../../kernel/run" --panthor=atomic --time-limit=120 -- "$1/tests/kernel/plan_locks"
