/* SPDX-License-Identifier: MIT */
/*
 * Options of a simulated device: one table, one walk along the commas.
 *
 * Nothing here asks the environment, and nothing is repaired: an option that is unknown, empty, out of range or given
 * twice is an error with its column, since a device that is not the one meant makes a test lie.
 */
#include "sim_opts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

/* Linux 6.10 brought panthor. */
#define FIRST_6 10

struct cursor {
	const char *text;  /* the whole spec */
	const char *value; /* of the current option */
	size_t length;	   /* of the value */
	uint32_t column;   /* of the value */
};

struct option {
	const char *name;
	int (*parse)(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr);
};

int sim_options_error(struct panbind_error *reterr, uint32_t column, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return -EINVAL;
	*reterr = (struct panbind_error){
		.code = -EINVAL, .stage = PANBIND_STAGE_PARSE, .op = PANBIND_NO_OP, .column = column};
	va_start(args, format);
	vsnprintf(reterr->msg, sizeof(reterr->msg), format, args);
	va_end(args);
	return -EINVAL;
}

static int parse_number(const struct cursor *cursor, unsigned min, unsigned max, unsigned *ret_value,
			struct panbind_error *reterr)
{
	unsigned value = 0;

	for (size_t i = 0; i < cursor->length; i++) {
		char c = cursor->value[i];

		if (c < '0' || c > '9' || value > 1000)
			return sim_options_error(reterr, cursor->column + (uint32_t)i,
						 "expected a number from %u to %u", min, max);
		value = value * 10 + (unsigned)(c - '0');
	}
	if (!cursor->length || value < min || value > max)
		return sim_options_error(reterr, cursor->column, "expected a number from %u to %u", min, max);
	*ret_value = value;
	return 0;
}

/* Two numbers with a dot between them. */
static int parse_kernel(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	const char *dot = memchr(cursor->value, '.', cursor->length);
	size_t head = dot ? (size_t)(dot - cursor->value) : 0;
	struct cursor major = *cursor, minor = *cursor;
	unsigned x, y;
	int ret;

	if (!dot)
		return sim_options_error(reterr, cursor->column, "expected a release of Linux, such as 6.12");
	major.length = head;
	minor.value = dot + 1;
	minor.length = cursor->length - head - 1;
	minor.column += (uint32_t)head + 1;
	ret = parse_number(&major, 6, 99, &x, reterr);
	if (!ret)
		ret = parse_number(&minor, x == 6 ? FIRST_6 : 0, 99, &y, reterr);
	if (!ret)
		options->kernel = SIM_KERNEL(x, y);
	return ret;
}

static int parse_minor(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	return parse_number(cursor, 0, 9, &options->minor, reterr);
}

static int parse_va_bits(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	return parse_number(cursor, 33, 48, &options->va_bits, reterr);
}

static int parse_as_slots(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	return parse_number(cursor, 1, SIM_AS_MAX - 1, &options->as_slots, reterr);
}

static bool value_is(const struct cursor *cursor, const char *text)
{
	return cursor->length == strlen(text) && memcmp(cursor->value, text, cursor->length) == 0;
}

static int parse_atomic(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	if (!value_is(cursor, "on") && !value_is(cursor, "off"))
		return sim_options_error(reterr, cursor->column, "expected on or off");
	options->atomic = value_is(cursor, "on");
	return 0;
}

static int parse_name(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	if (!cursor->length || cursor->length >= sizeof(options->name))
		return sim_options_error(reterr, cursor->column, "expected a name of 1 to %zu bytes",
					 sizeof(options->name) - 1);
	memcpy(options->name, cursor->value, cursor->length);
	options->name[cursor->length] = '\0';
	return 0;
}

static int parse_fault(struct sim_options *options, const struct cursor *cursor, struct panbind_error *reterr)
{
	struct sim_fault **tail = &options->faults;
	size_t at = 0;
	int ret;

	while (*tail)
		tail = &(*tail)->next;
	ret = sim_fault_parse(cursor->value, cursor->length, tail, &at);
	if (ret == -EINVAL)
		return sim_options_error(reterr, cursor->column + (uint32_t)at,
					 "expected NAME#N=ERRNO, NAME#*=ERRNO, VM_BIND#N:op=I:ERRNO or op=I:ERRNO");
	return ret;
}

static const struct option table[SIM_OPTS] = {
	[SIM_OPT_MINOR] = {"minor", parse_minor},	[SIM_OPT_KERNEL] = {"kernel", parse_kernel},
	[SIM_OPT_VA_BITS] = {"va-bits", parse_va_bits}, [SIM_OPT_AS_SLOTS] = {"as-slots", parse_as_slots},
	[SIM_OPT_ATOMIC] = {"atomic", parse_atomic},	[SIM_OPT_NAME] = {"name", parse_name},
	[SIM_OPT_FAULT] = {"fault", parse_fault},
};

static int find_option(const char *name, size_t length)
{
	for (int i = 0; i < SIM_OPTS; i++)
		if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
			return i;
	return -ENOENT;
}

/* One option from @start, @length bytes long. */
static int parse_option(const char *text, const char *start, size_t length, struct sim_options *options,
			struct panbind_error *reterr)
{
	const char *equals = memchr(start, '=', length);
	size_t name_length = equals ? (size_t)(equals - start) : length;
	int which = find_option(start, name_length);
	uint32_t column = (uint32_t)(start - text) + 1;
	struct cursor cursor = {.text = text};

	if (which < 0)
		return sim_options_error(reterr, column, "unknown option '%.*s'",
					 name_length > 64 ? 64 : (int)name_length, start);
	if (!equals)
		return sim_options_error(reterr, column, "option '%s' needs a value", table[which].name);
	if (which != SIM_OPT_FAULT && options->given & 1u << which)
		return sim_options_error(reterr, column, "option '%s' is given twice", table[which].name);
	cursor.value = equals + 1;
	cursor.length = length - name_length - 1;
	cursor.column = (uint32_t)(cursor.value - text) + 1;
	options->given |= 1u << which;
	options->column[which] = column;
	return table[which].parse(options, &cursor, reterr);
}

static int parse_all(const char *text, struct sim_options *options, struct panbind_error *reterr)
{
	const char *start = text;

	if (!*text)
		return 0;
	for (;;) {
		size_t length = strcspn(start, ",");
		int ret = parse_option(text, start, length, options, reterr);

		if (ret)
			return ret;
		if (!start[length])
			return 0;
		start += length + 1;
	}
}

/* A release whose driver is 1.@minor. */
static unsigned usual_kernel(unsigned minor)
{
	static const unsigned releases[] = {
		SIM_KERNEL(6, 12), SIM_KERNEL(6, 13), SIM_KERNEL(6, 13), SIM_KERNEL(6, 14), SIM_KERNEL(6, 16),
		SIM_KERNEL(6, 16), SIM_KERNEL(7, 0),  SIM_KERNEL(7, 0),	 SIM_KERNEL(7, 1),  SIM_KERNEL(7, 3),
	};

	return releases[minor];
}

int sim_options_parse(const char *text, struct sim_options *ret_options, struct panbind_error *reterr)
{
	struct sim_options options = {.minor = 9, .va_bits = 48, .as_slots = 7, .atomic = true};
	int ret = parse_all(text, &options, reterr);

	if (ret) {
		sim_options_fini(&options);
		return ret;
	}
	if (!options.kernel)
		options.kernel = usual_kernel(options.minor);
	*ret_options = options;
	return 0;
}

void sim_options_fini(struct sim_options *options)
{
	sim_fault_free_list(options->faults);
	options->faults = NULL;
}
