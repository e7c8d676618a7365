/* SPDX-License-Identifier: MIT */
/*
 * panbind-rpc(7) tells the truth: its conversation takes place as it stands there. A line that comes from the daemon
 * must have all that the page shows; the page leaves out what varies.
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

#define MESSAGE 4096

/** From roff to what a reader sees: only these escapes are used in examples. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == '-' || text[1] == 'e')) {
			*out++ = text[1] == '-' ? '-' : '\\';
			text++;
		} else if (*text != '\n') {
			*out++ = *text;
		}
	}
	*out = '\0';
}

static int compare_count;

/** Everything in @shown is in @real too, with the same value. */
static void assert_shown(const json_t *shown, const json_t *real, const char *path)
{
	const char *key;
	json_t *member;
	char deeper[256];

	if (!real)
		fail_msg("%s is not there", path);
	compare_count++;
	if (json_is_array(shown) && json_array_size(shown) != json_array_size(real))
		fail_msg("%s has another length", path);
	for (size_t i = 0; i < json_array_size(shown); i++) {
		snprintf(deeper, sizeof(deeper), "%s/%zu", path, i);
		assert_shown(json_array_get(shown, i), json_array_get(real, i), deeper);
	}
	json_object_foreach ((json_t *)shown, key, member) {
		snprintf(deeper, sizeof(deeper), "%s/%s", path, key);
		assert_shown(member, json_object_get(real, key), deeper);
	}
	if (!json_is_array(shown) && !json_is_object(shown) && !json_equal((json_t *)shown, (json_t *)real))
		fail_msg("%s is %s", path, json_dumps(real, JSON_ENCODE_ANY));
}

static void receive(struct client *client, const char *text)
{
	json_t *shown = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *real = client_read(client);

	if (!shown)
		fail_msg("the page's line is not JSON: %s", text);
	assert_non_null(real);
	assert_shown(shown, real, "");
	json_decref(shown);
	json_decref(real);
}

/** A line of the page that goes on: it begins with blanks. */
static bool goes_on(const char *line)
{
	return strncmp(line, "     ", 5) == 0;
}

/** Play what has been gathered. Returns whether there was something. */
static bool play(struct client *client, char *message)
{
	bool there = message[0] != '\0';

	if (strncmp(message, "--> ", 4) == 0)
		client_send_line(client, message + 4);
	else if (there)
		receive(client, message + 4);
	message[0] = '\0';
	return there;
}

static void test_the_conversation_takes_place(void **state)
{
	struct daemon daemon;
	struct client client;
	char message[MESSAGE] = "", line[1024];
	FILE *page = fopen(PANBIND_SOURCE_DIR "/man/panbind-rpc.7", "re");
	int played = 0;

	assert_non_null(page);
	daemon_prepare(&daemon);
	daemon_start(&daemon, NULL);
	assert_true(client_connect(&client, &daemon));
	while (fgets(line, sizeof(line), page)) {
		unescape(line);
		if (goes_on(line) && message[0]) {
			assert_true(strlen(message) + strlen(line) < sizeof(message));
			strcat(message, line);
			continue;
		}
		played += play(&client, message);
		if (strncmp(line, "--> {", 5) == 0 || strncmp(line, "<-- {", 5) == 0)
			strcpy(message, line);
	}
	played += play(&client, message);
	assert_true(played >= 17);
	assert_true(compare_count > 50);
	fclose(page);
	client_close(&client);
	daemon_stop(&daemon);
	daemon_remove(&daemon);
}

static void test_the_list_of_methods_is_the_table(void **state)
{
	FILE *page = fopen(PANBIND_SOURCE_DIR "/man/panbind-rpc.7", "re"), *table = popen(PANBINDD " --print=man", "r");
	char line[1024], wanted[1024];
	int lines = 0;

	assert_non_null(page);
	assert_non_null(table);
	while (fgets(line, sizeof(line), page) && strncmp(line, ".\\\" methods begin", 17) != 0)
		;
	while (fgets(line, sizeof(line), page) && strncmp(line, ".\\\" methods end", 15) != 0) {
		assert_non_null(fgets(wanted, sizeof(wanted), table));
		assert_string_equal(line, wanted);
		lines++;
	}
	assert_null(fgets(wanted, sizeof(wanted), table));
	assert_true(lines > 100);
	fclose(page);
	assert_int_equal(pclose(table), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_conversation_takes_place),
		cmocka_unit_test(test_the_list_of_methods_is_the_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
