/* SPDX-License-Identifier: MIT */
/*
 * The method table as an OpenRPC document, as a man page's section, and as words for a shell.
 */
#include <string.h>

#include "decode.h"
#include "discover.h"
#include "methods.h"
#include "util.h"

#define OPENRPC_VERSION "1.3.2"

/* ---- JSON schemas ---- */

static void write_reference(struct jw *jw, const char *key, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "#/components/schemas/%s", name);
	jw_object(jw, key);
	jw_string(jw, "$ref", path);
	jw_object_end(jw);
}

static void write_words(struct jw *jw, const struct word *words)
{
	jw_array(jw, "enum");
	for (; words->word; words++)
		jw_string(jw, NULL, words->word);
	jw_array_end(jw);
}

static void write_flags(struct jw *jw, const struct word *words)
{
	jw_string(jw, "type", "array");
	jw_object(jw, "items");
	jw_string(jw, "type", "string");
	write_words(jw, words);
	jw_object_end(jw);
}

static void write_text(struct jw *jw, const struct param *param)
{
	jw_string(jw, "type", "string");
	if (param->min > 0)
		jw_int(jw, "minLength", (int64_t)param->min);
	jw_int(jw, "maxLength", (int64_t)param->max);
}

static void write_defines(struct jw *jw)
{
	jw_string(jw, "type", "object");
	jw_object(jw, "additionalProperties");
	jw_string(jw, "type", "string");
	jw_object_end(jw);
}

static void write_ops(struct jw *jw)
{
	jw_string(jw, "type", "array");
	jw_int(jw, "minItems", 1);
	write_reference(jw, "items", "Op");
}

static void write_schema(struct jw *jw, const char *key, const struct param *param)
{
	if (param->type == PARAM_NUMBER || param->type == PARAM_NAME) {
		write_reference(jw, key, param->type == PARAM_NUMBER ? "Number" : "Name");
		return;
	}
	jw_object(jw, key);
	switch (param->type) {
	case PARAM_BOOL:
		jw_string(jw, "type", "boolean");
		break;
	case PARAM_WORD:
		jw_string(jw, "type", "string");
		write_words(jw, param->words);
		break;
	case PARAM_FLAGS:
		write_flags(jw, param->words);
		break;
	case PARAM_BASE64:
		jw_string(jw, "type", "string");
		jw_string(jw, "contentEncoding", "base64");
		break;
	case PARAM_OPS:
		write_ops(jw);
		break;
	case PARAM_DEFINES:
		write_defines(jw);
		break;
	default:
		write_text(jw, param);
	}
	jw_object_end(jw);
}

static const char *field_schema(enum field_type type)
{
	static const char *const types[] = {"string", "string", "integer", "boolean", "array", "object"};

	return types[type];
}

/* ---- Components ---- */

static void write_op_schema(struct jw *jw, const struct op_kind *kind)
{
	jw_object(jw, NULL);
	jw_string(jw, "description", kind->help);
	jw_string(jw, "type", "object");
	jw_object(jw, "properties");
	jw_object(jw, "op");
	jw_string(jw, "const", kind->word);
	jw_object_end(jw);
	for (size_t i = 0; i < kind->param_count; i++)
		write_schema(jw, kind->params[i].name, &kind->params[i]);
	jw_object_end(jw);
	jw_array(jw, "required");
	jw_string(jw, NULL, "op");
	for (size_t i = 0; i < kind->param_count; i++)
		if (kind->params[i].required)
			jw_string(jw, NULL, kind->params[i].name);
	jw_array_end(jw);
	jw_bool(jw, "additionalProperties", false);
	jw_object_end(jw);
}

static void write_number_schema(struct jw *jw)
{
	static const char text[] = "{\"type\":\"string\",\"pattern\":\"^(0[xX][0-9a-fA-F]+|[0-9]+)$\"}";
	static const char integer[] = "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9007199254740991}";

	jw_object(jw, "Number");
	jw_string(jw, "description", "64 bits: hexadecimal or decimal text, or an integer below 2^53");
	jw_array(jw, "oneOf");
	jw_raw(jw, NULL, text, sizeof(text) - 1);
	jw_raw(jw, NULL, integer, sizeof(integer) - 1);
	jw_array_end(jw);
	jw_object_end(jw);
}

static void write_components(struct jw *jw)
{
	size_t count;
	const struct op_kind *kinds = op_kinds(&count);

	jw_object(jw, "components");
	jw_object(jw, "schemas");
	write_number_schema(jw);
	jw_object(jw, "Name");
	jw_string(jw, "type", "string");
	jw_string(jw, "pattern", "^[A-Za-z_][A-Za-z0-9_.-]{0,127}$");
	jw_object_end(jw);
	jw_object(jw, "Op");
	jw_array(jw, "oneOf");
	for (size_t i = 0; i < count; i++)
		write_op_schema(jw, &kinds[i]);
	jw_array_end(jw);
	jw_object_end(jw);
	jw_object_end(jw);
	jw_object_end(jw);
}

/* ---- Methods ---- */

static void write_params(struct jw *jw, const struct method *method)
{
	jw_string(jw, "paramStructure", "by-name");
	jw_array(jw, "params");
	for (size_t i = 0; i < method->param_count; i++) {
		const struct param *param = &method->params[i];

		jw_object(jw, NULL);
		jw_string(jw, "name", param->name);
		jw_string(jw, "description", param->help);
		jw_bool(jw, "required", param->required);
		write_schema(jw, "schema", param);
		jw_object_end(jw);
	}
	jw_array_end(jw);
}

static void write_result(struct jw *jw, const struct method *method)
{
	jw_object(jw, "result");
	jw_string(jw, "name", "result");
	jw_object(jw, "schema");
	jw_string(jw, "type", "object");
	jw_object(jw, "properties");
	for (size_t i = 0; i < method->result_count; i++) {
		const struct field *field = &method->results[i];

		jw_object(jw, field->name);
		jw_string(jw, "type", field_schema(field->type));
		jw_string(jw, "description", field->help);
		jw_object_end(jw);
	}
	jw_object_end(jw);
	jw_object_end(jw);
	jw_object_end(jw);
}

static void write_method(struct jw *jw, const struct method *method)
{
	jw_object(jw, NULL);
	jw_string(jw, "name", method->name);
	jw_string(jw, "summary", method->help);
	jw_string(jw, "x-role", role_name(method->role));
	jw_bool(jw, "x-recorded", method->journaled);
	if (method->takes_fd)
		jw_bool(jw, "x-descriptor", true);
	write_params(jw, method);
	write_result(jw, method);
	jw_object_end(jw);
}

void discover_write(struct jw *jw, const char *key)
{
	size_t count;
	const struct method *methods = method_table(&count);

	jw_object(jw, key);
	jw_string(jw, "openrpc", OPENRPC_VERSION);
	jw_object(jw, "info");
	jw_string(jw, "title", "panbindd");
	jw_string(jw, "description", "GPU address spaces kept alive, changed in transactions, recorded in a log");
	jw_string(jw, "version", PANBIND_VERSION);
	jw_object_end(jw);
	jw_array(jw, "methods");
	for (size_t i = 0; i < count; i++)
		write_method(jw, &methods[i]);
	jw_array_end(jw);
	write_components(jw);
	jw_object_end(jw);
}

/* ---- Text ---- */

static void print_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_param(FILE *out, const struct param *param)
{
	fprintf(out, ".br\n\\fI%s\\fR%s: ", param->name, param->required ? " (required)" : "");
	print_text(out, param->help);
	for (const struct word *word = param->words; word && word->word; word++) {
		fputs(word == param->words ? " (" : ", ", out);
		print_text(out, word->word);
		if (!word[1].word)
			fputc(')', out);
	}
	fputs(".\n", out);
}

/** What every recorded method takes is described once, in the page itself. */
static bool is_common(const struct param *param)
{
	static const char *const common[] = {"txn_id", "comment", "durability", "device"};

	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		if (strcmp(param->name, common[i]) == 0 && !param->required)
			return true;
	return false;
}

static void print_method(FILE *out, const struct method *method)
{
	fprintf(out, ".TP\n\\fB%s\\fR (role %s%s%s)\n", method->name, role_name(method->role),
		method->journaled ? ", recorded" : "", method->takes_fd ? ", takes a descriptor" : "");
	print_text(out, method->help);
	fputs(".\n", out);
	for (size_t i = 0; i < method->param_count; i++)
		if (!is_common(&method->params[i]))
			print_param(out, &method->params[i]);
	fputs(".br\nResult: ", out);
	for (size_t i = 0; i < method->result_count; i++)
		fprintf(out, "%s\\fI%s\\fR", i ? ", " : "", method->results[i].name);
	fputs(".\n", out);
}

void discover_print_man(FILE *out)
{
	size_t count;
	const struct method *methods = method_table(&count);

	for (size_t i = 0; i < count; i++)
		print_method(out, &methods[i]);
}

void discover_print_names(FILE *out)
{
	size_t count;
	const struct method *methods = method_table(&count);

	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\n", methods[i].name);
}
