/* SPDX-License-Identifier: MIT */
/*
 * The method table. A row is all there is to say about a method: who may call it, what it takes, what it gives, what
 * runs. Sentences here end up in rpc.discover and in panbind-rpc(7).
 */
#include <string.h>

#include "decode.h"
#include "engine.h"
#include "methods.h"
#include "server.h"
#include "util.h"

#define AT(member)    .offset = offsetof(struct call, member)
#define AT_OP(member) .offset = offsetof(struct call_op, member)

static const struct word map_flags[] = {
	{"readonly", PANBIND_MAP_READONLY},
	{"noexec", PANBIND_MAP_NOEXEC},
	{"uncached", PANBIND_MAP_UNCACHED},
	{0},
};
static const struct word bo_flags[] = {
	{"no-mmap", PANBIND_BO_NO_MMAP},
	{"wb-mmap", PANBIND_BO_WB_MMAP},
	{0},
};
static const struct word durabilities[] = {
	{"sync", DURABILITY_SYNC},
	{"write", DURABILITY_WRITE},
	{"none", DURABILITY_NONE},
	{0},
};

static const struct word verifies[] = {
	{"none", PANBIND_LOG_VERIFY_NONE},
	{"end", PANBIND_LOG_VERIFY_END},
	{"each", PANBIND_LOG_VERIFY_EACH},
	{0},
};

static const struct word rebuild_sources[] = {
	{"shadow", REBUILD_FROM_SHADOW},
	{"log", REBUILD_FROM_LOG},
	{0},
};

/* ---- Parameters that recur ---- */

/* Rows, which the formatter takes for blocks. */
/* clang-format off */
#define DEVICE_PARAM \
	{"device", PARAM_NAME, AT(device), .help = "The device's name in the greeting; the first one by default"}
#define NAME_PARAM(what) \
	{"name", PARAM_NAME, .required = true, AT(name), .help = what}
#define VM_PARAM \
	{"vm", PARAM_NAME, .required = true, AT(vm), .help = "Name of the VM"}
#define VA_PARAM \
	{"va", PARAM_NUMBER, .required = true, AT(va), .max = UINT64_MAX, .help = "First address, page aligned"}
#define SIZE_PARAM \
	{"size", PARAM_NUMBER, .required = true, AT(size), .max = UINT64_MAX, .help = "Bytes, whole pages"}
#define BO_PARAMS \
	{"bo", PARAM_NAME, .required = true, AT(bo), .help = "Name of the BO"}, \
	{"bo_offset", PARAM_NUMBER, AT(bo_offset), .max = UINT64_MAX, .help = "Where in the BO, 0 by default"}, \
	{"flags", PARAM_FLAGS, AT(flags), .words = map_flags, .help = "How the GPU may use it"}
#define MISSING_OK_PARAM \
	{"missing_ok", PARAM_BOOL, AT(missing_ok), .help = "Succeed when there is none"}
#define UNTIL_PARAM(what) \
	{"until", PARAM_NUMBER, AT(until), .max = INT64_MAX, .has_offset = offsetof(struct call, has_until), .help = what}
#define TXN_ID_HELP "The client's own id; the same id again gives the first outcome and does nothing"
#define IF_GENERATION_PARAM \
	{"if_generation", PARAM_NUMBER, AT(if_generation), .max = INT64_MAX, \
	 .has_offset = offsetof(struct call, has_if_generation), \
	 .help = "Refuse (ESTALE) unless the VM's mapping is of this generation, see map_generation of vm.show"}
#define DRY_RUN_PARAM \
	{"dry_run", PARAM_BOOL, AT(check), .help = "Say what would be done; change nothing"}
#define SEQ_PARAM(what) \
	{"seq", PARAM_NUMBER, AT(seq), .max = INT64_MAX, .has_offset = offsetof(struct call, has_seq), .help = what}
#define FENCE_PARAMS \
	{"fenced", PARAM_BOOL, AT(fenced), \
	 .help = "Bind all ops in one asynchronous VM_BIND; without a `signal`, answer when it is over"}, \
	{"wait", PARAM_TEXT, AT(wait), .min = 1, .max = 160, \
	 .help = "With `fenced`: the syncobj of a script, NAME or NAME:POINT, that it waits for"}, \
	{"signal", PARAM_TEXT, AT(signal), .min = 1, .max = 160, \
	 .help = "With `fenced`: the syncobj that it signals; the answer does not wait for that"}
#define FORCE_PARAM \
	{"force", PARAM_BOOL, AT(force), \
	 .help = "Also where it is not known what a program's VM maps: that is displaced for good"}
#define PID_PARAM(what) \
	{"pid", PARAM_NUMBER, AT(pid), .min = 1, .max = INT32_MAX, .help = what}
#define ENSURE_PARAMS \
	{"comment", PARAM_TEXT, AT(comment), .max = 4096, .help = "Kept in the log's entry"}, \
	{"durability", PARAM_WORD, AT(durability), .words = durabilities, \
	 .help = "What the answer waits for: the log's sync (default), its write, or nothing"}, \
	DEVICE_PARAM
#define RECORD_PARAMS \
	{"txn_id", PARAM_TEXT, AT(txn_id), .min = 1, .max = 128, .help = TXN_ID_HELP}, \
	{"comment", PARAM_TEXT, AT(comment), .max = 4096, .help = "Kept in the log's entry"}, \
	{"durability", PARAM_WORD, AT(durability), .words = durabilities, \
	 .help = "What the answer waits for: the log's sync (default), its write, or nothing"}, \
	DEVICE_PARAM

static const struct param p_device[] = {DEVICE_PARAM};
static const struct param p_vm_create[] = {
	NAME_PARAM("Name of the new VM"),
	{"va_range", PARAM_NUMBER, AT(va_range), .max = UINT64_MAX, .help = "Bytes of VA; 0 lets the driver choose"},
	RECORD_PARAMS,
};
static const struct param p_vm_ensure[] = {
	NAME_PARAM("Name of the VM"),
	{"va_range", PARAM_NUMBER, AT(va_range), .max = UINT64_MAX, .help = "Bytes of VA that it has at least"},
	ENSURE_PARAMS,
};
static const struct param p_vm_destroy[] = {
	NAME_PARAM("Name of the VM"), MISSING_OK_PARAM, IF_GENERATION_PARAM, RECORD_PARAMS,
};
static const struct param p_vm_rebuild[] = {
	NAME_PARAM("Name of the VM"),
	{"from", PARAM_WORD, AT(from), .words = rebuild_sources,
	 .help = "What it is to map: what was bound (default), or what the log says"},
	{"force", PARAM_BOOL, AT(force), .help = "Also a VM that is usable"},
	IF_GENERATION_PARAM,
	RECORD_PARAMS,
};
static const struct param p_vm_adopt[] = {
	NAME_PARAM("Name of the VM; of several, each gets a dot and its id behind it"),
	{"vm_id", PARAM_NUMBER, AT(vm_id), .min = 1, .max = 32, .help = "Which VM of the open file; all by default"},
	PID_PARAM("The program: with its end the VMs are let go. By default whoever calls"),
	{"va_range", PARAM_NUMBER, AT(va_range), .max = UINT64_MAX, .help = "Bytes of VA that the program has, if known"},
	ENSURE_PARAMS,
};
static const struct param p_vm_drop[] = {
	{"name", PARAM_NAME, AT(name), .help = "Name of the VM"},
	PID_PARAM("Or: all VMs of this process"),
	ENSURE_PARAMS,
};
static const struct param p_vm_show[] = {
	NAME_PARAM("Name of the VM"),
	{"map", PARAM_BOOL, AT(map), .help = "List its mappings"},
	{"va", PARAM_NUMBER, AT(va), .max = UINT64_MAX, .help = "List mappings that end after this address"},
	{"limit", PARAM_NUMBER, AT(limit), .min = 1, .max = 10000, .fallback = 1000, .help = "Mappings at most"},
	DEVICE_PARAM,
};
static const struct param p_vm_state[] = {NAME_PARAM("Name of the VM"), DEVICE_PARAM};
static const struct param p_bo_create[] = {
	NAME_PARAM("Name of the new BO"),
	{"size", PARAM_NUMBER, .required = true, AT(size), .min = 1, .max = UINT64_MAX,
	 .help = "Bytes, rounded up to pages"},
	{"flags", PARAM_FLAGS, AT(flags), .words = bo_flags, .help = "How the CPU may map it"},
	{"vm", PARAM_NAME, AT(vm), .help = "The only VM that may map it"},
	RECORD_PARAMS,
};
static const struct param p_bo_ensure[] = {
	NAME_PARAM("Name of the BO"),
	{"size", PARAM_NUMBER, .required = true, AT(size), .min = 1, .max = UINT64_MAX,
	 .help = "Bytes, rounded up to pages"},
	{"flags", PARAM_FLAGS, AT(flags), .words = bo_flags, .help = "How the CPU may map it"},
	{"vm", PARAM_NAME, AT(vm), .help = "The only VM that may map it"},
	ENSURE_PARAMS,
};
static const struct param p_bo_destroy[] = {NAME_PARAM("Name of the BO"), MISSING_OK_PARAM, RECORD_PARAMS};
static const struct param p_bo_read[] = {
	NAME_PARAM("Name of the BO"),
	{"offset", PARAM_NUMBER, AT(offset), .max = UINT64_MAX, .help = "First byte"},
	{"size", PARAM_NUMBER, .required = true, AT(size), .min = 1, .max = 1 << 20, .help = "Bytes, at most 1 MiB"},
	DEVICE_PARAM,
};
static const struct param p_bo_write[] = {
	NAME_PARAM("Name of the BO"),
	{"offset", PARAM_NUMBER, AT(offset), .max = UINT64_MAX, .help = "First byte"},
	{"data", PARAM_BASE64, .required = true, AT(data), .max = 1 << 20, .help = "Base64 of at most 1 MiB"},
	DEVICE_PARAM,
};
static const struct param p_map[] = {
	VM_PARAM, VA_PARAM, SIZE_PARAM, BO_PARAMS, FENCE_PARAMS, FORCE_PARAM, IF_GENERATION_PARAM, RECORD_PARAMS,
};
static const struct param p_sparse_bind[] = {
	VM_PARAM, VA_PARAM, SIZE_PARAM, BO_PARAMS, FORCE_PARAM, IF_GENERATION_PARAM, RECORD_PARAMS,
};
static const struct param p_ensure[] = {
	VM_PARAM, VA_PARAM, SIZE_PARAM, BO_PARAMS, FORCE_PARAM, IF_GENERATION_PARAM, ENSURE_PARAMS,
};
static const struct param p_unmap[] = {
	VM_PARAM, VA_PARAM, SIZE_PARAM, FENCE_PARAMS, FORCE_PARAM, IF_GENERATION_PARAM, RECORD_PARAMS,
};
static const struct param p_range[] = {
	VM_PARAM, VA_PARAM, SIZE_PARAM, FORCE_PARAM, IF_GENERATION_PARAM, RECORD_PARAMS,
};
static const struct param p_txn_run[] = {
	{"vm", PARAM_NAME, AT(vm), .help = "The VM of ops that name none"},
	{"ops", PARAM_OPS, .required = true, AT(ops), .help = "What to do, in order, all or nothing"},
	FENCE_PARAMS,
	FORCE_PARAM,
	IF_GENERATION_PARAM,
	RECORD_PARAMS,
};
static const struct param p_txn_status[] = {
	{"txn_id", PARAM_TEXT, .required = true, AT(txn_id), .min = 1, .max = 128,
	 .help = "The id that was sent with the request"},
	DEVICE_PARAM,
};
static const struct param p_script_run[] = {
	{"text", PARAM_TEXT, .required = true, AT(text), .max = UINT32_MAX, .help = "The script, see panbind-script(5)"},
	{"file", PARAM_TEXT, AT(file), .max = 95, .help = "Its name in messages"},
	{"defines", PARAM_DEFINES, AT(defines), .help = "Values of $NAME"},
	{"check", PARAM_BOOL, AT(check), .help = "Check names, ranges and bounds; change nothing"},
	{"keep_going", PARAM_BOOL, AT(keep_going), .help = "Go on after a failed command"},
	FENCE_PARAMS,
	FORCE_PARAM,
	RECORD_PARAMS,
};
static const struct param p_state_dump[] = {
	{"vm", PARAM_NAME, AT(vm), .help = "One VM; all by default"},
	DEVICE_PARAM,
};
static const struct param p_state_plan[] = {
	{"text", PARAM_TEXT, .required = true, AT(text), .max = UINT32_MAX, .help = "The script, see panbind-script(5)"},
	{"file", PARAM_TEXT, AT(file), .max = 95, .help = "Its name in messages"},
	{"defines", PARAM_DEFINES, AT(defines), .help = "Values of $NAME"},
	FENCE_PARAMS,
	DEVICE_PARAM,
};
static const struct param p_state_diff[] = {
	VM_PARAM,
	SEQ_PARAM("As the log has it after this entry; by default as it is now"),
	{"to_vm", PARAM_NAME, AT(to_vm), .help = "The VM to compare with; the same one by default"},
	{"to_seq", PARAM_NUMBER, AT(to_seq), .max = INT64_MAX, .has_offset = offsetof(struct call, has_to_seq),
	 .help = "That one as the log has it after this entry"},
	{"text", PARAM_TEXT, AT(text), .max = UINT32_MAX, .help = "That one as this script makes it; it includes no files"},
	{"file", PARAM_TEXT, AT(file), .max = 95, .help = "The script's name in messages"},
	{"limit", PARAM_NUMBER, AT(limit), .min = 1, .max = 100000, .fallback = 1000, .help = "Differences at most"},
	DEVICE_PARAM,
};
static const struct param p_state_apply[] = {
	VM_PARAM,
	{"text", PARAM_TEXT, AT(text), .max = UINT32_MAX,
	 .help = "The script whose VM it shall be like; BOs that are not there are created"},
	{"file", PARAM_TEXT, AT(file), .max = 95, .help = "The script's name in messages"},
	SEQ_PARAM("Or: as the log has it after this entry"),
	{"to_vm", PARAM_NAME, AT(to_vm), .help = "Which VM of the script or of the log; alone: one that is there now"},
	DRY_RUN_PARAM,
	FENCE_PARAMS,
	IF_GENERATION_PARAM,
	RECORD_PARAMS,
};
static const struct param p_state_undo[] = {
	{"seq", PARAM_NUMBER, .required = true, AT(seq), .min = 1, .max = INT64_MAX, .help = "The entry to undo"},
	{"force", PARAM_BOOL, AT(force),
	 .help = "Although later entries touched its range, and without what is gone for good"},
	DRY_RUN_PARAM,
	IF_GENERATION_PARAM,
	RECORD_PARAMS,
};
static const struct param p_journal_show[] = {
	{"since", PARAM_NUMBER, AT(since), .max = INT64_MAX, .fallback = 1, .help = "The first sequence number"},
	{"limit", PARAM_NUMBER, AT(limit), .min = 1, .max = 1000, .fallback = 100, .help = "Entries at most"},
	DEVICE_PARAM,
};
static const struct param p_journal_compact[] = {
	UNTIL_PARAM("Fold entries up to this one into the snapshot; all by default"),
	DEVICE_PARAM,
};
static const struct param p_replay_run[] = {
	{"log", PARAM_TEXT, .required = true, AT(log), .min = 1, .max = 4095,
	 .help = "Path of a log file that the daemon may read"},
	UNTIL_PARAM("The last sequence number to repeat; the log's last by default"),
	{"vm", PARAM_NAME, AT(vm), .help = "Only this VM and the BOs it maps; all by default"},
	{"generation", PARAM_NUMBER, AT(generation), .max = INT64_MAX,
	 .help = "Which VM of that name; the newest by default"},
	{"verify", PARAM_WORD, AT(verify), .words = verifies,
	 .help = "Compare the mapping with what the log implies: none (default), at the end, or after each entry"},
	{"speed", PARAM_NUMBER, AT(speed), .max = 1000000,
	 .help = "1: at the recorded times, 2: twice as fast; 0 (default): as fast as it goes"},
	DEVICE_PARAM,
};
static const struct param p_subscribe[] = {
	{"since", PARAM_NUMBER, AT(since), .max = INT64_MAX, .has_offset = offsetof(struct call, has_since),
	 .help = "The first sequence number wanted; by default only what is new"},
	DEVICE_PARAM,
};

/* ---- Ops of txn.run ---- */

#define OP_RANGE \
	{"vm", PARAM_NAME, AT_OP(vm), .help = "Name of the VM; the transaction's by default"}, \
	{"va", PARAM_NUMBER, .required = true, AT_OP(va), .max = UINT64_MAX, .help = "First address, page aligned"}, \
	{"size", PARAM_NUMBER, .required = true, AT_OP(size), .max = UINT64_MAX, .help = "Bytes, whole pages"}

static const struct param p_op_map[] = {
	OP_RANGE,
	{"bo", PARAM_NAME, .required = true, AT_OP(bo), .help = "Name of the BO"},
	{"bo_offset", PARAM_NUMBER, AT_OP(bo_offset), .max = UINT64_MAX, .help = "Where in the BO, 0 by default"},
	{"flags", PARAM_FLAGS, AT_OP(flags), .words = map_flags, .help = "How the GPU may use it"},
};
static const struct param p_op_range[] = {OP_RANGE};

static const struct op_kind kinds[] = {
	{"map", PANBIND_LOG_MAP, p_op_map, ARRAY_SIZE(p_op_map), "Map a piece of a BO over whatever is there"},
	{"unmap", PANBIND_LOG_UNMAP, p_op_range, ARRAY_SIZE(p_op_range), "Unmap a range; holes in it are fine"},
	{"sparse-reserve", PANBIND_LOG_SPARSE_RESERVE, p_op_range, ARRAY_SIZE(p_op_range),
	 "Reserve a free range, backed by a dummy"},
	{"sparse-bind", PANBIND_LOG_SPARSE_BIND, p_op_map, ARRAY_SIZE(p_op_map),
	 "Back a piece of a sparse region with memory"},
	{"sparse-unbind", PANBIND_LOG_SPARSE_UNBIND, p_op_range, ARRAY_SIZE(p_op_range),
	 "Give a piece of a sparse region back to the dummy"},
	{"sparse-release", PANBIND_LOG_SPARSE_RELEASE, p_op_range, ARRAY_SIZE(p_op_range),
	 "Unmap a sparse region as it was reserved"},
};

const struct op_kind *op_kinds(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(kinds);
	return kinds;
}

/* ---- Results ---- */

#define SEQ_FIELD     {"seq", FIELD_INT, "Sequence number of its entry in the log"}
#define OUTCOME_FIELD {"outcome", FIELD_TEXT, "applied"}

static const struct field r_ping[] = {{"uptime_ms", FIELD_INT, "How long the daemon has been up"}};
static const struct field r_vm_created[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "1 for the first VM of this name, one more for each later one"},
	{"va_range", FIELD_HEX, "Bytes of VA given"},
	SEQ_FIELD,
};
static const struct field r_bo_created[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "1 for the first BO of this name, one more for each later one"},
	{"size", FIELD_HEX, "Bytes, rounded up"},
	SEQ_FIELD,
};
static const struct field r_vm_ensured[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "Which VM of that name"},
	{"va_range", FIELD_HEX, "Bytes of VA it has"},
	{"created", FIELD_BOOL, "false: it was there"},
	SEQ_FIELD,
};
static const struct field r_bo_ensured[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "Which BO of that name"},
	{"size", FIELD_HEX, "Bytes it has"},
	{"created", FIELD_BOOL, "false: it was there"},
	SEQ_FIELD,
};
static const struct field r_rebuilt[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "Of the new VM"},
	{"map_generation", FIELD_INT, "Of its mapping"},
	{"mappings", FIELD_INT, "How many there are"},
	{"ops", FIELD_INT, "Ops that made them"},
	{"lost_bytes", FIELD_HEX, "Bytes of VA that could not be brought back"},
	{"lost", FIELD_LIST, "The first thousand of those ranges: va, size, bo, bo_offset, reason"},
	SEQ_FIELD,
};
static const struct field r_diff[] = {
	{"same", FIELD_BOOL, "There is no difference"},
	{"count", FIELD_INT, "How many there are"},
	{"ops", FIELD_INT, "How many ops lead from the one to the other"},
	{"differences", FIELD_LIST, "change (-, +, ~), type (range, region, bo), va, size, from, to, anew"},
};
static const struct field r_applied[] = {
	{"planned", FIELD_INT, "Ops that it takes; 0: it is so already"},
	{"script", FIELD_TEXT, "What is done, as a script"},
	OUTCOME_FIELD,
	{"ops", FIELD_INT, "Ops that were done"},
	SEQ_FIELD,
};
static const struct field r_undone[] = {
	{"undone", FIELD_INT, "The entry"},
	{"planned", FIELD_INT, "Ops that it takes; 0: all is as it was before already"},
	{"script", FIELD_TEXT, "What is done, as a script"},
	{"conflicts", FIELD_LIST, "Later entries that touched its range"},
	{"left", FIELD_LIST, "With force, what stays as it is: vm, va, size, reason"},
	OUTCOME_FIELD,
	{"ops", FIELD_INT, "Ops that were done"},
	SEQ_FIELD,
};
static const struct field r_destroyed[] = {{"destroyed", FIELD_BOOL, "false: there was none"}, SEQ_FIELD};
static const struct field r_vms[] = {{"vms", FIELD_LIST, "name, generation, map_generation, state, va_range, mappings, rebuilding: as in vm.show"}};
static const struct field r_bos[] = {{"bos", FIELD_LIST, "name, generation, size, flags, vm"}};
static const struct field r_vm[] = {
	{"name", FIELD_TEXT, "As asked"},
	{"generation", FIELD_INT, "Which VM of that name"},
	{"map_generation", FIELD_INT, "Changes with each change of the mapping: the entry that changed it last, if there is a log"},
	{"state", FIELD_TEXT, "usable, unusable or poisoned"},
	{"reason", FIELD_TEXT, "Why it is not usable"},
	{"lost", FIELD_INT, "Sequence number of the entry since which its mapping is not known"},
	{"rebuilding", FIELD_OBJECT, "While vm.rebuild makes it anew: how many ops are done, of how many ops; 0 of 0 until its turn comes"},
	{"va_range", FIELD_HEX, "Bytes of VA"},
	{"mappings", FIELD_INT, "How many there are"},
	{"regions", FIELD_LIST, "Sparse regions: va, size"},
	{"map", FIELD_LIST, "Mappings: va, size, bo (null: it has no name any more; bo_was, bo_size), bo_generation, bo_offset, flags, sparse"},
	{"next", FIELD_HEX, "Ask again with this va: there are more mappings"},
	{"program", FIELD_OBJECT, "Whose VM it is: pid, argv, vm_id; sight: pages, books or none; why it is in part unknown"},
	{"unknown", FIELD_HEX, "Of a program's VM: bytes of VA of which it is not known what they map"},
	{"unknown_ranges", FIELD_LIST, "The same one by one: va, size"},
};
static const struct field r_adopted[] = {
	{"vms", FIELD_LIST, "name, generation, map_generation, program, mappings, unknown: as in vm.show"},
	SEQ_FIELD,
};
static const struct field r_dropped[] = {{"dropped", FIELD_LIST, "Names of the VMs that were let go"}, SEQ_FIELD};
static const struct field r_state[] = {
	{"map_generation", FIELD_INT, "As in vm.show"},
	{"state", FIELD_TEXT, "usable, unusable or poisoned"},
	{"reason", FIELD_TEXT, "Why it is not usable"},
	{"lost", FIELD_INT, "Sequence number of the entry since which its mapping is not known"},
};
static const struct field r_verified[] = {
	{"differences", FIELD_LIST, "The first thousand: va, size, shadow and driver (null, or sparse, bo, bo_offset, flags)"},
	{"verdict", FIELD_TEXT, "same, different, or unverified: there is no truth to compare with"},
	{"source", FIELD_TEXT, "Where the truth is from: pages (of a simulated device), books (debugfs gpuvas), none"},
	{"why", FIELD_TEXT, "Why there is none"},
	{"count", FIELD_INT, "How many differences there are"},
	{"compared_bytes", FIELD_HEX, "Bytes of VA that either side maps"},
	{"different_bytes", FIELD_HEX, "Bytes of VA that differ"},
};
static const struct field r_device[] = {
	{"name", FIELD_TEXT, "Name in this daemon"},
	{"backend", FIELD_TEXT, "drm or sim"},
	{"path", FIELD_TEXT, "Render node"},
	{"driver", FIELD_TEXT, "Kernel driver"},
	{"version", FIELD_TEXT, "Of the driver"},
	{"gpu_id", FIELD_HEX, "GPU product and revision"},
	{"va_bits", FIELD_INT, "Width of an address"},
	{"page_sizes", FIELD_HEX, "Bit n: pages of 2^n bytes"},
	{"max_vms", FIELD_INT, "VMs at once"},
	{"atomic", FIELD_TEXT, "Page table updates are atomic for the GPU: yes, no or unknown"},
	{"native_sparse", FIELD_TEXT, "The driver has MAP_SPARSE: yes, no or unknown"},
	{"vms", FIELD_INT, "VMs that are there"},
	{"bos", FIELD_INT, "BOs that are there"},
};
static const struct field r_data[] = {{"data", FIELD_TEXT, "Base64"}};
static const struct field r_written[] = {{"written", FIELD_INT, "Bytes"}};
static const struct field r_bound[] = {OUTCOME_FIELD, {"ops", FIELD_INT, "Ops that were done"}, SEQ_FIELD};
static const struct field r_status[] = {
	{"known", FIELD_BOOL, "false: it never happened, or its record is gone"},
	SEQ_FIELD,
	{"pending", FIELD_BOOL, "Done, but not yet on the log's disk"},
	{"outcome", FIELD_TEXT, "applied, rolled-back, partial or unknown"},
	{"interrupted", FIELD_BOOL, "Of a script of several transactions: it did not come to its end"},
	{"transactions", FIELD_INT, "How many of those are applied"},
	{"kept", FIELD_OBJECT, "first and last of their entries"},
	{"error", FIELD_OBJECT, "name, errno, stage, op, line and message, when it failed"},
};
static const struct field r_script[] = {
	OUTCOME_FIELD,
	{"commands", FIELD_INT, "Commands that were run"},
	{"ops", FIELD_INT, "Ops that were done"},
	{"failed", FIELD_INT, "Commands that failed"},
	{"output", FIELD_LIST, "What it printed, a text each"},
	{"errors", FIELD_LIST, "With keep_going: file, line, column, message"},
	{"transactions", FIELD_INT, "How many changed something"},
	SEQ_FIELD,
};
static const struct field r_dump[] = {
	{"script", FIELD_TEXT, "Rebuilds the state; contents of BOs are not part of it"},
};
static const struct field r_plan[] = {
	{"transactions", FIELD_LIST, "vm, file, line, ops, dropped, guarantee, units: as panbind plan --json has them"},
	{"totals", FIELD_OBJECT, "Sums over all transactions"},
	{"cut", FIELD_BOOL, "There are more units than are listed; all are counted"},
};
static const struct field r_entries[] = {
	{"entries", FIELD_LIST, "As the params of monitor.event"},
	{"next", FIELD_INT, "Ask again with this `since`: there are more"},
};
static const struct field r_journal[] = {
	{"path", FIELD_TEXT, "The log's file"},
	{"first", FIELD_INT, "First entry that is kept one by one"},
	{"last", FIELD_INT, "Last entry"},
	{"bytes", FIELD_INT, "Size of the file"},
	{"size_cap", FIELD_INT, "Above it the oldest entries are folded; 0: never"},
	{"queued", FIELD_INT, "Entries that are not yet written"},
	{"compacting", FIELD_BOOL, "Folding has work left"},
	{"refusing", FIELD_TEXT, "Why nothing can be recorded now: an errno's name, or null"},
	{"why", FIELD_TEXT, "The same in words; after a failed sync, what was found wrong"},
	{"cures", FIELD_INT, "How often it has gone on after that"},
};
static const struct field r_compact[] = {{"snapshot", FIELD_INT, "Entries up to this one are in the snapshot"}};
static const struct field r_replay[] = {
	{"entries", FIELD_INT, "Entries repeated"},
	{"ops", FIELD_INT, "Ops repeated"},
	{"skipped", FIELD_INT, "Entries that could not be repeated"},
	{"unknown", FIELD_INT, "Ranges of which the log does not know what they mapped: left unmapped"},
	{"differences", FIELD_INT, "Results, objects and ranges that are not as recorded"},
	{"problems", FIELD_LIST, "The first hundred of them: seq, message"},
};
static const struct field r_subscribe[] = {{"next", FIELD_INT, "Sequence number of the first event to come"}};
static const struct field r_discover[] = {{"openrpc", FIELD_TEXT, "Version of OpenRPC; the rest is the document"}};

/* ---- The table ---- */

#define PARAMS(p)  .params = p, .param_count = ARRAY_SIZE(p)
#define RESULTS(r) .results = r, .result_count = ARRAY_SIZE(r)
#define LOOP(fn)   .place = ON_LOOP, .on_loop = fn
#define DEVICE(fn) .place = ON_DEVICE, .on_device = fn
#define RECORDED   .journaled = true
#define HEAVY	   .heavy = true
#define WITH_FD	   .takes_fd = true

static const struct method table[] = {
	{"rpc.ping", ROLE_READ, LOOP(server_ping), RESULTS(r_ping),
	 .help = "Answer at once"},
	{"rpc.discover", ROLE_READ, LOOP(server_discover), RESULTS(r_discover),
	 .help = "Describe all methods as an OpenRPC document"},
	{"device.info", ROLE_READ, DEVICE(engine_device_info), PARAMS(p_device), RESULTS(r_device),
	 .help = "Say what a device is and can do"},
	{"vm.create", ROLE_BIND, DEVICE(engine_vm_create), RECORDED, PARAMS(p_vm_create), RESULTS(r_vm_created),
	 .help = "Create a VM; it lives until it is destroyed, whoever comes and goes"},
	{"vm.ensure", ROLE_BIND, DEVICE(engine_vm_ensure), RECORDED, PARAMS(p_vm_ensure), RESULTS(r_vm_ensured),
	 .help = "Create a VM unless there is one of that name"},
	{"vm.rebuild", ROLE_BIND, DEVICE(engine_vm_rebuild), RECORDED, PARAMS(p_vm_rebuild), HEAVY, RESULTS(r_rebuilt),
	 .help = "Put a new VM with the same mapping in the place of one that is lost"},
	{"vm.verify", ROLE_READ, DEVICE(engine_vm_verify), PARAMS(p_vm_state), HEAVY, RESULTS(r_verified),
	 .help = "Compare what panbind believes that a VM maps with what the driver has"},
	{"vm.destroy", ROLE_BIND, DEVICE(engine_vm_destroy), RECORDED, PARAMS(p_vm_destroy), RESULTS(r_destroyed),
	 .help = "Destroy a VM and all mappings in it"},
	{"vm.adopt", ROLE_BIND, DEVICE(engine_vm_adopt), RECORDED, WITH_FD, PARAMS(p_vm_adopt), RESULTS(r_adopted),
	 .help = "Take over VMs of a program, whose render node comes as a descriptor beside the request"},
	{"vm.drop", ROLE_BIND, DEVICE(engine_vm_drop), RECORDED, PARAMS(p_vm_drop), RESULTS(r_dropped),
	 .help = "Let a program's VM go, as it is"},
	{"vm.list", ROLE_READ, DEVICE(engine_vm_list), PARAMS(p_device), RESULTS(r_vms),
	 .help = "List VMs in order of creation"},
	{"vm.show", ROLE_READ, DEVICE(engine_vm_show), PARAMS(p_vm_show), HEAVY, RESULTS(r_vm),
	 .help = "Show a VM, with `map` also what is mapped where"},
	{"vm.state", ROLE_READ, DEVICE(engine_vm_state), PARAMS(p_vm_state), RESULTS(r_state),
	 .help = "Ask the driver whether a VM is usable"},
	{"bo.create", ROLE_BIND, DEVICE(engine_bo_create), RECORDED, PARAMS(p_bo_create), RESULTS(r_bo_created),
	 .help = "Create a buffer object"},
	{"bo.ensure", ROLE_BIND, DEVICE(engine_bo_ensure), RECORDED, PARAMS(p_bo_ensure), RESULTS(r_bo_ensured),
	 .help = "Create a buffer object unless the same is there"},
	{"bo.destroy", ROLE_BIND, DEVICE(engine_bo_destroy), RECORDED, PARAMS(p_bo_destroy), RESULTS(r_destroyed),
	 .help = "Give a buffer object up; live mappings keep its memory"},
	{"bo.list", ROLE_READ, DEVICE(engine_bo_list), PARAMS(p_device), RESULTS(r_bos),
	 .help = "List BOs in order of creation"},
	{"bo.read", ROLE_BIND, DEVICE(engine_bo_read), PARAMS(p_bo_read), HEAVY, RESULTS(r_data),
	 .help = "Read what a BO holds"},
	{"bo.write", ROLE_BIND, DEVICE(engine_bo_write), PARAMS(p_bo_write), RESULTS(r_written),
	 .help = "Write into a BO; contents are not part of the log"},
	{"bind.map", ROLE_BIND, DEVICE(engine_bind_map), RECORDED, PARAMS(p_map), RESULTS(r_bound),
	 .help = "Map a piece of a BO over whatever is there"},
	{"bind.ensure", ROLE_BIND, DEVICE(engine_bind_ensure), RECORDED, PARAMS(p_ensure), RESULTS(r_bound),
	 .help = "Map a piece of a BO unless it is mapped so already; then `ops` is 0"},
	{"bind.unmap", ROLE_BIND, DEVICE(engine_bind_unmap), RECORDED, PARAMS(p_unmap), RESULTS(r_bound),
	 .help = "Unmap a range; holes in it are fine"},
	{"sparse.reserve", ROLE_BIND, DEVICE(engine_sparse_reserve), RECORDED, PARAMS(p_range), RESULTS(r_bound),
	 .help = "Reserve a free range, backed by a dummy"},
	{"sparse.bind", ROLE_BIND, DEVICE(engine_sparse_bind), RECORDED, PARAMS(p_sparse_bind), RESULTS(r_bound),
	 .help = "Back a piece of a sparse region with memory, without a hole"},
	{"sparse.unbind", ROLE_BIND, DEVICE(engine_sparse_unbind), RECORDED, PARAMS(p_range), RESULTS(r_bound),
	 .help = "Give a piece of a sparse region back to the dummy"},
	{"sparse.release", ROLE_BIND, DEVICE(engine_sparse_release), RECORDED, PARAMS(p_range), RESULTS(r_bound),
	 .help = "Unmap a sparse region as it was reserved"},
	{"txn.run", ROLE_BIND, DEVICE(engine_txn_run), RECORDED, PARAMS(p_txn_run), RESULTS(r_bound),
	 .help = "Run ops over one or more VMs, all or nothing"},
	{"txn.status", ROLE_BIND, DEVICE(engine_txn_status), PARAMS(p_txn_status), RESULTS(r_status),
	 .help = "Say what became of a transaction id"},
	{"script.run", ROLE_BIND, DEVICE(engine_script_run), RECORDED, PARAMS(p_script_run), HEAVY, RESULTS(r_script),
	 .help = "Run a script on the VMs and BOs of the daemon"},
	{"state.dump", ROLE_READ, DEVICE(engine_state_dump), PARAMS(p_state_dump), HEAVY, RESULTS(r_dump),
	 .help = "Write the script that rebuilds the state"},
	{"state.plan", ROLE_READ, DEVICE(engine_state_plan), PARAMS(p_state_plan), HEAVY, RESULTS(r_plan),
	 .help = "Say what a script would do, unit by unit, and do nothing"},
	{"state.diff", ROLE_READ, DEVICE(engine_state_diff), PARAMS(p_state_diff), HEAVY, RESULTS(r_diff),
	 .help = "Say how what a VM maps differs from another VM, from the log, or from what a script makes"},
	{"state.apply", ROLE_BIND, DEVICE(engine_state_apply), RECORDED, PARAMS(p_state_apply), HEAVY, RESULTS(r_applied),
	 .help = "Make a VM map what is wanted, with as few ops as it takes, in one transaction"},
	{"state.undo", ROLE_BIND, DEVICE(engine_state_undo), RECORDED, PARAMS(p_state_undo), HEAVY, RESULTS(r_undone),
	 .help = "Put back what an entry of the log displaced"},
	{"journal.show", ROLE_READ, LOOP(server_journal_show), PARAMS(p_journal_show), HEAVY, RESULTS(r_entries),
	 .help = "List entries of the log"},
	{"journal.status", ROLE_READ, LOOP(server_journal_status), PARAMS(p_device), RESULTS(r_journal),
	 .help = "Say how the log is"},
	{"journal.compact", ROLE_ADMIN, LOOP(server_journal_compact), PARAMS(p_journal_compact), RESULTS(r_compact),
	 .help = "Fold old entries into the snapshot of the log"},
	{"replay.run", ROLE_ADMIN, DEVICE(engine_replay_run), PARAMS(p_replay_run), RESULTS(r_replay),
	 .help = "Repeat another log here; its names must be free"},
	{"monitor.subscribe", ROLE_READ, LOOP(server_subscribe), PARAMS(p_subscribe), RESULTS(r_subscribe),
	 .help = "Send monitor.event for each entry of the log, monitor.lost where entries are gone"},
};
/* clang-format on */

const struct method *method_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(table);
	return table;
}

const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}
