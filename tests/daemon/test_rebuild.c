/* SPDX-License-Identifier: MIT */
/*
 * A VM is rebuilt in steps: its neighbours go on meanwhile, and whatever stops it in the middle leaves the old one or
 * the new one under the name, never none.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define MANY 20000 /* mappings: so many turns of the executor that other calls come in between */
#define SOME 10000 /* of several entries in the log */
#define FEW  1000  /* of more than one turn */

static struct daemon daemon_;
static struct client client;

static void start(const char *device, const char *option)
{
	const char *const options[] = {option, NULL};

	daemon_start_for(&daemon_, &client, device, options);
}

static int setup(void **state)
{
	daemon_prepare(&daemon_);
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_kill(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

static void restart(const char *option)
{
	client_close(&client);
	daemon_kill(&daemon_);
	start(NULL, option);
}

static void run(const char *text)
{
	json_decref(client_result(&client, "script.run", json_pack("{s:s}", "text", text)));
}

/** A VM "game" of so many mappings that stay apart, and its neighbour "movie". */
static void make_vms(unsigned int mappings)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "vm create game\nvm create movie\nbo create b 1M\nrepeat %u i\nmap game $(i * 8K) 4K b\nend\n",
		 mappings);
	run(text);
}

static json_t *rebuild_params(void)
{
	return json_pack("{s:s, s:b}", "name", "game", "force", 1);
}

static json_t *map_params(const char *vm, uint64_t va)
{
	return json_pack("{s:s, s:I, s:i, s:s}", "vm", vm, "va", (json_int_t)va, "size", 4096, "bo", "b");
}

static json_t *show(struct client *who, const char *vm)
{
	return client_result(who, "vm.show", json_pack("{s:s}", "name", vm));
}

static json_int_t shown(const char *vm, const char *what)
{
	json_t *result = show(&client, vm);
	json_int_t value = int_of(result, what);

	json_decref(result);
	return value;
}

/** Calls of one line each, in one piece, so that the executor gets them together. The first has id 1. */
static void send_together(size_t count, const char *const *methods, const char *const *params)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	for (size_t i = 0; i < count; i++)
		fprintf(file, "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"%s\",\"params\":%s}\n", i + 1, methods[i],
			params[i]);
	fclose(file);
	client_send(&client, text, size);
	free(text);
}

/** The next answer must be to this call. Returned is the message. */
static json_t *next_answer(int id)
{
	json_t *message = client_read(&client);

	assert_non_null(message);
	assert_int_equal(int_of(message, "id"), id);
	return message;
}

/* ---- Others go on ---- */

static void test_a_neighbour_is_answered_first(void **state)
{
	json_t *answer;
	int rebuild, map;

	start(NULL, NULL);
	make_vms(MANY);
	/* When a VM is being rebuilt and its neighbour is asked for something, */
	rebuild = client_begin(&client, "vm.rebuild", rebuild_params());
	/* the neighbour's calls are carried out and recorded, one after the other, */
	for (uint64_t va = 0; va < 4 * 4096; va += 4096) {
		map = client_begin(&client, "bind.map", map_params("movie", va));
		answer = next_answer(map);
		assert_true(int_of(json_object_get(answer, "result"), "seq") > 0);
		json_decref(answer);
	}
	/* the VM is there as it was, */
	map = client_begin(&client, "vm.show", json_pack("{s:s}", "name", "game"));
	answer = next_answer(map);
	assert_int_equal(int_of(json_object_get(answer, "result"), "generation"), 1);
	assert_int_equal(int_of(json_object_get(answer, "result"), "mappings"), MANY);
	json_decref(answer);
	/* and only then the rebuild is over. */
	answer = next_answer(rebuild);
	assert_int_equal(int_of(json_object_get(answer, "result"), "generation"), 2);
	assert_int_equal(int_of(json_object_get(answer, "result"), "mappings"), MANY);
	json_decref(answer);
	assert_int_equal(shown("movie", "mappings"), 4);
	restart("--restore");
	assert_int_equal(shown("game", "mappings"), MANY);
	assert_int_equal(shown("game", "generation"), 2);
	assert_int_equal(shown("movie", "mappings"), 4);
}

#define REBUILD "{\"name\":\"game\",\"force\":true}"

/** Ops done and to be done, as the VM's description has them; false: it is not being rebuilt. */
static bool progress_of(const json_t *vm, json_int_t *ret_done, json_int_t *ret_ops)
{
	const json_t *rebuilding = json_object_get(vm, "rebuilding");

	if (!rebuilding)
		return false;
	*ret_done = int_of(rebuilding, "done");
	*ret_ops = int_of(rebuilding, "ops");
	return true;
}

static void test_those_that_wait_for_their_turn_are_told(void **state)
{
	json_t *answer, *vms;
	json_int_t done = -1, ops = -1;

	start(NULL, NULL);
	make_vms(FEW);
	/* Two rebuilds and a look at them in one piece: none has begun. */
	send_together(3, (const char *const[]){"vm.rebuild", "vm.rebuild", "vm.list"},
		      (const char *const[]){REBUILD, "{\"name\":\"movie\",\"force\":true}", "{}"});
	answer = next_answer(3);
	vms = json_object_get(json_object_get(answer, "result"), "vms");
	for (size_t i = 0; i < 2; i++) {
		assert_true(progress_of(json_array_get(vms, i), &done, &ops));
		assert_int_equal(done, 0);
		assert_int_equal(ops, 0);
	}
	json_decref(answer);
	json_decref(next_answer(1));
	json_decref(next_answer(2));
	vms = client_result(&client, "vm.list", NULL);
	for (size_t i = 0; i < 2; i++)
		assert_false(progress_of(json_array_get(json_object_get(vms, "vms"), i), &done, &ops));
	json_decref(vms);
}

/** Watch one rebuild. Was it seen in the middle? */
static bool see_the_middle(void)
{
	json_int_t before = 0, done = 0, ops = 0;
	int rebuild = client_begin(&client, "vm.rebuild", rebuild_params()), look = 0;
	bool seen = false, goes_on = true;
	json_t *answer;

	while (goes_on) {
		look = client_begin(&client, "vm.show", json_pack("{s:s}", "name", "game"));
		answer = client_read(&client);
		goes_on = int_of(answer, "id") == look;
		assert_true(goes_on || int_of(answer, "id") == rebuild);
		if (goes_on && progress_of(json_object_get(answer, "result"), &done, &ops)) {
			assert_true(done >= before && done <= ops);
			seen |= done > 0 && done < ops;
			before = done;
		}
		json_decref(answer);
	}
	json_decref(next_answer(look));
	return seen;
}

static void test_how_far_it_is_can_be_seen(void **state)
{
	bool seen = false;

	start(NULL, NULL);
	make_vms(MANY);
	for (int i = 0; i < 20 && !seen; i++) /* who is not let run may miss all of one */
		seen = see_the_middle();
	assert_true(seen);
}

/* What would change the VM while it is rebuilt is to come again later, and may then. */
static void test_the_vm_itself_is_busy(void **state)
{
	static const char *const methods[] = {"vm.rebuild", "bind.map",	  "txn.run",	 "vm.destroy",
					      "vm.rebuild", "bo.create",  "state.apply", "script.run",
					      "script.run", "script.run", "script.run"};
	static const char *const params[] = {
		REBUILD,
		"{\"vm\":\"game\",\"va\":4096,\"size\":4096,\"bo\":\"b\",\"txn_id\":\"later\"}",
		"{\"ops\":[{\"op\":\"unmap\",\"vm\":\"game\",\"va\":0,\"size\":4096}]}",
		"{\"name\":\"game\"}",
		REBUILD,
		"{\"name\":\"own\",\"size\":4096,\"vm\":\"game\"}",
		"{\"vm\":\"game\",\"text\":\"vm create game\"}",
		"{\"text\":\"unmap game 0 4K\",\"txn_id\":\"later script\"}",
		"{\"text\":\"begin async\\nunmap game 0 4K\\ncommit\"}",
		"{\"text\":\"sparse reserve game 8G 2M\"}",
		"{\"text\":\"vm destroy game\"}",
	};
	const int count = sizeof(methods) / sizeof(methods[0]);

	start(NULL, NULL);
	make_vms(FEW);
	send_together((size_t)count, methods, params);
	for (int id = 2; id <= count; id++) {
		json_t *answer = next_answer(id), *data;

		print_message("# %s %s\n", methods[id - 1], params[id - 1]);
		data = json_object_get(json_object_get(answer, "error"), "data");
		assert_string_equal(text_of(data, "name"), "EBUSY");
		assert_string_equal(text_of(data, "stage"), "validate");
		assert_string_equal(text_of(data, "applied"), "none");
		assert_true(bool_of(data, "retryable"));
		json_decref(answer);
	}
	json_decref(next_answer(1));
	assert_int_equal(shown("game", "mappings"), FEW);
	/* Nothing was done under their ids: the same calls are carried out now. */
	for (int i = 1; i <= 7; i += 6) {
		json_t *result = client_result(&client, methods[i], json_loads(params[i], 0, NULL));

		assert_null(json_object_get(result, "repeated"));
		json_decref(result);
	}
	assert_int_equal(shown("game", "mappings"), FEW);
	json_decref(client_result(&client, "vm.destroy", json_pack("{s:s}", "name", "game")));
}

/* BOs may go while they are being mapped anew: what they hold stays for as long as it is mapped. */
static void test_a_bo_that_goes_meanwhile_stays_mapped(void **state)
{
	json_t *answer;

	start(NULL, NULL);
	make_vms(FEW);
	send_together(2, (const char *const[]){"vm.rebuild", "bo.destroy"},
		      (const char *const[]){REBUILD, "{\"name\":\"b\"}"});
	json_decref(next_answer(2));
	answer = next_answer(1);
	assert_int_equal(hex_of(json_object_get(answer, "result"), "lost_bytes"), 0);
	json_decref(answer);
	assert_int_equal(shown("game", "mappings"), FEW);
	restart("--restore");
	assert_int_equal(shown("game", "mappings"), FEW);
}

static void test_two_vms_are_rebuilt_one_after_the_other(void **state)
{
	json_t *answer;

	start(NULL, NULL);
	make_vms(FEW);
	json_decref(client_result(&client, "bind.map", map_params("movie", 0)));
	send_together(2, (const char *const[]){"vm.rebuild", "vm.rebuild"},
		      (const char *const[]){REBUILD, "{\"name\":\"movie\",\"force\":true}"});
	answer = next_answer(1);
	assert_int_equal(int_of(json_object_get(answer, "result"), "mappings"), FEW);
	json_decref(answer);
	answer = next_answer(2);
	assert_int_equal(int_of(json_object_get(answer, "result"), "mappings"), 1);
	json_decref(answer);
}

/* ---- What stops it ---- */

/** When the log's write-ahead file was last written to. */
static struct timespec last_write(void)
{
	struct stat st = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s-wal", daemon_.log);
	stat(path, &st);
	return st.st_mtim;
}

static bool is_same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Killed at the first moment at which the log has anything of the rebuild; whatever that is, the VM is there. */
static void test_a_kill_in_the_middle_leaves_the_vm(void **state)
{
	struct timespec before;

	start(NULL, NULL);
	make_vms(SOME);
	for (int round = 0; round < 3; round++) {
		before = last_write();
		client_begin(&client, "vm.rebuild", rebuild_params());
		while (is_same(last_write(), before))
			;
		usleep((useconds_t)(round * 700));
		restart("--restore");
		assert_int_equal(shown("game", "mappings"), SOME);
	}
}

static json_int_t last_seq(void)
{
	json_t *status = client_result(&client, "journal.status", NULL);
	json_int_t last = int_of(status, "last");

	json_decref(status);
	return last;
}

/** Until the VM takes changes again. */
static void wait_until_free(void)
{
	for (;;) {
		json_t *answer = client_call(&client, "bind.map", map_params("game", 1ull << 40));
		bool done = json_object_get(answer, "result") != NULL;

		if (!done)
			assert_string_equal(data_text(json_object_get(answer, "error"), "name"), "EBUSY");
		json_decref(answer);
		if (done)
			return;
		usleep(1000);
	}
}

static void test_a_client_that_vanishes_ends_it(void **state)
{
	struct client gone;
	struct pollfd fd;
	json_int_t before;

	start(NULL, NULL);
	make_vms(MANY);
	before = last_seq();
	client_open(&gone, &daemon_);
	client_begin(&gone, "vm.rebuild", rebuild_params());
	client_begin(&gone, "bind.map", map_params("movie", 0));
	/* Once it runs, and with an answer unread, so that the daemon hears of it at once: */
	fd = (struct pollfd){.fd = gone.fd, .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 60000), 1);
	client_close(&gone);
	wait_until_free();
	assert_int_equal(shown("game", "generation"), 1);
	assert_int_equal(shown("game", "mappings"), MANY + 1);
	assert_int_equal(last_seq(), before + 2); /* the two maps */
	/* Nothing is left of it: it can be had again. */
	json_decref(client_result(&client, "vm.rebuild", rebuild_params()));
	assert_int_equal(shown("game", "generation"), 2);
}

static void test_sigterm_ends_it_and_says_so(void **state)
{
	json_t *message, *answer = NULL;
	int rebuild;

	start(NULL, NULL);
	make_vms(MANY);
	rebuild = client_begin(&client, "vm.rebuild", rebuild_params());
	json_decref(next_answer(client_begin(&client, "bind.map", map_params("movie", 0))));
	kill(daemon_.pid, SIGTERM);
	while ((message = client_read(&client))) {
		if (json_object_get(message, "id") && int_of(message, "id") == rebuild)
			answer = json_incref(message);
		json_decref(message);
	}
	assert_int_equal(daemon_wait(&daemon_), 0);
	assert_non_null(answer);
	assert_string_equal(data_text(json_object_get(answer, "error"), "name"), "ECANCELED");
	assert_string_equal(data_text(json_object_get(answer, "error"), "applied"), "none");
	json_decref(answer);
	client_close(&client);
	start(NULL, "--restore");
	assert_int_equal(shown("game", "generation"), 1);
	assert_int_equal(shown("game", "mappings"), MANY);
}

/* ---- A log that refuses ---- */

/** The log may not grow, or may again. What it has already written out of its file it may still use. */
static void let_log_grow(bool may)
{
	const struct rlimit limit = {may ? RLIM_INFINITY : 65536, RLIM_INFINITY};

	assert_int_equal(prlimit(daemon_.pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void test_a_log_that_refuses_leaves_the_old_one(void **state)
{
	json_t *error, *answer;

	start(NULL, NULL);
	make_vms(SOME);
	let_log_grow(false);
	/* When the log has no room for the new VM, */
	error = client_error(&client, -32004, "vm.rebuild", rebuild_params());
	assert_string_equal(data_text(error, "stage"), "journal");
	assert_string_equal(data_text(error, "applied"), "none");
	json_decref(error);
	/* the old one is there, and is the one that the log knows: of its generation, with its mapping. */
	assert_int_equal(shown("game", "generation"), 1);
	assert_int_equal(shown("game", "mappings"), SOME);
	answer = client_result(&client, "state.diff",
			       json_pack("{s:s, s:I}", "vm", "game", "to_seq", (json_int_t)last_seq()));
	assert_true(bool_of(answer, "same"));
	json_decref(answer);
	/* With room again it can be rebuilt, from the log too, and comes back as that. */
	let_log_grow(true);
	for (;;) {
		answer = client_call(&client, "vm.rebuild",
				     json_pack("{s:s, s:b, s:s}", "name", "game", "force", 1, "from", "log"));
		if (json_object_get(answer, "result"))
			break;
		assert_int_equal(int_of(json_object_get(answer, "error"), "code"), -32004);
		json_decref(answer);
		usleep(5000);
	}
	assert_int_equal(int_of(json_object_get(answer, "result"), "generation"), 2);
	json_decref(answer);
	restart("--restore");
	assert_int_equal(shown("game", "generation"), 2);
	assert_int_equal(shown("game", "mappings"), SOME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_neighbour_is_answered_first),
		TEST(test_the_vm_itself_is_busy),
		TEST(test_a_bo_that_goes_meanwhile_stays_mapped),
		TEST(test_two_vms_are_rebuilt_one_after_the_other),
		TEST(test_a_kill_in_the_middle_leaves_the_vm),
		TEST(test_a_client_that_vanishes_ends_it),
		TEST(test_those_that_wait_for_their_turn_are_told),
		TEST(test_how_far_it_is_can_be_seen),
		TEST(test_sigterm_ends_it_and_says_so),
		TEST(test_a_log_that_refuses_leaves_the_old_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
