/* SPDX-License-Identifier: MIT */
/*
 * What is in a BO: `bo read` and `bo write`, in pieces that a request can hold. A BO's contents are not logged and not
 * guarded by transactions, so a write that fails in the middle has written what came before, and says how much.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "error.h"
#include "number.h"
#include "order.h"
#include "source.h"

#define PIECE (UINT64_C(1) << 19)

static int parse_number(struct order *order, int word, uint64_t *ret_value)
{
	if (number_parse(order->words[word], ret_value) == 0)
		return CMD_DONE;
	return error_say(order->cmd, CMD_USAGE, -EINVAL, "'%s' is not a number (4096, 0x1000, 4K)", order->words[word]);
}

/* The decoded bytes of one piece, to be freed; NULL when the answer has not as many as asked for. */
static char *decode(const json_t *result, uint64_t size)
{
	const char *text = client_text(result, "data");
	char *bytes = text ? strdup(text) : NULL;

	if (bytes && base64_decode(bytes) == (long)size)
		return bytes;
	free(bytes);
	return NULL;
}

static int read_piece(struct order *order, uint64_t offset, uint64_t size, FILE *to)
{
	json_t *result = NULL;
	char *bytes;
	int status = client_call(&order->client, "bo.read",
				 json_pack("{s:o, s:o, s:o}", "name", output_json_text(order->words[0]), "offset",
					   output_json_hex(offset), "size", output_json_hex(size)),
				 CLIENT_LOOKS, NULL, &result);

	if (status)
		return status;
	bytes = decode(result, size);
	json_decref(result);
	if (!bytes)
		return error_say(order->cmd, CMD_FAILED, -EPROTO, "the daemon sent other bytes than were asked for");
	fwrite(bytes, 1, size, to);
	free(bytes);
	return CMD_DONE;
}

static void print_hex(uint64_t offset, const unsigned char *bytes, size_t size)
{
	for (size_t row = 0; row < size; row += 16) {
		size_t count = size - row < 16 ? size - row : 16;

		printf("%08llx ", (unsigned long long)offset + row);
		for (size_t i = 0; i < 16; i++)
			if (i < count)
				printf("%s%02x", i == 8 ? "  " : " ", bytes[row + i]);
			else
				fputs(i == 8 ? "    " : "   ", stdout);
		fputs("  ", stdout);
		for (size_t i = 0; i < count; i++)
			putchar(bytes[row + i] >= 0x20 && bytes[row + i] < 0x7f ? bytes[row + i] : '.');
		putchar('\n');
	}
}

/* Bytes as they are into a pipe or file; a terminal and JSON get a form that they can show. */
static void put_bytes(struct order *order, uint64_t offset, const char *bytes, size_t size)
{
	char *text;

	if (!order->cmd->out.json) {
		print_hex(offset, (const unsigned char *)bytes, size);
		return;
	}
	text = base64_encode((const unsigned char *)bytes, size);
	json_object_set_new(order->cmd->out.doc, "data", text ? json_string(text) : json_null());
	free(text);
}

int order_read_bo(struct order *order)
{
	uint64_t offset, left, at;
	bool direct = !order->cmd->out.json && !isatty(STDOUT_FILENO);
	char *text = NULL;
	size_t size = 0;
	FILE *to;
	int status = parse_number(order, 1, &offset);

	if (!status)
		status = parse_number(order, 2, &left);
	if (status)
		return status;
	to = direct ? stdout : open_memstream(&text, &size);
	if (!to)
		return error_say(order->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	for (at = offset; left && !status && !ferror(to); at += PIECE) {
		uint64_t piece = left < PIECE ? left : PIECE;

		status = read_piece(order, at, piece, to);
		left -= piece;
	}
	if (direct)
		return status;
	fclose(to);
	if (!status)
		put_bytes(order, offset, text, size);
	free(text);
	return status;
}

static int write_piece(struct order *order, uint64_t offset, const char *bytes, uint64_t size)
{
	char *text = base64_encode((const unsigned char *)bytes, size);
	json_t *result = NULL;
	int status;

	if (!text)
		return error_say(order->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	status = client_call(&order->client, "bo.write",
			     json_pack("{s:o, s:o, s:s}", "name", output_json_text(order->words[0]), "offset",
				       output_json_hex(offset), "data", text),
			     CLIENT_CHANGES, NULL, &result);
	free(text);
	json_decref(result);
	return status;
}

int order_write_bo(struct order *order)
{
	struct source source = {0};
	uint64_t offset, done = 0;
	int status = parse_number(order, 1, &offset);

	if (!status)
		status = source_read(order->cmd, order->words[2], &source);
	while (!status && done < source.size) {
		uint64_t piece = source.size - done < PIECE ? source.size - done : PIECE;

		status = write_piece(order, offset + done, source.text + done, piece);
		if (!status)
			done += piece;
	}
	if (status && done) {
		error_note(order->cmd, -1, "%llu bytes were written before", (unsigned long long)done);
		status = CMD_PARTIAL;
	}
	if (order->cmd->out.json)
		json_object_set_new(order->cmd->out.doc, "result", json_pack("{s:I}", "written", (json_int_t)done));
	source_free(&source);
	return status;
}
