/* SPDX-License-Identifier: MIT */
/*
 * kill -9 at a random moment under load, again and again. After each restart: what was acknowledged is in the log, no
 * entry is half there, and the restored VMs map what a model makes of the log's entries. Of a script of several
 * transactions its first ones are there, from none to all, and what is said of its id is just that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "seed.h"

#define CLIENTS	  3
#define DEPTH	  16
#define PAGES	  64
#define PAGE	  4096u
#define UNMAPPED  UINT64_MAX
#define MOST_DONE 65536

/* Seconds of load, and how many rounds may end too early before that is made longer. */
#define SHORTEST    0.025
#define LONGEST	    2.0
#define MOST_BARREN 8

/** What one transaction was, so that its entry can be compared; or one script. */
struct sent {
	int ops;
	uint64_t first_va;
	bool script;
	int transactions; /* of the script, each of one op, at pages that follow each other */
	bool keep_going, ended, acknowledged;
	int found;			/* how many of them the log has */
	json_int_t first_seq, last_seq; /* their entries */
};

/** An answer that said it is done. */
struct acknowledged {
	json_int_t seq;
	int number;
};

static struct daemon daemon_;
static struct test_random randomness;
static struct sent *sents;
static int sent_count, sent_room;
static struct acknowledged done[MOST_DONE];
static size_t done_count;
static uint64_t pages[PAGES]; /* the model: offset in the BO, or UNMAPPED */
static bool has_extra;	      /* the model: whether the VM "extra" is there */
static json_int_t consumed;   /* the last seq that the model has seen */
static double patience;	      /* seconds until the latest kill: as long as this machine takes to answer something */
static int judged;	      /* what was sent before this was judged in an earlier round */
static int scripts_ended, scripts_interrupted;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_random_below(&randomness, n);
}

static int remember(int ops, uint64_t first_va)
{
	if (sent_count == sent_room) {
		sent_room = sent_room ? sent_room * 2 : 1024;
		sents = realloc(sents, (size_t)sent_room * sizeof(*sents));
		assert_non_null(sents);
	}
	sents[sent_count] = (struct sent){.ops = ops, .first_va = first_va};
	return sent_count++;
}

/* ---- Load ---- */

static json_t *random_op(uint64_t va)
{
	if (below(4) == 0)
		return json_pack("{s:s, s:I, s:i}", "op", "unmap", "va", (json_int_t)va, "size", PAGE);
	return json_pack("{s:s, s:I, s:i, s:s, s:i}", "op", "map", "va", (json_int_t)va, "size", PAGE, "bo", "b",
			 "bo_offset", (int)below(256) * (int)PAGE);
}

/** Send a transaction of one to five ops; its id is its number, which is the call's id too. */
static void send_txn(struct client *client)
{
	uint64_t first_va = below(PAGES) * (uint64_t)PAGE, va = first_va;
	int count = 1 + (int)below(5), number = remember(count, first_va);
	json_t *ops = json_array();
	char id[24];

	for (int i = 0; i < count; i++) {
		json_array_append_new(ops, random_op(va));
		va = below(PAGES) * (uint64_t)PAGE;
	}
	snprintf(id, sizeof(id), "n%d", number);
	client->next_id = number;
	client_begin(client, "txn.run", json_pack("{s:s, s:o, s:s}", "vm", "v", "ops", ops, "txn_id", id));
}

/** A script of a few transactions, each a block or, when it goes on after failures, a command. */
static json_t *script_params(int number)
{
	const struct sent *sent = &sents[number];
	char *text = NULL, id[24];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	json_t *params;

	assert_non_null(out);
	for (int i = 0; i < sent->transactions; i++)
		fprintf(out, "%smap v 0x%llx 4K b+%d%s\n", sent->keep_going ? "" : "begin\n",
			(unsigned long long)sent->first_va + (unsigned long long)i * PAGE, number % 256 * (int)PAGE,
			sent->keep_going ? "" : "\ncommit");
	fclose(out);
	snprintf(id, sizeof(id), "n%d", number);
	params = json_pack("{s:s, s:s, s:b}", "text", text, "txn_id", id, "keep_going", sent->keep_going);
	free(text);
	return params;
}

static void send_script(struct client *client)
{
	int count = 2 + (int)below(5), number = remember(1, below(PAGES - 7) * (uint64_t)PAGE);

	sents[number].script = true;
	sents[number].transactions = count;
	sents[number].keep_going = below(2);
	client->next_id = number;
	client_begin(client, "script.run", script_params(number));
}

/** Now and then a VM comes or goes. */
static void send_object(struct client *client)
{
	client->next_id = 1000000000;
	client_begin(client, below(2) ? "vm.create" : "vm.destroy", json_pack("{s:s}", "name", "extra"));
}

static void take_answer(json_t *answer)
{
	json_t *result = json_object_get(answer, "result");

	if (result && json_object_get(result, "seq") && int_of(answer, "id") < 1000000000 && done_count < MOST_DONE)
		done[done_count++] = (struct acknowledged){int_of(result, "seq"), (int)int_of(answer, "id")};
	json_decref(answer);
}

/** Take what has come without waiting; returns the number of answers, -1 at the end. */
static int take_answers(struct client *client, int *waiting)
{
	struct pollfd fd = {.fd = client->fd, .events = POLLIN};
	int taken = 0;

	while (memchr(client->in + client->used, '\n', client->size - client->used) || poll(&fd, 1, 0) > 0) {
		json_t *answer = client_read(client);

		if (!answer)
			return -1;
		take_answer(answer);
		(*waiting)--;
		taken++;
	}
	return taken;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/** Load from several clients until the daemon is killed under it; then what had been answered is read to the end. */
static void load_and_kill(void)
{
	struct client clients[CLIENTS];
	int waiting[CLIENTS] = {0};
	double end = now() + patience * below(25000) / 25000;
	/* Calls in groups, and calls that are alone: those go another way. */
	int count = below(3) == 0 ? 1 : CLIENTS, depth = below(3) == 0 ? 1 : DEPTH;

	for (int i = 0; i < count; i++)
		client_open(&clients[i], &daemon_);
	if (below(8) == 0)
		client_begin(&clients[0], "journal.compact", json_pack("{s:I}", "until", consumed)), waiting[0]++;
	while (now() < end) {
		for (int i = 0; i < count; i++) {
			for (; waiting[i] < depth; waiting[i]++) {
				if (below(40) == 0)
					send_object(&clients[i]);
				else if (below(12) == 0)
					send_script(&clients[i]);
				else
					send_txn(&clients[i]);
			}
			take_answers(&clients[i], &waiting[i]);
		}
	}
	daemon_kill(&daemon_);
	for (int i = 0; i < count; i++) {
		while (take_answers(&clients[i], &waiting[i]) >= 0)
			;
		client_close(&clients[i]);
	}
}

/* ---- Judging ---- */

static void apply_op(const json_t *op)
{
	uint64_t at = hex_of(op, "va") / PAGE;

	assert_true(at < PAGES);
	assert_int_equal(hex_of(op, "size"), PAGE);
	if (strcmp(text_of(op, "op"), "map") == 0)
		pages[at] = hex_of(op, "bo_offset");
	else
		pages[at] = UNMAPPED;
}

static struct sent *sent_as(const json_t *entry)
{
	int number = atoi(text_of(entry, "txn_id") + 1);

	assert_true(number < sent_count);
	return &sents[number];
}

/** The transactions of a script come one after the other, between its begin and its end, and nothing in between. */
static void check_part(struct sent *sent, const json_t *entry, const json_t *ops)
{
	assert_true(bool_of(entry, "part"));
	assert_false(sent->ended);
	assert_int_equal(hex_of(json_array_get(ops, 0), "va"), sent->first_va + (uint64_t)sent->found * PAGE);
	if (sent->found++ == 0)
		sent->first_seq = consumed;
	else
		assert_int_equal(sent->last_seq, consumed - 1);
	sent->last_seq = consumed;
}

/** An entry is whole: it has the ops that were sent under its id. */
static void check_whole(const json_t *entry, const json_t *ops)
{
	struct sent *sent = sent_as(entry);

	assert_int_equal(json_array_size(ops), sent->ops);
	if (sent->script)
		check_part(sent, entry, ops);
	else
		assert_int_equal(hex_of(json_array_get(ops, 0), "va"), sent->first_va);
}

static void consume(const json_t *entry)
{
	const char *kind = text_of(entry, "kind");

	assert_int_equal(int_of(entry, "seq"), consumed + 1); /* no gaps */
	consumed++;
	if (strcmp(text_of(entry, "outcome"), "applied") != 0)
		return;
	if (strcmp(kind, "bind") == 0) {
		const json_t *ops = json_object_get(entry, "ops");

		check_whole(entry, ops);
		for (size_t i = 0; i < json_array_size(ops); i++)
			apply_op(json_array_get(ops, i));
	} else if (strcmp(kind, "script.end") == 0) {
		sent_as(entry)->ended = true;
		assert_int_equal(sent_as(entry)->found, sent_as(entry)->transactions);
	} else if (json_object_get(entry, "object") &&
		   strcmp(text_of(json_object_get(entry, "object"), "name"), "extra") == 0) {
		has_extra = strcmp(kind, "vm.create") == 0;
	}
}

/** An answer for a script names its last transaction; its end was on the disk before the answer. */
static void acknowledge(struct sent *sent)
{
	sent->acknowledged = true;
}

/** Feed the model with what is new in the log, and find each acknowledged transaction there. */
static void consume_log(struct client *client)
{
	size_t found = 0, wanted = done_count;
	json_t *result;
	bool more = true;

	while (more) {
		json_t *entries;

		result = client_result(client, "journal.show",
				       json_pack("{s:I, s:i}", "since", consumed + 1, "limit", 1000));
		entries = json_object_get(result, "entries");
		for (size_t i = 0; i < json_array_size(entries); i++) {
			json_t *entry = json_array_get(entries, i);

			consume(entry);
			for (size_t j = 0; j < done_count; j++) {
				if (done[j].seq != int_of(entry, "seq"))
					continue;
				assert_int_equal(atoi(text_of(entry, "txn_id") + 1), done[j].number);
				acknowledge(&sents[done[j].number]);
				found++;
			}
		}
		more = json_object_get(result, "next") != NULL;
		json_decref(result);
	}
	assert_int_equal(found, wanted); /* nothing that was acknowledged is missing */
	done_count = 0;
}

/** What the restored VM maps is what the model says. */
static void compare_map(struct client *client)
{
	uint64_t found[PAGES];
	json_t *result = client_result(client, "vm.show", json_pack("{s:s, s:b}", "name", "v", "map", 1));
	const json_t *map = json_object_get(result, "map");

	for (size_t i = 0; i < PAGES; i++)
		found[i] = UNMAPPED;
	for (size_t i = 0; i < json_array_size(map); i++) {
		const json_t *piece = json_array_get(map, i);
		uint64_t at = hex_of(piece, "va") / PAGE, count = hex_of(piece, "size") / PAGE;

		assert_true(at + count <= PAGES);
		for (uint64_t j = 0; j < count; j++)
			found[at + j] = hex_of(piece, "bo_offset") + j * PAGE;
	}
	for (size_t i = 0; i < PAGES; i++)
		if (found[i] != pages[i])
			fail_msg("page %zu: mapped to 0x%llx, the log says 0x%llx", i, (unsigned long long)found[i],
				 (unsigned long long)pages[i]);
	json_decref(result);
}

static void compare_vms(struct client *client)
{
	json_t *result = client_result(client, "vm.list", NULL);

	assert_int_equal(json_array_size(json_object_get(result, "vms")), has_extra ? 2 : 1);
	json_decref(result);
}

/** A retry of the last transaction that was sent says what became of it, and does it at most once. */
static void compare_last_id(struct client *client)
{
	json_t *status;
	char id[24];

	snprintf(id, sizeof(id), "n%d", sent_count - 1);
	status = client_result(client, "txn.status", json_pack("{s:s}", "txn_id", id));
	if (bool_of(status, "known")) {
		assert_true(int_of(status, "seq") <= consumed);
		assert_false(bool_of(status, "pending"));
	}
	json_decref(status);
}

/** What is said of a script: that it never was, that it ended, or how far it came. And it is not run again. */
static void compare_script(struct client *client, int number)
{
	const struct sent *sent = &sents[number];
	json_t *status, *answer, *told;
	char id[24];

	snprintf(id, sizeof(id), "n%d", number);
	status = client_result(client, "txn.status", json_pack("{s:s}", "txn_id", id));
	assert_int_equal(bool_of(status, "known"), sent->found > 0);
	assert_true(sent->ended || !sent->acknowledged);
	if (sent->found > 0) {
		assert_int_equal(bool_of(status, "interrupted"), !sent->ended);
		assert_string_equal(text_of(status, "outcome"), sent->ended ? "applied" : "partial");
		answer = client_call(client, "script.run", script_params(number));
		told = sent->ended ? json_object_get(answer, "result")
				   : json_object_get(json_object_get(answer, "error"), "data");
		if (!sent->ended)
			assert_string_equal(text_of(told, "name"), "TXN_INTERRUPTED");
		assert_int_equal(int_of(told, "transactions"), sent->found);
		assert_int_equal(int_of(json_object_get(told, "kept"), "first"), sent->first_seq);
		assert_int_equal(int_of(json_object_get(told, "kept"), "last"), sent->last_seq);
		json_decref(answer);
		scripts_ended += sent->ended;
		scripts_interrupted += !sent->ended;
	}
	json_decref(status);
}

/** All those of the last round, and one of before, whose entries may be compacted. */
static void compare_scripts(struct client *client)
{
	int older = judged > 0 ? (int)below((uint32_t)judged) : 0;
	json_t *status;

	for (int i = judged; i < sent_count; i++)
		if (sents[i].script)
			compare_script(client, i);
	if (older < judged && sents[older].script)
		compare_script(client, older);
	judged = sent_count;
	status = client_result(client, "journal.status", NULL);
	assert_int_equal(int_of(status, "last"), consumed); /* nothing was run */
	json_decref(status);
}

static void judge(void)
{
	struct client client;

	client_open(&client, &daemon_);
	consume_log(&client);
	compare_map(&client);
	compare_vms(&client);
	compare_last_id(&client);
	compare_scripts(&client);
	client_close(&client);
}

static void begin(void)
{
	struct client client;

	daemon_prepare(&daemon_);
	daemon_start(&daemon_, NULL);
	client_open(&client, &daemon_);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 256 * PAGE)));
	client_close(&client);
	for (size_t i = 0; i < PAGES; i++)
		pages[i] = UNMAPPED;
}

/** @barren: rounds in a row that ended without an answer. */
static void learn_patience(int *barren)
{
	if (done_count > 0)
		*barren = 0;
	else if (++*barren % MOST_BARREN == 0 && patience < LONGEST)
		patience *= 2;
}

static void test_killed_at_any_moment_nothing_acknowledged_is_lost(void **state)
{
	int rounds = (int)test_rounds(200, 10000), round;
	size_t acknowledged = 0;
	int barren = 0;

	randomness = test_random_start("crash");
	patience = SHORTEST;
	begin();
	/* On a busy machine rounds end before the first sync is over: then they become longer, and more. */
	for (round = 0; round < rounds || (acknowledged <= (size_t)rounds && round < 5 * rounds); round++) {
		load_and_kill();
		acknowledged += done_count;
		learn_patience(&barren);
		daemon_start(&daemon_, (const char *const[]){"--restore", NULL});
		judge();
	}
	print_message(
		"# note %d rounds, %d transactions and scripts sent, %zu acknowledged, %lld recorded; of the scripts "
		"%d ended and %d were interrupted\n",
		round, sent_count, acknowledged, (long long)consumed, scripts_ended, scripts_interrupted);
	assert_true(acknowledged > (size_t)rounds);
	assert_true(scripts_ended > 0 && scripts_interrupted > 0); /* else it tested little */
	daemon_stop(&daemon_);
	daemon_remove(&daemon_);
	free(sents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_at_any_moment_nothing_acknowledged_is_lost),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
