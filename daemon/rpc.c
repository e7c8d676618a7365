/* SPDX-License-Identifier: MIT */
/*
 * From a line of text to checked calls.
 *
 * jansson parses, and what it would let pass is stopped around it: nesting beyond RPC_DEPTH (its own limit is the
 * stack's), reals where integers belong, and integers of 2^63 and more, which it cannot hold. Such an integer makes the
 * line be parsed a second time with reals, only to find its place and the id for the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"
#include "rpc.h"
#include "util.h"

#define ID_LENGTH   256
#define PARSE_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

/** How deep arrays and objects nest, without regard to whether the text is JSON. */
static size_t nesting(const char *text, size_t size)
{
	size_t depth = 0, deepest = 0;
	bool quoted = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\';
		else if (c == '[' || c == '{')
			deepest = ++depth > deepest ? depth : deepest;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return deepest;
}

static bool is_blank(const char *text, size_t size)
{
	while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t' || text[size - 1] == '\r'))
		size--;
	return size == 0;
}

static int refuse_at(struct request *request, int code, int err, const char *pointer, const char *what)
{
	rpc_error_set(&request->error, code, err, "%s%s%s", pointer, *pointer ? ": " : "", what);
	snprintf(request->error.pointer, sizeof(request->error.pointer), "%s", pointer);
	return code;
}

/** The id as the answer repeats it: exactly as JSON. */
static int take_id(struct request *request, const json_t *id)
{
	struct jw jw = {0};

	if (json_is_integer(id)) {
		snprintf(request->id_room, sizeof(request->id_room), "%lld", (long long)json_integer_value(id));
		request->id = request->id_room;
		return 0;
	}
	if (json_is_null(id))
		return 0;
	jw_string_sized(&jw, NULL, json_string_value(id), json_string_length(id));
	jw_bytes(&jw, "", 1);
	if (!jw_ok(&jw)) {
		jw_free(&jw);
		return -ENOMEM;
	}
	request->id = jw.buf;
	return 0;
}

static void null_id(struct request *request)
{
	strcpy(request->id_room, "null");
	request->id = request->id_room;
}

struct request *rpc_refusal(int code, int err, const char *message)
{
	struct request *request = request_new();

	if (!request)
		return NULL;
	rpc_error_set(&request->error, code, err, "%s", message);
	null_id(request);
	return request;
}

/** Place of the parts of a request in the message: "" or "/3" before them. */
static int refuse_part(struct request *request, const char *base, const char *part, int code, int err, const char *what)
{
	char pointer[64];

	snprintf(pointer, sizeof(pointer), "%s%s%.40s", base, *part ? "/" : "", part);
	return refuse_at(request, code, err, pointer, what);
}

static int check_envelope(struct request *request, const json_t *message, const char *base)
{
	static const char *const parts[] = {"jsonrpc", "method", "params", "id"};
	size_t found = 0;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)message, key, value) {
		for (found = 0; found < ARRAY_SIZE(parts) && strcmp(key, parts[found]) != 0;)
			found++;
		if (found == ARRAY_SIZE(parts))
			return refuse_part(request, base, key, RPC_REQUEST, EINVAL, "is not a member of a request");
	}
	value = json_object_get(message, "jsonrpc");
	if (!json_is_string(value) || strcmp(json_string_value(value), "2.0") != 0)
		return refuse_part(request, base, "jsonrpc", RPC_REQUEST, EINVAL, "must be \"2.0\"");
	if (!json_is_string(json_object_get(message, "method")))
		return refuse_part(request, base, "method", RPC_REQUEST, EINVAL, "must be the name of a method");
	return 0;
}

/** The id first: whatever else is wrong, the answer should find its question. */
static int decode_id(struct request *request, const json_t *message, const char *base)
{
	const json_t *id = json_object_get(message, "id");

	null_id(request);
	if (!id)
		return 0;
	if (json_is_string(id) ? json_string_length(id) > ID_LENGTH : !json_is_integer(id) && !json_is_null(id))
		return refuse_part(request, base, "id", RPC_REQUEST, EINVAL,
				   "must be an integer, a short text or null");
	return take_id(request, id);
}

static int decode_call(struct request *request, const json_t *message, const char *base, enum role role,
		       const struct limits *limits)
{
	const char *name = json_string_value(json_object_get(message, "method"));
	char pointer[64];

	if (!json_object_get(message, "id"))
		request->id = NULL;
	request->method = method_find(name);
	if (!request->method) {
		refuse_part(request, base, "method", RPC_NO_METHOD, ENOSYS, "no such method");
		snprintf(request->error.message, sizeof(request->error.message), "no method \"%.64s\"", name);
		return RPC_NO_METHOD;
	}
	if (role < request->method->role) {
		rpc_error_set(&request->error, RPC_NOT_PERMITTED, EPERM,
			      "%s needs the role \"%s\", this peer has \"%s\"", request->method->name,
			      role_name(request->method->role), role_name(role));
		return RPC_NOT_PERMITTED;
	}
	snprintf(pointer, sizeof(pointer), "%s/params", base);
	return decode_params(request->method->params, request->method->param_count, json_object_get(message, "params"),
			     pointer, limits, &request->call, &request->error);
}

/** One message; what is wrong with it stays in request->error. -ENOMEM is the only failure. */
static int decode_message(struct request *request, json_t *message, const char *base, enum role role,
			  const struct limits *limits)
{
	int r;

	request->root = json_incref(message);
	null_id(request);
	if (!json_is_object(message)) {
		refuse_part(request, base, "", RPC_REQUEST, EINVAL, "a request must be an object");
		return 0;
	}
	r = decode_id(request, message, base);
	if (r == 0)
		r = check_envelope(request, message, base);
	if (r == 0)
		r = decode_call(request, message, base, role, limits);
	return r == -ENOMEM ? r : 0;
}

static int decode_array(json_t *root, enum role role, const struct limits *limits, struct rpc_line *line)
{
	struct request **tail = &line->requests;
	char base[24];

	line->array = true;
	for (; line->count < json_array_size(root); line->count++) {
		*tail = request_new();
		if (!*tail)
			return -ENOMEM;
		(*tail)->index = line->count;
		snprintf(base, sizeof(base), "/%zu", line->count);
		if (decode_message(*tail, json_array_get(root, line->count), base, role, limits) < 0)
			return -ENOMEM;
		tail = &(*tail)->next;
	}
	return 0;
}

static int refuse_line(struct rpc_line *line, int code, int err, const char *message, bool fatal)
{
	line->requests = rpc_refusal(code, err, message);
	line->count = 1;
	line->fatal = fatal;
	return line->requests ? 0 : -ENOMEM;
}

static int refuse_json(struct rpc_line *line, const json_error_t *error)
{
	int r = refuse_line(line, RPC_PARSE, EBADMSG, "", true);

	if (r < 0)
		return r;
	snprintf(line->requests->error.message, sizeof(line->requests->error.message), "not JSON: %s", error->text);
	line->requests->error.column = error->column > 0 ? (uint32_t)error->column : 0;
	return 0;
}

/** Is this a number that came from an integer jansson cannot hold? All numbers of the tree are reals here. */
static bool is_too_big(const json_t *value)
{
	return json_is_real(value) && (json_real_value(value) >= 0x1p63 || json_real_value(value) <= -0x1p63);
}

/** Extend @pointer to the first number that is too big. */
static bool find_too_big(json_t *value, char *pointer, size_t size, size_t len)
{
	const char *key;
	json_t *member;
	size_t index;

	if (is_too_big(value))
		return true;
	json_object_foreach (value, key, member) {
		snprintf(pointer + len, size - len, "/%s", key);
		if (find_too_big(member, pointer, size, strlen(pointer)))
			return true;
	}
	json_array_foreach (value, index, member) {
		snprintf(pointer + len, size - len, "/%zu", index);
		if (find_too_big(member, pointer, size, strlen(pointer)))
			return true;
	}
	pointer[len] = '\0';
	return false;
}

static int refuse_too_big(struct rpc_line *line, const char *text, size_t size)
{
	json_error_t error;
	json_t *root = json_loadb(text, size, PARSE_FLAGS | JSON_DECODE_INT_AS_REAL, &error), *id;
	char pointer[128] = "";
	int r;

	if (!root)
		return refuse_json(line, &error);
	r = refuse_line(line, RPC_PARAMS, ERANGE, "", false);
	if (r == 0) {
		find_too_big(root, pointer, sizeof(pointer), 0);
		refuse_at(line->requests, RPC_PARAMS, ERANGE, pointer, "integers above 2^53-1 must be written as text");
		id = json_object_get(root, "id");
		if (json_is_string(id))
			r = take_id(line->requests, id);
		else if (json_is_real(id) && json_real_value(id) >= -0x1p53 && json_real_value(id) <= 0x1p53)
			snprintf(line->requests->id_room, sizeof(line->requests->id_room), "%.0f", json_real_value(id));
	}
	json_decref(root);
	return r;
}

static int decode_root(json_t *root, enum role role, const struct limits *limits, struct rpc_line *line)
{
	if (!json_is_array(root)) {
		line->requests = request_new();
		line->count = 1;
		return line->requests ? decode_message(line->requests, root, "", role, limits) : -ENOMEM;
	}
	if (json_array_size(root) == 0)
		return refuse_line(line, RPC_REQUEST, EINVAL, "an array must have at least one request", false);
	if (json_array_size(root) > limits->calls)
		return refuse_line(line, RPC_TOO_LARGE, E2BIG, "more calls than an array may have", false);
	return decode_array(root, role, limits, line);
}

bool rpc_is_short(const struct request *request)
{
	const struct method *method = request->method;

	return method && method->place == ON_DEVICE && method->journaled && !method->heavy;
}

void rpc_line_free(struct rpc_line *line)
{
	while (line->requests) {
		struct request *next = line->requests->next;

		request_free(line->requests);
		line->requests = next;
	}
}

int rpc_decode(const char *text, size_t size, enum role role, const struct limits *limits, struct rpc_line *ret_line)
{
	struct rpc_line line = {0};
	json_error_t error;
	json_t *root;
	int r;

	if (is_blank(text, size)) {
		*ret_line = line;
		return 0;
	}
	if (nesting(text, size) > RPC_DEPTH) {
		r = refuse_line(&line, RPC_PARSE, EBADMSG, "nested too deeply", true);
	} else if ((root = json_loadb(text, size, PARSE_FLAGS, &error))) {
		r = decode_root(root, role, limits, &line);
		json_decref(root);
	} else if (json_error_code(&error) == json_error_numeric_overflow) {
		r = refuse_too_big(&line, text, size);
	} else {
		r = refuse_json(&line, &error);
	}
	if (r < 0)
		rpc_line_free(&line);
	else
		*ret_line = line;
	return r;
}
