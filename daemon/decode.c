/* SPDX-License-Identifier: MIT */
/*
 * Parameters, checked. Each refusal names the place as a JSON pointer and says what would have been right, so that
 * "invalid params" is never the whole answer.
 *
 * What is not in the table is refused: a misspelt optional parameter would otherwise be a different request.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "decode.h"
#include "util.h"

#define NUMBER_MAX  ((1LL << 53) - 1)
#define NAME_LENGTH 128

/** Where the decoder is: a JSON pointer that grows and shrinks. */
struct place {
	char text[sizeof(((struct rpc_error *)NULL)->pointer)];
	size_t len;
	const struct limits *limits;
	struct rpc_error *error;
};

static void place_add(struct place *place, const char *text, size_t size)
{
	size_t room = sizeof(place->text) - 1 - place->len;

	if (size > room)
		size = room; /* a cut pointer still leads most of the way */
	memcpy(place->text + place->len, text, size);
	place->len += size;
	place->text[place->len] = '\0';
}

static size_t place_push(struct place *place, const char *key)
{
	size_t before = place->len;

	place_add(place, "/", 1);
	for (; *key; key++) {
		if (*key == '~')
			place_add(place, "~0", 2);
		else if (*key == '/')
			place_add(place, "~1", 2);
		else
			place_add(place, key, 1);
	}
	return before;
}

static size_t place_push_index(struct place *place, size_t index)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", index);
	return place_push(place, text);
}

static void place_pop(struct place *place, size_t before)
{
	place->len = before;
	place->text[before] = '\0';
}

static int refuse(struct place *place, int code, int err, const char *what)
{
	rpc_error_set(place->error, code, err, "%s: %s", place->text, what);
	snprintf(place->error->pointer, sizeof(place->error->pointer), "%s", place->text);
	return code;
}

static const char *kind_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a real number";
	case JSON_NULL:
		return "null";
	default:
		return "a truth value";
	}
}

static int refuse_kind(struct place *place, const json_t *value, const char *wanted)
{
	char what[96];

	snprintf(what, sizeof(what), "must be %s, not %s", wanted, kind_name(value));
	return refuse(place, RPC_PARAMS, EINVAL, what);
}

static unsigned int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10u;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10u : 99;
}

static const char *parse_digits(const char *text, unsigned int base, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return "a number needs digits";
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		unsigned int value = digit_value(c);

		if (value >= base)
			return "not a decimal or 0x hexadecimal number";
		if (number > (UINT64_MAX - value) / base)
			return "does not fit into 64 bits";
		number = number * base + value;
	}
	*ret_number = number;
	return NULL;
}

const char *decode_number(const json_t *value, uint64_t *ret_number)
{
	const char *text;

	if (json_is_integer(value)) {
		json_int_t number = json_integer_value(value);

		if (number < 0)
			return "must not be negative";
		if (number > NUMBER_MAX)
			return "integers above 2^53-1 must be written as text";
		*ret_number = (uint64_t)number;
		return NULL;
	}
	if (json_is_real(value))
		return "must be an exact integer or text, not a real number";
	if (!json_is_string(value))
		return "must be an integer or text with a number";
	text = json_string_value(value);
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return parse_digits(text + 2, 16, ret_number);
	return parse_digits(text, 10, ret_number);
}

static int decode_number_param(struct place *place, const struct param *param, const json_t *value, void *out)
{
	uint64_t number = 0;
	const char *wrong = decode_number(value, &number);
	char what[96];

	if (wrong)
		return refuse(place, RPC_PARAMS, strstr(wrong, "64 bits") ? ERANGE : EINVAL, wrong);
	if (number < param->min || number > param->max) {
		snprintf(what, sizeof(what), "must be from 0x%llx to 0x%llx", (unsigned long long)param->min,
			 (unsigned long long)param->max);
		return refuse(place, RPC_PARAMS, ERANGE, what);
	}
	*(uint64_t *)out = number;
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/** The rule of scripts, so that a dump of any VM is a script. */
static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > NAME_LENGTH || !is_letter(text[0]))
		return false;
	for (; *text; text++)
		if (!is_letter(*text) && !(*text >= '0' && *text <= '9') && *text != '-' && *text != '.')
			return false;
	return true;
}

static int decode_text(struct place *place, const struct param *param, const json_t *value, const char **out)
{
	char what[96];

	if (!json_is_string(value))
		return refuse_kind(place, value, "text");
	if (param->type == PARAM_NAME && !is_name(json_string_value(value)))
		return refuse(place, RPC_PARAMS, EINVAL,
			      "must be a name: letters, digits, '_', '-' and '.', at most 128, a letter or '_' first");
	if (param->type == PARAM_TEXT && json_string_length(value) > param->max) {
		snprintf(what, sizeof(what), "must be at most %llu bytes", (unsigned long long)param->max);
		return refuse(place, RPC_PARAMS, E2BIG, what);
	}
	if (param->type == PARAM_TEXT && json_string_length(value) < param->min)
		return refuse(place, RPC_PARAMS, EINVAL, "must not be empty");
	*out = json_string_value(value);
	return 0;
}

static int refuse_word(struct place *place, const struct word *words)
{
	char what[160] = "must be one of:";
	size_t len = strlen(what);

	for (; words->word && len < sizeof(what); words++)
		len += (size_t)snprintf(what + len, sizeof(what) - len, " %s", words->word);
	return refuse(place, RPC_PARAMS, EINVAL, what);
}

static int decode_word(struct place *place, const struct word *words, const json_t *value, uint32_t *out)
{
	if (!json_is_string(value))
		return refuse_kind(place, value, "text");
	for (const struct word *word = words; word->word; word++) {
		if (strcmp(word->word, json_string_value(value)) == 0) {
			*out = word->value;
			return 0;
		}
	}
	return refuse_word(place, words);
}

static int decode_flags(struct place *place, const struct word *words, const json_t *value, uint32_t *out)
{
	uint32_t all = 0, one = 0;
	int r;

	if (!json_is_array(value))
		return refuse_kind(place, value, "an array of words");
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t before = place_push_index(place, i);

		r = decode_word(place, words, json_array_get(value, i), &one);
		if (r)
			return r;
		place_pop(place, before);
		all |= one;
	}
	*out = all;
	return 0;
}

static int decode_data(struct place *place, const struct param *param, const json_t *value, struct call *call)
{
	int r;

	if (!json_is_string(value))
		return refuse_kind(place, value, "base64 text");
	r = base64_decode(json_string_value(value), json_string_length(value), &call->data, &call->data_size);
	if (r == -ENOMEM)
		return refuse(place, RPC_INTERNAL, ENOMEM, "out of memory");
	if (r < 0)
		return refuse(place, RPC_PARAMS, EINVAL, "must be base64 with padding and without line breaks");
	if (call->data_size > param->max)
		return refuse(place, RPC_TOO_LARGE, E2BIG, "too many bytes in one request");
	return 0;
}

static int decode_defines(struct place *place, const json_t *value, struct call *call)
{
	const char *name;
	json_t *text;

	if (!json_is_object(value))
		return refuse_kind(place, value, "an object of texts");
	call->defines = calloc(json_object_size(value) + 1, sizeof(call->defines[0]));
	if (!call->defines)
		return refuse(place, RPC_INTERNAL, ENOMEM, "out of memory");
	json_object_foreach ((json_t *)value, name, text) {
		size_t before = place_push(place, name);

		if (!json_is_string(text))
			return refuse_kind(place, text, "text");
		if (!is_name(name))
			return refuse(place, RPC_PARAMS, EINVAL, "cannot be the name of a definition");
		call->defines[call->define_count++] =
			(struct panbind_define){.name = name, .value = json_string_value(text)};
		place_pop(place, before);
	}
	return 0;
}

static int decode_object(struct place *place, const struct param *table, size_t count, const json_t *object, void *out,
			 const char *skip);

static int decode_op(struct place *place, const json_t *value, struct call_op *op)
{
	size_t kind_count;
	const struct op_kind *kinds = op_kinds(&kind_count);
	const json_t *word;

	if (!json_is_object(value))
		return refuse_kind(place, value, "an object");
	word = json_object_get(value, "op");
	for (size_t i = 0; json_is_string(word) && i < kind_count; i++) {
		if (strcmp(kinds[i].word, json_string_value(word)) == 0) {
			op->type = kinds[i].type;
			return decode_object(place, kinds[i].params, kinds[i].param_count, value, op, "op");
		}
	}
	place_push(place, "op");
	return refuse(place, RPC_PARAMS, EINVAL, "must be an op of txn.run: see rpc.discover");
}

static int decode_ops(struct place *place, const json_t *value, struct call *call)
{
	size_t count = json_array_size(value);
	int r;

	if (!json_is_array(value))
		return refuse_kind(place, value, "an array of ops");
	if (count == 0)
		return refuse(place, RPC_PARAMS, EINVAL, "must have at least one op");
	if (count > place->limits->ops)
		return refuse(place, RPC_TOO_LARGE, E2BIG, "more ops than a transaction may have");
	call->ops = calloc(count, sizeof(call->ops[0]));
	if (!call->ops)
		return refuse(place, RPC_INTERNAL, ENOMEM, "out of memory");
	for (; call->op_count < count; call->op_count++) {
		size_t before = place_push_index(place, call->op_count);

		r = decode_op(place, json_array_get(value, call->op_count), &call->ops[call->op_count]);
		if (r) {
			if (place->error->op == PANBIND_NO_OP)
				place->error->op = (uint32_t)call->op_count;
			return r;
		}
		place_pop(place, before);
	}
	return 0;
}

static int decode_value(struct place *place, const struct param *param, const json_t *value, void *out)
{
	void *member = (char *)out + param->offset;

	switch (param->type) {
	case PARAM_NAME:
	case PARAM_TEXT:
		return decode_text(place, param, value, member);
	case PARAM_NUMBER:
		return decode_number_param(place, param, value, member);
	case PARAM_BOOL:
		if (!json_is_boolean(value))
			return refuse_kind(place, value, "true or false");
		*(bool *)member = json_is_true(value);
		return 0;
	case PARAM_WORD:
		return decode_word(place, param->words, value, member);
	case PARAM_FLAGS:
		return decode_flags(place, param->words, value, member);
	case PARAM_BASE64:
		return decode_data(place, param, value, out);
	case PARAM_OPS:
		return decode_ops(place, value, out);
	case PARAM_DEFINES:
		return decode_defines(place, value, out);
	}
	return refuse(place, RPC_INTERNAL, EINVAL, "a parameter of no type");
}

static int decode_param(struct place *place, const struct param *param, const json_t *object, void *out, size_t *found)
{
	const json_t *value = object ? json_object_get(object, param->name) : NULL;
	size_t before = place_push(place, param->name);
	int r = 0;

	if (value) {
		(*found)++;
		r = decode_value(place, param, value, out);
		if (r == 0 && param->has_offset)
			*(bool *)((char *)out + param->has_offset) = true;
	} else if (param->required) {
		r = refuse(place, RPC_PARAMS, EINVAL, "is required");
	} else if (param->type == PARAM_NUMBER) {
		*(uint64_t *)((char *)out + param->offset) = param->fallback;
	}
	if (r == 0)
		place_pop(place, before);
	return r;
}

static int refuse_unknown(struct place *place, const struct param *table, size_t count, const json_t *object,
			  const char *skip)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		bool known = skip && strcmp(key, skip) == 0;

		for (size_t i = 0; i < count && !known; i++)
			known = strcmp(key, table[i].name) == 0;
		if (!known) {
			place_push(place, key);
			return refuse(place, RPC_PARAMS, EINVAL, "is not a parameter here");
		}
	}
	return refuse(place, RPC_INTERNAL, EINVAL, "parameters were miscounted");
}

/** @skip: a key that the caller has read already, or NULL. */
static int decode_object(struct place *place, const struct param *table, size_t count, const json_t *object, void *out,
			 const char *skip)
{
	size_t found = skip ? 1 : 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		r = decode_param(place, &table[i], object, out, &found);
		if (r)
			return r;
	}
	if (object && found != json_object_size(object))
		return refuse_unknown(place, table, count, object, skip);
	return 0;
}

int decode_params(const struct param *table, size_t count, const json_t *params, const char *pointer,
		  const struct limits *limits, struct call *call, struct rpc_error *ret_error)
{
	struct place place = {.limits = limits, .error = ret_error};

	place_add(&place, pointer, strlen(pointer));
	if (params && !json_is_object(params))
		return refuse_kind(&place, params, "an object (parameters have names)");
	return decode_object(&place, table, count, params, call, NULL);
}

void call_free(struct call *call)
{
	free(call->ops);
	free(call->defines);
	free(call->data);
	*call = (struct call){0};
}
