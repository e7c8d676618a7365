#!/bin/bash
# SPDX-License-Identifier: MIT
# A job that reads while its memory is remapped thousands of times: with atomic updates it comes to its end, without them
# the driver kills it.
# shellcheck source=tests/kernel/each-box.sh
. "$(dirname "$0")/each-box.sh"
each_box "$0" "$@"
exec "$1/tests/kernel/remap_job"
