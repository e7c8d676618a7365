/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a step: one value replaced by one that is at, or beyond, some edge.
 */
#include <string.h>

#include "generate.h"

/*
 * Numbers of fds and mmap offsets are the process's and the device's own: they go nowhere but where such are meant, and
 * no number is tried that could be one by chance.
 */
static struct diff_value break_handle(struct diff_maker *maker, const char *field)
{
	static const uint64_t numbers[] = {0, 1, 2, 3, 32, 33, 34, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff};
	static const uint64_t no_fds[] = {0x7fffffff, 0x80000000, 0xffffffff};
	static const char kinds[] = {'v', 'b', 's'};
	bool fd = strcmp(field, "fd") == 0;

	if (fd && diff_chance(maker, 40))
		return DIFF_NUMBER(DIFF_PICK(maker, no_fds));
	if (!fd && diff_chance(maker, 60))
		return DIFF_NUMBER(DIFF_PICK(maker, numbers));
	return (struct diff_value){.kind = fd ? 'd' : DIFF_PICK(maker, kinds), .number = diff_below(maker, DIFF_SLOTS)};
}

static uint64_t break_number(struct diff_maker *maker, enum diff_class class, uint64_t old)
{
	static const uint64_t sizes[] = {0,
					 1,
					 0xfff,
					 0x1001,
					 0x200001,
					 UINT64_C(1) << 40,
					 UINT64_C(1) << 47,
					 UINT64_C(1) << 48,
					 UINT64_C(1) << 63,
					 ~UINT64_C(0xfff),
					 ~UINT64_C(0)};
	static const uint64_t counts[] = {0, 1, 2, 3, 5, 41, 0x10000, 0x100001, 0x8000001, 0x7fffffff, 0xffffffff};
	static const uint64_t strides[] = {0,  1,  8,  15, 16,	17,   24,	  40,	     47,
					   48, 49, 56, 64, 256, 4096, 0x80000000, 0xffffffff};
	static const uint64_t lengths[] = {0, 1, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 128, 255};

	switch (class) {
	case DIFF_COUNT:
		return DIFF_PICK(maker, counts);
	case DIFF_STRIDE:
		return DIFF_PICK(maker, strides);
	case DIFF_LENGTH:
		return DIFF_PICK(maker, lengths);
	case DIFF_FLAGS:
		return old ^ UINT64_C(1) << diff_below(maker, 32);
	case DIFF_VA:
	case DIFF_SIZE:
		return diff_chance(maker, 50) ? DIFF_PICK(maker, sizes) : old ^ UINT64_C(1) << diff_below(maker, 64);
	case DIFF_MEMORY:
		return diff_below(maker, DIFF_CONST); /* nothing that is done is reported as failed, see README.md */
	default:
		return diff_chance(maker, 50) ? old ^ UINT64_C(1) << diff_below(maker, 64) : diff_below(maker, 20);
	}
}

/* Huge BOs, but not so huge that they are refused, would only cost memory. */
static uint64_t affordable(const struct diff_node *node, uint64_t size)
{
	bool costs = strcmp(node->type->name, "bo_create") == 0;

	return costs && size > UINT64_C(32) << 20 && size < UINT64_C(1) << 40 ? UINT64_C(1) << 40 : size;
}

static bool has_pointer(const struct diff_type *type)
{
	for (size_t i = 0; type->fields[i].name; i++)
		if (strcmp(type->fields[i].name, "mem") == 0)
			return true;
	return false;
}

void diff_break(struct diff_maker *maker, struct diff_node *node)
{
	size_t fields = diff_type_fields(node->type), i;
	enum diff_class class;

	while (node->children && diff_chance(maker, 60)) {
		node = &node->child[diff_below(maker, node->children)];
		fields = diff_type_fields(node->type);
	}
	if (!fields)
		return;
	i = diff_below(maker, fields);
	class = node->type->fields[i].class;
	if (class == DIFF_HANDLE)
		node->field[i] = break_handle(maker, node->type->fields[i].name);
	else
		node->field[i] = DIFF_NUMBER(break_number(maker, class, node->field[i].number));
	if (class == DIFF_SIZE)
		node->field[i].number = affordable(node, node->field[i].number);
	/* Half a pointer leads anywhere, and half an mmap offset is as good as none. */
	if (class == DIFF_LENGTH && (has_pointer(node->type) || node->type->out == 'm'))
		node->field[i].number &= ~UINT64_C(7);
	/* An array longer than what can be allocated in one piece makes DRM's own code warn. */
	if (class == DIFF_COUNT && node->type->children == DIFF_HANDLES && node->field[i].number > 0x10000)
		node->field[i].number = 0x10000;
	/* A wait that may be broken must not become a long one, see make_transfer(). */
	if (strcmp(node->type->name, "transfer") == 0 && strcmp(node->type->fields[i].name, "flags") == 0)
		node->field[i].number &= ~UINT64_C(2);
}
