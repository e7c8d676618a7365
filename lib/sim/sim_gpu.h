/* SPDX-License-Identifier: MIT */
/*
 * The GPU's side of the simulator: what struct pb_gpu_ops of backend.h asks for.
 */
#ifndef SIM_GPU_H
#define SIM_GPU_H

#include "backend.h"

int sim_gpu_resident(struct pb_file *pf, uint32_t vm_id, int resident);
int sim_gpu_access(struct pb_file *pf, uint32_t vm_id, uint64_t va, void *value, size_t size, uint32_t flags);
int sim_gpu_stats(struct pb_file *pf, uint32_t vm_id, struct panbind_gpu_stats *ret_stats);
int sim_gpu_next_page(struct pb_file *pf, uint32_t vm_id, uint64_t va, struct pb_page *ret_page);
int sim_gpu_probe(struct pb_file *pf, pb_as_probe_fn *probe, void *data);

#endif /* SIM_GPU_H */
