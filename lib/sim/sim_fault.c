/* SPDX-License-Identifier: MIT */
/*
 * Fault plans: parsing, and the question "does this one fail?". The grammar stands in sim_fault.h.
 *
 * Ioctls are counted whether or not there is a plan, so that a plan that comes with a later open of a shared device
 * counts from the same beginning. An item of an op is spent when that op is reached, not before: an earlier failure in
 * the same batch leaves it for the next.
 */
#include "sim_fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "panbind.h"
#include "sim.h"

/* A cursor over the text of one item. */
struct scan {
	const char *text;
	size_t length, at;
};

static bool scan_literal(struct scan *scan, const char *literal)
{
	size_t length = strlen(literal);

	if (scan->length - scan->at < length || memcmp(scan->text + scan->at, literal, length) != 0)
		return false;
	scan->at += length;
	return true;
}

static bool scan_number(struct scan *scan, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t start = scan->at;

	while (scan->at < scan->length && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9') {
		value = value * 10 + (uint64_t)(scan->text[scan->at] - '0');
		if (value > max) {
			scan->at = start;
			return false;
		}
		scan->at++;
	}
	*ret_value = value;
	return scan->at > start;
}

static size_t word_length(const struct scan *scan)
{
	const char *word = scan->text + scan->at;
	size_t length = 0;

	while (scan->at + length < scan->length &&
	       ((word[length] >= 'A' && word[length] <= 'Z') || (word[length] >= '0' && word[length] <= '9') ||
		word[length] == '_'))
		length++;
	return length;
}

static bool scan_errno(struct scan *scan, int *ret_error)
{
	char name[32];
	size_t length = word_length(scan);
	int error;

	if (!length || length >= sizeof(name))
		return false;
	memcpy(name, scan->text + scan->at, length);
	name[length] = '\0';
	error = panbind_errno_from_name(name);
	if (error <= 0)
		return false;
	*ret_error = -error;
	scan->at += length;
	return true;
}

static bool scan_name(struct scan *scan, int *ret_row)
{
	size_t length = word_length(scan);
	int row = length ? sim_ioctl_row(scan->text + scan->at, length) : -ENOENT;

	if (row < 0)
		return false;
	scan->at += length;
	*ret_row = row;
	return true;
}

/* "op=I:ERRNO" and perhaps ":mid", from after "op=". */
static bool scan_op(struct scan *scan, struct sim_fault *fault)
{
	uint64_t index;

	if (!scan_number(scan, UINT32_MAX - 1, &index) || !scan_literal(scan, ":") || !scan_errno(scan, &fault->error))
		return false;
	fault->is_op = true;
	fault->index = (uint32_t)index;
	fault->mid = scan_literal(scan, ":mid");
	return true;
}

static bool scan_nth(struct scan *scan, uint64_t *ret_nth)
{
	size_t start = scan->at;

	if (scan_literal(scan, "*")) {
		*ret_nth = 0;
		return true;
	}
	if (!scan_number(scan, UINT32_MAX, ret_nth))
		return false;
	if (*ret_nth == 0)
		scan->at = start; /* counted from 1 */
	return *ret_nth != 0;
}

static bool scan_item(struct scan *scan, struct sim_fault *fault)
{
	size_t start = scan->at;

	fault->row = -1;
	if (scan_literal(scan, "op="))
		return scan_op(scan, fault);
	if (!scan_name(scan, &fault->row) || !scan_literal(scan, "#") || !scan_nth(scan, &fault->nth))
		return false;
	if (scan_literal(scan, "="))
		return scan_errno(scan, &fault->error);
	if (fault->row != sim_ioctl_row("VM_BIND", 7)) {
		scan->at = start; /* only VM_BIND has ops */
		return false;
	}
	return scan_literal(scan, ":op=") && scan_op(scan, fault);
}

int sim_fault_parse(const char *text, size_t length, struct sim_fault **ret_fault, size_t *ret_at)
{
	struct scan scan = {.text = text, .length = length};
	struct sim_fault *fault = calloc(1, sizeof(*fault));

	if (!fault)
		return -ENOMEM;
	if (!scan_item(&scan, fault) || scan.at < length) {
		free(fault);
		*ret_at = scan.at;
		return -EINVAL;
	}
	*ret_fault = fault;
	return 0;
}

void sim_fault_free_list(struct sim_fault *fault)
{
	while (fault) {
		struct sim_fault *next = fault->next;

		free(fault);
		fault = next;
	}
}

int sim_faults_init(struct sim_faults *faults)
{
	*faults = (struct sim_faults){.counts = calloc(sim_ioctl_rows(), sizeof(*faults->counts))};
	if (!faults->counts)
		return -ENOMEM;
	pthread_mutex_init(&faults->lock, NULL);
	faults->tail = &faults->items;
	return 0;
}

void sim_faults_fini(struct sim_faults *faults)
{
	sim_fault_free_list(faults->items);
	free(faults->counts);
	pthread_mutex_destroy(&faults->lock);
}

void sim_faults_add(struct sim_faults *faults, struct sim_fault *list)
{
	if (!list)
		return;
	pthread_mutex_lock(&faults->lock);
	*faults->tail = list;
	while (*faults->tail)
		faults->tail = &(*faults->tail)->next;
	pthread_mutex_unlock(&faults->lock);
	atomic_store(&faults->any, true);
}

static int use(struct sim_fault *fault)
{
	fault->spent = fault->row < 0 || fault->nth != 0;
	return fault->error;
}

int sim_faults_enter(struct sim_faults *faults, int row, uint64_t *ret_ordinal)
{
	uint64_t ordinal = atomic_fetch_add_explicit(&faults->counts[row], 1, memory_order_relaxed) + 1;
	int error = 0;

	*ret_ordinal = ordinal;
	if (!atomic_load_explicit(&faults->any, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&faults->lock);
	for (struct sim_fault *f = faults->items; f && !error; f = f->next)
		if (!f->is_op && f->row == row && !f->spent && (f->nth == 0 || f->nth == ordinal))
			error = use(f);
	pthread_mutex_unlock(&faults->lock);
	return error;
}

int sim_faults_op(struct sim_faults *faults, uint64_t ordinal, uint32_t index, bool *ret_mid)
{
	int error = 0;

	if (!atomic_load_explicit(&faults->any, memory_order_relaxed))
		return 0;
	pthread_mutex_lock(&faults->lock);
	for (struct sim_fault *f = faults->items; f && !error; f = f->next) {
		if (!f->is_op || f->spent || f->index != index || (f->nth != 0 && f->nth != ordinal))
			continue;
		*ret_mid = f->mid;
		error = use(f);
	}
	pthread_mutex_unlock(&faults->lock);
	return error;
}
