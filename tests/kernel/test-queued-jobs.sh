#!/bin/bash
# SPDX-License-Identifier: MIT
# What becomes of jobs that wait when other jobs, or their own group, come to a bad end: rules that the simulator keeps
# too (tests/unit/test_sim_group.c).
#
#	tests/kernel/test-queued-jobs.sh BUILD
set -u
export PANBIND_DEVICE=drm:/dev/dri/renderD128
exec "$(dirname "$0")/../../kernel/run" --time-limit=60 -- "$1/tests/kernel/queued_jobs"
