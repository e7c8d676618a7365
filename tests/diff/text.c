/* SPDX-License-Identifier: MIT */
/*
 * The text form of a program, see program.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define MAX_DEPTH 3

static const char *const memories[DIFF_MEMORIES] = {"good", "null", "low", "kernel", "short", "const"};

/* ---- Writing ---- */

static void write_value(const struct diff_value *value, enum diff_class class, FILE *out)
{
	if (value->kind == 'a')
		fputs("auto", out);
	else if (value->kind)
		fprintf(out, "%c%" PRIu64, value->kind, value->number);
	else if (class == DIFF_MEMORY && value->number < DIFF_MEMORIES)
		fputs(memories[value->number], out);
	else
		fprintf(out, "0x%" PRIx64, value->number);
}

static void write_node(const struct diff_node *node, int depth, FILE *out)
{
	const struct diff_type *type = node->type;

	fprintf(out, "%*s%s", 2 * depth, "", type->name);
	if (node->file)
		fprintf(out, " @%u", node->file);
	for (size_t i = 0; type->fields[i].name; i++) {
		if (diff_is_usual(node, i))
			continue;
		fprintf(out, " %s=", type->fields[i].name);
		write_value(&node->field[i], type->fields[i].class, out);
	}
	if (node->out >= 0)
		fprintf(out, " > %c%d", type->out, node->out);
	fputc('\n', out);
	for (uint32_t i = 0; i < node->children; i++)
		write_node(&node->child[i], depth + 1, out);
}

void diff_write(const struct diff_program *program, FILE *out)
{
	for (uint32_t i = 0; i < program->steps; i++)
		write_node(&program->step[i], 0, out);
}

/* ---- Reading ---- */

static int read_slot(const char *text, char kind, uint64_t *ret_slot)
{
	char *end;

	if (text[0] != kind || text[1] < '0' || text[1] > '9')
		return -EINVAL;
	*ret_slot = strtoull(text + 1, &end, 10);
	return *end || *ret_slot >= DIFF_SLOTS ? -EINVAL : 0;
}

static int read_value(const char *text, enum diff_class class, struct diff_value *ret_value)
{
	char *end;

	if (strcmp(text, "auto") == 0) {
		*ret_value = DIFF_AUTO;
		return 0;
	}
	for (uint64_t i = 0; class == DIFF_MEMORY && i < DIFF_MEMORIES; i++) {
		if (strcmp(text, memories[i]) == 0) {
			*ret_value = DIFF_NUMBER(i);
			return 0;
		}
	}
	if (*text && strchr(DIFF_KINDS, *text)) {
		ret_value->kind = *text;
		return read_slot(text, *text, &ret_value->number);
	}
	errno = 0;
	*ret_value = DIFF_NUMBER(strtoull(text, &end, 0));
	return end == text || *end || errno ? -EINVAL : 0;
}

static int read_field(struct diff_node *node, char *word)
{
	char *equals = strchr(word, '=');

	if (!equals)
		return -EINVAL;
	*equals = '\0';
	for (size_t i = 0; node->type->fields[i].name; i++)
		if (strcmp(node->type->fields[i].name, word) == 0)
			return read_value(equals + 1, node->type->fields[i].class, &node->field[i]);
	return -EINVAL;
}

/* The words behind the type. */
static int read_words(struct diff_node *node, char **at)
{
	char *word;
	int ret = 0;

	while (!ret && (word = strtok_r(NULL, " \t\n", at))) {
		if (*word == '@') {
			node->file = (uint8_t)(word[1] - '0');
			ret = word[1] < '0' || node->file >= DIFF_FILES || word[2] ? -EINVAL : 0;
		} else if (strcmp(word, ">") == 0) {
			uint64_t slot = 0;

			word = strtok_r(NULL, " \t\n", at);
			ret = word && node->type->out ? read_slot(word, node->type->out, &slot) : -EINVAL;
			node->out = (int8_t)slot;
		} else {
			ret = read_field(node, word);
		}
	}
	return ret;
}

/* Where nodes can be put: the last step, its last child, and so on. */
struct place {
	struct diff_program *program;
	unsigned depth; /* of the last node */
};

static struct diff_node *last_at(const struct place *place, unsigned depth)
{
	struct diff_node *node = &place->program->step[place->program->steps - 1];

	while (depth--)
		node = &node->child[node->children - 1];
	return node;
}

static int put_node(struct place *place, struct diff_node node, unsigned depth)
{
	if (depth == 0) {
		if (node.type->is != DIFF_NO_CHILDREN)
			return -EINVAL;
		diff_add_step(place->program, node);
	} else {
		struct diff_node *parent;

		if (!place->program->steps || depth > place->depth + 1)
			return -EINVAL;
		parent = last_at(place, depth - 1);
		if (node.type->is == DIFF_NO_CHILDREN || parent->type->children != node.type->is)
			return -EINVAL;
		diff_add_child(parent, node);
	}
	place->depth = depth;
	return 0;
}

static int read_line(struct place *place, char *line)
{
	unsigned depth = (unsigned)strspn(line, " ") / 2;
	char *at, *word = strtok_r(line, " \t\n", &at);
	struct diff_node node;
	int ret;

	if (depth > MAX_DEPTH || !diff_type(word))
		return -EINVAL;
	node = diff_node(word);
	ret = read_words(&node, &at);
	return ret ? ret : put_node(place, node, depth);
}

int diff_read(FILE *in, struct diff_program *ret_program, unsigned *ret_line)
{
	struct diff_program program = {0};
	struct place place = {.program = &program};
	char *line = NULL;
	size_t room = 0;
	bool any = false;
	int ret = 0;

	*ret_line = 0;
	while (!ret && getline(&line, &room, in) > 0) {
		++*ret_line;
		any = true;
		line[strcspn(line, "#\n")] = '\0';
		if (strcmp(line, "end") == 0)
			break;
		if (line[strspn(line, " \t")])
			ret = read_line(&place, line);
	}
	free(line);
	if (!ret && !any)
		ret = -ENOENT;
	if (ret)
		diff_program_free(&program);
	else
		*ret_program = program;
	return ret;
}
