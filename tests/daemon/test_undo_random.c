/* SPDX-License-Identifier: MIT */
/*
 * Undo after do gives the state before: random transactions in the daemon, undone one by one or from the last to the
 * first, and undone again. What the log says of the moment before is what the VM then maps, page by page.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"
#include "seed.h"

#define PAGES	    64 /* of each half of the addresses: most ops meet something */
#define REGION	    0x10000000
#define CHAIN	    6
#define ROUNDS	    12
#define MANY_ROUNDS 2000

static struct daemon daemon_;
static struct client client;

static int setup(void **state)
{
	const char *const options[] = {NULL};

	daemon_prepare(&daemon_);
	daemon_start(&daemon_, options);
	client_open(&client, &daemon_);
	json_decref(client_result(
		&client, "script.run",
		json_pack("{s:s}", "text",
			  "vm create v\nbo create a 256K\nbo create b 256K\n"
			  "sparse reserve v 0x10000000 256K\nmap v 0 64K a\nmap v 128K 64K b+64K --readonly")));
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_stop(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

static json_t *random_op(struct test_random *random)
{
	uint64_t pages = 1 + test_random_below(random, 12), first = test_random_below(random, PAGES - pages);
	uint64_t kind = test_random_below(random, 5), offset = test_random_below(random, PAGES - pages) * 4096;
	static const char *const words[] = {"map", "map", "unmap", "sparse-bind", "sparse-unbind"};
	json_t *op =
		json_pack("{s:s, s:I, s:I}", "op", words[kind], "va",
			  (json_int_t)(first * 4096 + (kind > 2 ? REGION : 0)), "size", (json_int_t)(pages * 4096));

	if (kind == 2 || kind == 4)
		return op;
	json_object_set_new(op, "bo", json_string(test_random_below(random, 2) ? "a" : "b"));
	json_object_set_new(op, "bo_offset", json_integer((json_int_t)offset));
	if (test_random_below(random, 4) == 0)
		json_object_set_new(op, "flags", json_pack("[s]", "readonly"));
	return op;
}

/** A transaction of up to five ops. Returns its entry. */
static json_int_t do_something(struct test_random *random)
{
	json_t *ops = json_array(), *result;
	json_int_t seq;

	for (uint64_t i = 0, n = 1 + test_random_below(random, 5); i < n; i++)
		json_array_append_new(ops, random_op(random));
	result = client_result(&client, "txn.run",
			       json_pack("{s:s, s:o, s:s}", "vm", "v", "ops", ops, "durability", "write"));
	seq = int_of(result, "seq");
	json_decref(result);
	return seq;
}

/** Undo an entry. Returns the entry that did it, 0: there was nothing to do. */
static json_int_t undo(json_int_t entry)
{
	json_t *result =
		client_result(&client, "state.undo", json_pack("{s:I, s:s}", "seq", entry, "durability", "write"));
	json_int_t seq = json_integer_value(json_object_get(result, "seq"));

	json_decref(result);
	return seq;
}

/** The VM maps what the log says that it mapped after this entry, and the driver has the same. */
static void assert_as_after(json_int_t entry, const char *what)
{
	json_t *diff = client_result(&client, "state.diff", json_pack("{s:s, s:I}", "vm", "v", "seq", entry));
	json_t *verified = client_result(&client, "vm.verify", json_pack("{s:s}", "name", "v"));

	if (!bool_of(diff, "same"))
		fail_msg("%s: not as after entry %lld: %s", what, (long long)entry, json_dumps(diff, 0));
	assert_string_equal(text_of(verified, "verdict"), "same");
	json_decref(diff);
	json_decref(verified);
}

static void test_undo_after_do_gives_the_state_before(void **state)
{
	struct test_random random = test_random_start("undo");
	size_t rounds = test_rounds(ROUNDS, MANY_ROUNDS);
	json_int_t last = do_something(&random);

	for (size_t round = 0; round < rounds; round++) {
		json_int_t done = do_something(&random), undone = undo(done), redone;

		assert_as_after(last, "undone");
		if (!undone)
			continue;
		redone = undo(undone);
		assert_as_after(done, "and the undo undone");
		last = redone ? redone : undone;
	}
}

static void test_undo_from_the_last_to_the_first(void **state)
{
	struct test_random random = test_random_start("undo of many");
	size_t rounds = test_rounds(ROUNDS / 4, MANY_ROUNDS / 4);

	for (size_t round = 0; round < rounds; round++) {
		json_int_t before = do_something(&random), done[CHAIN];

		for (int i = 0; i < CHAIN; i++)
			done[i] = do_something(&random);
		for (int i = CHAIN; i-- > 0;) {
			/* The undo of a later entry has touched the same ranges: with force it counts for nothing. */
			json_decref(client_result(&client, "state.undo",
						  json_pack("{s:I, s:b, s:s}", "seq", done[i], "force", 1, "durability",
							    "write")));
			assert_as_after(i > 0 ? done[i - 1] : before, "undone in a row");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_undo_after_do_gives_the_state_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_undo_from_the_last_to_the_first, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
