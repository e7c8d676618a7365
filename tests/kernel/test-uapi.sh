#!/bin/bash
# SPDX-License-Identifier: MIT
# lib/uapi.h says what the kernel's own header says (tests/kernel/uapi/compare.c).
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$PWD debug='' out=''
# shellcheck source=kernel/box/env.sh
. kernel/box/env.sh
locate || exit 1
header=$out/include/panthor_drm.h
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# What is newer than the oldest driver is compared where the header has it.
have=()
for name in DRM_PANTHOR_VM_BIND_OP_MAP_SPARSE DRM_PANTHOR_BO_WB_MMAP DRM_PANTHOR_DEV_QUERY_TIMESTAMP_INFO \
	DRM_PANTHOR_DEV_QUERY_GROUP_PRIORITIES_INFO DRM_PANTHOR_DEV_QUERY_MMU_INFO drm_panthor_bo_set_label \
	drm_panthor_set_user_mmio_offset drm_panthor_bo_sync drm_panthor_bo_query_info drm_panthor_timestamp_info \
	drm_panthor_group_priorities_info drm_panthor_mmu_info PANTHOR_GROUP_PRIORITY_REALTIME gpu_features \
	selected_coherency; do
	! grep -qw "$name" "$header" || have+=("-DHAVE_$name")
done
# shellcheck disable=SC2046 # words
${CC:-gcc} -std=gnu11 -Wall -Werror -I"$(dirname "$header")" -Ilib $(pkg-config --cflags libdrm) "${have[@]}" \
	tests/kernel/uapi/compare.c -o "$dir/compare" && "$dir/compare"
