/* SPDX-License-Identifier: MIT */
/* The check before a bind: every rule refused for its own reason, at its own op; and nothing else refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define PAGE 4096u

static struct panbind_device device, other_device;
static struct panbind_bo bo = {.refs = 1, .device = &device, .size = 16 * PAGE};
static struct panbind_bo foreign_bo = {.refs = 1, .device = &other_device, .size = 16 * PAGE};
static struct panbind_bo own_bo = {.refs = 1, .device = &device, .size = 16 * PAGE, .exclusive_vm_id = 3};
static struct panbind_bo strangers_bo = {.refs = 1, .device = &device, .size = 16 * PAGE, .exclusive_vm_id = 4};
static struct panbind_syncobj syncobj = {.refs = 1, .device = &device};
static struct panbind_syncobj foreign_syncobj = {.refs = 1, .device = &other_device};

static const struct panbind_sync waits[] = {{&syncobj, 0, 0}};
static const struct panbind_sync foreign_signals[] = {{&syncobj, 1, 0}, {&foreign_syncobj, 2, 1}};

/* A VM of 1 MiB, number 3. */
static const struct pb_check sync_check = {&device, 1u << 20, 3, false};
static const struct pb_check async_check = {&device, 1u << 20, 3, true};

#define GOOD                                                                                                    \
	{                                                                                                       \
		.type = PANBIND_OP_MAP, .va = PAGE, .size = PAGE, .bo = &bo, .bo_offset = 15 * PAGE, .flags = 7 \
	}
#define MAP .type = PANBIND_OP_MAP, .bo = &bo

static const struct {
	const char *rule;
	struct panbind_op op;
} refused_everywhere[] = {
	{"the size is 0", {MAP, .va = PAGE}},
	{"the VA is not a multiple", {MAP, .va = 1, .size = PAGE}},
	{"the size is not a multiple", {MAP, .size = 1}},
	{"wraps around", {MAP, .va = -(uint64_t)PAGE, .size = PAGE}},
	{"there is no BO", {.type = PANBIND_OP_MAP, .size = PAGE}},
	{"unknown map flags 0x8", {MAP, .size = PAGE, .flags = 9}},
	{"BO offset 0x1 is not a multiple", {MAP, .size = PAGE, .bo_offset = 1}},
	{"beyond the BO", {MAP, .size = 17 * PAGE}},
	{"beyond the BO", {MAP, .size = PAGE, .bo_offset = 16 * PAGE}},
	{"the size is 0", {.type = PANBIND_OP_UNMAP}},
	{"it takes no flags", {.type = PANBIND_OP_UNMAP, .size = PAGE, .flags = 1}},
	{"it takes no BO", {.type = PANBIND_OP_UNMAP, .size = PAGE, .bo = &bo}},
	{"it takes no BO", {.type = PANBIND_OP_UNMAP, .size = PAGE, .bo_offset = PAGE}},
	{"it takes no BO", {.type = PANBIND_OP_MAP_SPARSE, .size = PAGE, .bo = &bo}},
	{"it takes no flags", {.type = PANBIND_OP_MAP_SPARSE, .size = PAGE, .flags = 1}},
	{"there is no op of type 4", {.type = (enum panbind_op_type)4, .size = PAGE}},
	{"beyond the VM, which ends at 0x100000", {MAP, .va = 1u << 20, .size = PAGE}},
	{"beyond the VM", {MAP, .va = (1u << 20) - PAGE, .size = 2 * PAGE}},
	{"beyond the VM", {.type = PANBIND_OP_UNMAP, .size = (1u << 20) + PAGE}},
	{"beyond the VM", {.type = PANBIND_OP_MAP_SPARSE, .size = UINT64_C(1) << 40}},
	{"another device", {.type = PANBIND_OP_MAP, .size = PAGE, .bo = &foreign_bo}},
	{"exclusive to VM 4, this is VM 3", {.type = PANBIND_OP_MAP, .size = PAGE, .bo = &strangers_bo}},
};

static const struct {
	const char *rule;
	struct panbind_op op;
} refused_sync[] =
	{
		{"only an asynchronous bind can wait", {MAP, .size = PAGE, .syncs = waits, .sync_count = 1}},
		{"only an asynchronous bind can do that", {.type = PANBIND_OP_SYNC_ONLY}},
		{"only an asynchronous bind can do that",
		 {.type = PANBIND_OP_SYNC_ONLY, .syncs = waits, .sync_count = 1}},
},
  refused_async[] = {
	  {"nothing to wait for", {.type = PANBIND_OP_SYNC_ONLY}},
	  {"it takes no range", {.type = PANBIND_OP_SYNC_ONLY, .va = PAGE, .syncs = waits, .sync_count = 1}},
	  {"it takes no range", {.type = PANBIND_OP_SYNC_ONLY, .size = PAGE, .syncs = waits, .sync_count = 1}},
	  {"it takes no BO", {.type = PANBIND_OP_SYNC_ONLY, .bo = &bo, .syncs = waits, .sync_count = 1}},
	  {"the syncobj of signal 1 belongs to another",
	   {MAP, .size = PAGE, .syncs = foreign_signals, .sync_count = 2}},
};

/* The op stands behind two good ones, so that the index in the error is its own and not a default. */
static void assert_refused(const struct pb_check *check, const struct panbind_op *op, const char *rule)
{
	struct panbind_op ops[] = {GOOD, GOOD, *op, GOOD};
	struct panbind_batch batch = {.ops = ops, .count = 4};
	struct panbind_error err = {0};

	assert_int_equal(pb_check_batch(check, &batch, &err), -EINVAL);
	assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(err.op, 2);
	assert_int_equal(err.va, op->va);
	assert_int_equal(err.size, op->size);
	if (strstr(err.msg, rule) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.msg, rule);
	assert_int_equal(pb_check_batch(check, &batch, NULL), -EINVAL);
}

static void assert_taken(const struct pb_check *check, struct panbind_op op)
{
	struct panbind_batch batch = {.ops = &op, .count = 1};
	struct panbind_error err;

	if (pb_check_batch(check, &batch, &err) != 0)
		fail_msg("refused: %s", err.msg);
}

static void each_rule_is_refused_for_its_own_reason(void **state)
{
	for (size_t i = 0; i < PB_ARRAY_SIZE(refused_everywhere); i++) {
		assert_refused(&sync_check, &refused_everywhere[i].op, refused_everywhere[i].rule);
		assert_refused(&async_check, &refused_everywhere[i].op, refused_everywhere[i].rule);
	}
}

static void synchronous_ops_carry_no_syncs(void **state)
{
	for (size_t i = 0; i < PB_ARRAY_SIZE(refused_sync); i++)
		assert_refused(&sync_check, &refused_sync[i].op, refused_sync[i].rule);
}

static void asynchronous_syncs_have_rules_too(void **state)
{
	for (size_t i = 0; i < PB_ARRAY_SIZE(refused_async); i++)
		assert_refused(&async_check, &refused_async[i].op, refused_async[i].rule);
}

static void an_empty_batch_is_refused(void **state)
{
	struct panbind_batch batch = {0};
	struct panbind_error err;

	assert_int_equal(pb_check_batch(&sync_check, &batch, &err), -EINVAL);
	assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(err.op, PANBIND_NO_OP);
	assert_string_equal(err.msg, "the batch is empty");
}

static void what_just_fits_is_taken(void **state)
{
	assert_taken(&sync_check, (struct panbind_op)GOOD);
	assert_taken(&sync_check, (struct panbind_op){MAP, .va = (1u << 20) - 16 * PAGE, .size = 16 * PAGE});
	assert_taken(&sync_check, (struct panbind_op){.type = PANBIND_OP_UNMAP, .size = 1u << 20});
	assert_taken(&sync_check, (struct panbind_op){.type = PANBIND_OP_MAP_SPARSE, .size = 1u << 20});
	assert_taken(&sync_check, (struct panbind_op){.type = PANBIND_OP_MAP, .size = PAGE, .bo = &own_bo});
	assert_taken(&async_check, (struct panbind_op){MAP, .size = PAGE, .syncs = waits, .sync_count = 1});
	assert_taken(&async_check, (struct panbind_op){.type = PANBIND_OP_SYNC_ONLY, .syncs = waits, .sync_count = 1});
}

static void the_message_names_the_op_and_its_range(void **state)
{
	struct panbind_op op = {MAP, .va = 0x3000, .size = 17 * PAGE};
	struct panbind_error err;

	assert_int_equal(pb_check_op(&op, 5, &err), -EINVAL);
	assert_int_equal(err.op, 5);
	assert_string_equal(err.msg,
			    "map 0x3000+0x11000: from offset 0x0 it reaches beyond the BO, which has 0x10000 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_is_refused_for_its_own_reason),
		cmocka_unit_test(synchronous_ops_carry_no_syncs),
		cmocka_unit_test(asynchronous_syncs_have_rules_too),
		cmocka_unit_test(an_empty_batch_is_refused),
		cmocka_unit_test(what_just_fits_is_taken),
		cmocka_unit_test(the_message_names_the_op_and_its_range),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
