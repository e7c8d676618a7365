/* SPDX-License-Identifier: MIT */
/*
 * The command table: the one place that knows which commands there are.
 *
 * The parser is driven by it; usage lines, the manual's list and completion come from it. A new command is a row here
 * and a case in the session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "script_parser.h"

#define VM                                         \
	{                                          \
		"VM", PB_TYPE_VM, PB_FIELD_NAME, 0 \
	}
#define VM_NAME                                      \
	{                                            \
		"NAME", PB_TYPE_VM, PB_FIELD_NAME, 0 \
	}
#define VM_OPT                                                   \
	{                                                        \
		"VM", PB_TYPE_VM, PB_FIELD_NAME, PB_ARG_OPTIONAL \
	}
#define BO                                           \
	{                                            \
		"NAME", PB_TYPE_BO, PB_FIELD_NAME, 0 \
	}
#define SYNCOBJ                                           \
	{                                                 \
		"NAME", PB_TYPE_SYNCOBJ, PB_FIELD_NAME, 0 \
	}
#define POINT                                                   \
	{                                                       \
		"NAME[:POINT]", PB_TYPE_POINT, PB_FIELD_NONE, 0 \
	}
#define POINTS                                                                \
	{                                                                     \
		"NAME[:POINT]", PB_TYPE_POINT, PB_FIELD_NONE, PB_ARG_REPEATED \
	}
#define VA                                           \
	{                                            \
		"VA", PB_TYPE_NUMBER, PB_FIELD_VA, 0 \
	}
#define SIZE                                             \
	{                                                \
		"SIZE", PB_TYPE_NUMBER, PB_FIELD_SIZE, 0 \
	}
#define BO_OFFSET                                                \
	{                                                        \
		"BO[+OFF]", PB_TYPE_BO_OFFSET, PB_FIELD_OTHER, 0 \
	}
#define VALUE                                              \
	{                                                  \
		"VALUE", PB_TYPE_NUMBER, PB_FIELD_VALUE, 0 \
	}
#define COUNT                                          \
	{                                              \
		"N", PB_TYPE_NUMBER, PB_FIELD_VALUE, 0 \
	}
#define OFF                                                         \
	{                                                           \
		"OFF", PB_TYPE_NUMBER, PB_FIELD_VA, PB_ARG_OPTIONAL \
	}
#define LEN                                                           \
	{                                                             \
		"LEN", PB_TYPE_NUMBER, PB_FIELD_SIZE, PB_ARG_OPTIONAL \
	}
#define FIRST                                                            \
	{                                                                \
		"FIRST", PB_TYPE_NUMBER, PB_FIELD_VALUE, PB_ARG_OPTIONAL \
	}
#define TEXT                                                         \
	{                                                            \
		"TEXT", PB_TYPE_TEXT, PB_FIELD_NONE, PB_ARG_REPEATED \
	}
#define STATE                                                                \
	{                                                                    \
		"usable|unusable|poisoned", PB_TYPE_STATE, PB_FIELD_VALUE, 0 \
	}
#define SWITCH                                              \
	{                                                   \
		"on|off", PB_TYPE_SWITCH, PB_FIELD_VALUE, 0 \
	}
#define ASYNC                                                                 \
	{                                                                     \
		"async|fenced", PB_TYPE_ASYNC, PB_FIELD_NONE, PB_ARG_OPTIONAL \
	}
#define WORD(l)                                   \
	{                                         \
		l, PB_TYPE_WORD, PB_FIELD_NONE, 0 \
	}
#define WORD_OPT(l)                                             \
	{                                                       \
		l, PB_TYPE_WORD, PB_FIELD_NONE, PB_ARG_OPTIONAL \
	}

#define MAP_FLAGS (PB_OPT_READONLY | PB_OPT_NOEXEC | PB_OPT_UNCACHED)
#define SYNCS	  (PB_OPT_WAIT | PB_OPT_SIGNAL)
#define BINDS	  PB_VERB_BINDS
#define ASYNC_OK  (PB_VERB_BINDS | PB_VERB_ASYNC)
#define DIRECTIVE (PB_VERB_DIRECTIVE | PB_VERB_NO_EXPECT)

const struct pb_verb_spec pb_verbs[PB_VERB_COUNT] = {
	[PB_VERB_MAP] = {{"map"}, {VM, VA, SIZE, BO_OFFSET}, MAP_FLAGS | SYNCS, ASYNC_OK, "Map a piece of a BO"},
	[PB_VERB_UNMAP] = {{"unmap"}, {VM, VA, SIZE}, SYNCS, ASYNC_OK, "Remove whatever is mapped in a range"},
	[PB_VERB_SPARSE_RESERVE] =
		{{"sparse", "reserve"}, {VM, VA, SIZE}, 0, BINDS, "Reserve a sparse region, backed by a dummy"},
	[PB_VERB_SPARSE_BIND] = {{"sparse", "bind"},
				 {VM, VA, SIZE, BO_OFFSET},
				 MAP_FLAGS | SYNCS,
				 ASYNC_OK,
				 "Back a range of a sparse region with memory"},
	[PB_VERB_SPARSE_UNBIND] = {{"sparse", "unbind"},
				   {VM, VA, SIZE},
				   SYNCS,
				   ASYNC_OK,
				   "Give a range of a sparse region back to the dummy"},
	[PB_VERB_SPARSE_RELEASE] =
		{{"sparse", "release"}, {VM, VA, SIZE}, 0, BINDS, "Unmap a sparse region as it was reserved"},
	[PB_VERB_SPARSE_MAP] =
		{{"sparse", "map"}, {VM, VA, SIZE}, SYNCS, ASYNC_OK, "Back a range with the dummy, region or not"},
	[PB_VERB_ENSURE] = {{"ensure"},
			    {VM, VA, SIZE, BO_OFFSET},
			    MAP_FLAGS,
			    BINDS,
			    "Map a piece of a BO unless it is so already"},
	[PB_VERB_SYNC_ONLY] = {{"sync-only"}, {VM}, SYNCS, PB_VERB_ASYNC, "Wait and signal without binding anything"},
	[PB_VERB_BEGIN] =
		{{"begin"}, {ASYNC}, SYNCS, PB_VERB_NO_EXPECT, "Begin a transaction, or an asynchronous bind"},
	[PB_VERB_COMMIT] = {{"commit"}, {{0}}, 0, PB_VERB_ASYNC, "Keep what the block did, or submit it"},
	[PB_VERB_ROLLBACK] = {{"rollback"}, {{0}}, 0, PB_VERB_ASYNC | PB_VERB_NO_EXPECT, "Undo what the block did"},
	[PB_VERB_VM_CREATE] = {{"vm", "create"}, {VM_NAME}, PB_OPT_VA, 0, "Create a GPU VM"},
	[PB_VERB_VM_ENSURE] = {{"vm", "ensure"}, {VM_NAME}, PB_OPT_VA, 0, "Create a GPU VM unless it is there"},
	[PB_VERB_VM_DESTROY] =
		{{"vm", "destroy"}, {VM_NAME}, PB_OPT_MISSING_OK, 0, "Destroy a VM and all mappings in it"},
	[PB_VERB_VM_LIST] = {{"vm", "list"}, {{0}}, 0, 0, "List the VMs"},
	[PB_VERB_VM_SHOW] = {{"vm", "show"}, {VM_NAME}, PB_OPT_MAP, 0, "Show a VM's mappings, or draw its VA space"},
	[PB_VERB_VM_VERIFY] =
		{{"vm", "verify"}, {VM_NAME}, 0, 0, "Fail unless a VM's mapping is what the driver itself has"},
	[PB_VERB_BO_CREATE] = {{"bo", "create"}, {BO, SIZE}, PB_OPT_VM | PB_OPT_NO_MMAP | PB_OPT_WB, 0, "Create a BO"},
	[PB_VERB_BO_ENSURE] = {{"bo", "ensure"},
			       {BO, SIZE},
			       PB_OPT_VM | PB_OPT_NO_MMAP | PB_OPT_WB,
			       0,
			       "Create a BO unless the same is there"},
	[PB_VERB_BO_DESTROY] = {{"bo", "destroy"}, {BO}, PB_OPT_MISSING_OK, 0, "Drop a BO; live mappings of it stay"},
	[PB_VERB_BO_LIST] = {{"bo", "list"}, {{0}}, 0, 0, "List the BOs"},
	[PB_VERB_BO_LABEL] = {{"bo", "label"}, {BO, TEXT}, 0, 0, "Label a BO, for the driver's debug files too"},
	[PB_VERB_BO_FILL] = {{"bo", "fill"}, {BO, VALUE, OFF, LEN}, 0, 0, "Fill a BO with a 64-bit word"},
	[PB_VERB_BO_STAMP] = {{"bo", "stamp"}, {BO, FIRST}, 0, 0, "Put a self-checking stamp into each page of a BO"},
	[PB_VERB_SYNCOBJ_CREATE] = {{"syncobj", "create"}, {SYNCOBJ}, PB_OPT_SIGNALED, 0, "Create a syncobj"},
	[PB_VERB_SYNCOBJ_DESTROY] = {{"syncobj", "destroy"}, {SYNCOBJ}, 0, 0, "Destroy a syncobj"},
	[PB_VERB_SYNCOBJ_RESET] = {{"syncobj", "reset"}, {SYNCOBJ}, 0, 0, "Take the fence out of a syncobj"},
	[PB_VERB_SYNCOBJ_SIGNAL] = {{"syncobj", "signal"}, {POINT}, 0, 0, "Signal a syncobj, or a timeline's point"},
	[PB_VERB_SYNCOBJ_WAIT] = {{"syncobj", "wait"},
				  {POINTS},
				  PB_OPT_TIMEOUT | PB_OPT_ALL | PB_OPT_FOR_SUBMIT | PB_OPT_AVAILABLE,
				  0,
				  "Wait until a syncobj is signalled"},
	[PB_VERB_ASSERT_MAPPED] = {{"assert", "mapped"},
				   {VM, VA, SIZE, BO_OFFSET},
				   MAP_FLAGS,
				   0,
				   "Fail unless the range maps this piece of this BO"},
	[PB_VERB_ASSERT_SPARSE] =
		{{"assert", "sparse"}, {VM, VA, SIZE}, 0, 0, "Fail unless the whole range is backed by the dummy"},
	[PB_VERB_ASSERT_UNMAPPED] =
		{{"assert", "unmapped"}, {VM, VA, SIZE}, 0, 0, "Fail if anything is mapped in the range"},
	[PB_VERB_ASSERT_STATE] = {{"assert", "state"}, {VM, STATE}, 0, 0, "Fail unless the VM is in this state"},
	[PB_VERB_ASSERT_POINT] =
		{{"assert", "point"}, {SYNCOBJ, COUNT}, 0, 0, "Fail unless this is a timeline's last signalled point"},
	[PB_VERB_ASSERT_LOAD] =
		{{"assert", "load"}, {VM, VA, VALUE}, 0, 0, "Fail unless the GPU loads this 64-bit value"},
	[PB_VERB_ASSERT_FAULTS] =
		{{"assert", "faults"}, {VM, COUNT}, 0, 0, "Fail unless the GPU saw this many faults in the VM"},
	[PB_VERB_ASSERT_TORN] =
		{{"assert", "torn"}, {VM, COUNT}, 0, 0, "Fail unless readers found this many values that are no stamp"},
	[PB_VERB_IF_GENERATION] =
		{{"if-generation"}, {VM, COUNT}, 0, 0, "Fail if the VM's mapping is no longer of this generation"},
	[PB_VERB_DUMP] = {{"dump"}, {VM_OPT}, 0, 0, "Print a script that rebuilds a VM, or all"},
	[PB_VERB_ECHO] = {{"echo"}, {TEXT}, 0, 0, "Print a line"},
	[PB_VERB_GPU_RESIDENT] =
		{{"gpu", "resident"}, {VM, SWITCH}, 0, 0, "Give the VM an address-space slot, or take it away"},
	[PB_VERB_GPU_LOAD] = {{"gpu", "load"}, {VM, VA}, 0, 0, "Load and print a 64-bit value as the GPU sees it"},
	[PB_VERB_GPU_STORE] = {{"gpu", "store"}, {VM, VA, VALUE}, 0, 0, "Store a 64-bit value as the GPU would"},
	[PB_VERB_GPU_READ] = {{"gpu", "read"},
			      {VM, VA, SIZE},
			      PB_OPT_THREADS,
			      0,
			      "Start readers that load and check every page of a range, again and again"},
	[PB_VERB_GPU_STOP] = {{"gpu", "stop"}, {VM}, 0, 0, "Stop a VM's readers and report what they saw"},
	[PB_VERB_EXPECT] = {{"expect"},
			    {WORD("ERRNO"), WORD("COMMAND")},
			    0,
			    PB_VERB_NO_EXPECT,
			    "Fail unless the command fails with this errno"},
	[PB_VERB_DEFINE] = {{"define"}, {WORD("NAME"), WORD("VALUE")}, 0, DIRECTIVE, "Give a name a value, for $NAME"},
	[PB_VERB_INCLUDE] = {{"include"}, {WORD("GLOB")}, 0, DIRECTIVE, "Read other files here"},
	[PB_VERB_SEED] = {{"seed"}, {WORD("N")}, 0, DIRECTIVE, "Start the random numbers of rand() anew"},
	[PB_VERB_REPEAT] = {{"repeat"},
			    {WORD("COUNT"), WORD_OPT("NAME")},
			    0,
			    DIRECTIVE,
			    "Repeat the lines up to end; NAME counts from 0"},
	[PB_VERB_END] = {{"end"}, {{0}}, 0, DIRECTIVE, "End a repeat"},
};

const struct pb_option_spec pb_options[] = {
	{"--readonly", PB_OPT_READONLY, {0}},
	{"--noexec", PB_OPT_NOEXEC, {0}},
	{"--uncached", PB_OPT_UNCACHED, {0}},
	{"--wait", PB_OPT_WAIT, POINT},
	{"--signal", PB_OPT_SIGNAL, POINT},
	{"--va", PB_OPT_VA, {"SIZE", PB_TYPE_NUMBER, PB_FIELD_SIZE, 0}},
	{"--map", PB_OPT_MAP, {0}},
	{"--vm", PB_OPT_VM, {"VM", PB_TYPE_VM, PB_FIELD_OTHER, 0}},
	{"--no-mmap", PB_OPT_NO_MMAP, {0}},
	{"--wb", PB_OPT_WB, {0}},
	{"--signaled", PB_OPT_SIGNALED, {0}},
	{"--timeout", PB_OPT_TIMEOUT, {"MS", PB_TYPE_NUMBER, PB_FIELD_VALUE, 0}},
	{"--all", PB_OPT_ALL, {0}},
	{"--for-submit", PB_OPT_FOR_SUBMIT, {0}},
	{"--available", PB_OPT_AVAILABLE, {0}},
	{"--missing-ok", PB_OPT_MISSING_OK, {0}},
	{"--threads", PB_OPT_THREADS, {"N", PB_TYPE_NUMBER, PB_FIELD_VALUE, 0}},
};
const size_t pb_option_count = PB_ARRAY_SIZE(pb_options);

struct usage {
	char *at;
	size_t left, total;
};

static void __attribute__((format(printf, 2, 3))) usage_add(struct usage *usage, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(usage->at, usage->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	usage->total += (size_t)n;
	if ((size_t)n >= usage->left)
		n = usage->left > 0 ? (int)usage->left - 1 : 0;
	usage->at += n;
	usage->left -= (size_t)n;
}

static void usage_arg(struct usage *usage, const struct pb_arg_spec *arg)
{
	bool optional = arg->flags & PB_ARG_OPTIONAL;
	bool repeated = (arg->flags & PB_ARG_REPEATED) && arg->type != PB_TYPE_TEXT;

	usage_add(usage, " %s%s%s%s", optional ? "[" : "", arg->label, optional ? "]" : "", repeated ? "..." : "");
}

size_t pb_verb_usage(enum pb_verb verb, char *buffer, size_t size)
{
	const struct pb_verb_spec *spec = &pb_verbs[verb];
	struct usage usage = {buffer, size, 0};

	usage_add(&usage, "%s%s%s", spec->words[0], spec->words[1] ? " " : "", spec->words[1] ? spec->words[1] : "");
	for (size_t i = 0; i < PB_ARRAY_SIZE(spec->args) && spec->args[i].type != PB_TYPE_NONE; i++)
		usage_arg(&usage, &spec->args[i]);
	for (size_t i = 0; i < pb_option_count; i++) {
		const struct pb_option_spec *option = &pb_options[i];

		if (!(spec->options & option->bit))
			continue;
		usage_add(&usage, " [%s%s%s]", option->name, option->arg.type != PB_TYPE_NONE ? "=" : "",
			  option->arg.type != PB_TYPE_NONE ? option->arg.label : "");
	}
	return usage.total;
}
