/* SPDX-License-Identifier: MIT */
/*
 * Nodes in memory.
 */
#include "program.h"

#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
	if (!memory) {
		perror("diff");
		abort();
	}
	return memory;
}

struct diff_node diff_node(const char *type)
{
	struct diff_node node = {.type = diff_type(type), .out = -1};

	if (!node.type) {
		fprintf(stderr, "there is no type %s\n", type);
		abort();
	}
	for (size_t i = 0; node.type->fields[i].name; i++)
		node.field[i] = node.type->fields[i].usual;
	return node;
}

void diff_set(struct diff_node *node, const char *field, struct diff_value value)
{
	node->field[diff_field(node->type, field)] = value;
}

bool diff_is_usual(const struct diff_node *node, size_t field)
{
	const struct diff_value *usual = &node->type->fields[field].usual;

	return node->field[field].kind == usual->kind && node->field[field].number == usual->number;
}

static struct diff_node *copy_array(const struct diff_node *nodes, uint32_t count)
{
	struct diff_node *copy = count ? checked(calloc(count, sizeof(*copy))) : NULL;

	for (uint32_t i = 0; i < count; i++)
		copy[i] = diff_node_copy(&nodes[i]);
	return copy;
}

struct diff_node diff_node_copy(const struct diff_node *node)
{
	struct diff_node copy = *node;

	copy.child = copy_array(node->child, node->children);
	return copy;
}

void diff_node_free(struct diff_node *node)
{
	for (uint32_t i = 0; i < node->children; i++)
		diff_node_free(&node->child[i]);
	free(node->child);
	node->child = NULL;
	node->children = 0;
}

static struct diff_node *append(struct diff_node **nodes, uint32_t *count, struct diff_node node)
{
	*nodes = checked(reallocarray(*nodes, *count + 1, sizeof(node)));
	(*nodes)[*count] = node;
	return &(*nodes)[(*count)++];
}

struct diff_node *diff_add_child(struct diff_node *node, struct diff_node child)
{
	return append(&node->child, &node->children, child);
}

struct diff_node *diff_add_step(struct diff_program *program, struct diff_node step)
{
	return append(&program->step, &program->steps, step);
}

void diff_cut(struct diff_node *nodes, uint32_t *length, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		diff_node_free(&nodes[i]);
	memmove(&nodes[first], &nodes[first + count], (*length - first - count) * sizeof(*nodes));
	*length -= count;
}

struct diff_program diff_program_copy(const struct diff_program *program)
{
	return (struct diff_program){.step = copy_array(program->step, program->steps), .steps = program->steps};
}

void diff_program_free(struct diff_program *program)
{
	for (uint32_t i = 0; i < program->steps; i++)
		diff_node_free(&program->step[i]);
	free(program->step);
	*program = (struct diff_program){0};
}
