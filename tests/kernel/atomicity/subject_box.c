/* SPDX-License-Identifier: MIT */
/*
 * The real driver as a subject, on malisim.
 *
 * A job that waits for a word keeps the VM in an address space. The loads are malisim's: at each AS register event,
 * once through a TLB and once by a walk of the page tables. The walk is what goes into the sequence. It has no memory,
 * as the simulator's GPU, and as a core of the GPU that comes to the address for the first time.
 */
#include <stdlib.h>
#include <string.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "panbind.h"
#include "subject.h"

#define BLOCK (UINT64_C(2) << 20)
#define PAGE  UINT64_C(4096)

/* From 1.7 on the driver itself has atomic updates. */
#define MINOR_ATOMIC 7

/* The search for memory that is contiguous: BOs of a size, and samples of their pages. */
#define SEARCH_VA      UINT64_C(0x80000000)
#define BLOCK_VA       UINT64_C(0xc0000000)
#define SEARCH_BOS     8
#define SEARCH_SIZE    (UINT64_C(32) << 20)
#define SAMPLE	       (UINT64_C(256) << 10)
#define MALISIM_PROBES 64

struct search {
	uint32_t vm, bo;
	uint64_t pa[SEARCH_SIZE / SAMPLE];
};

enum { WORD_STARTED, WORD_END, WORD_ENDED };

struct box {
	struct gpu_job job;
	unsigned as;
	const struct remap_case *remap;
	struct record *record;
};

static void must(int ret, const char *what)
{
	if (ret)
		bail_out("%s: %s", what, panbind_errno_name(ret));
}

/* The address space that was set up since the trace was cleared. */
static unsigned find_as(void)
{
	FILE *trace = malisim_trace();
	struct malisim_event event;
	unsigned as = 0;

	if (!trace)
		bail_out("no " MALISIM "trace");
	while (malisim_next(trace, &event))
		if (!strcmp(event.name, "UPDATE") && event.as && event.transtab)
			as = event.as;
	fclose(trace);
	if (!as)
		bail_out("a job runs, and its VM has no address space");
	return as;
}

/* A job that waits for its word. */
static void box_hold(struct subject *subject, uint32_t vm)
{
	struct box *box = subject->data;
	uint64_t *at;

	must(malisim_write("trace", "clear"), "malisim's trace");
	must(gpu_job_open(&box->job, subject->file, vm), "a group");
	at = job_store(box->job.stream, GPU_JOB_WORD(WORD_STARTED), 1);
	at = job_poll(at, GPU_JOB_WORD(WORD_END), 1);
	at = job_store(at, GPU_JOB_WORD(WORD_ENDED), 1);
	must(gpu_job_submit(&box->job, at), "a job");
	must(gpu_job_wait(&box->job, WORD_STARTED, 1, 5000), "the job's beginning");
	box->as = find_as();
}

static void box_let_go(struct subject *subject, uint32_t vm)
{
	struct box *box = subject->data;
	uint32_t state = 0;

	box->job.words[WORD_END] = 1;
	must(gpu_job_wait(&box->job, WORD_ENDED, 1, 5000), "the job's end");
	must(gpu_job_state(&box->job, &state), "GROUP_GET_STATE");
	if (state)
		bail_out("the job that only waits has failed: state %u", state);
	must(gpu_job_close(&box->job), "the group's end");
}

/* Its job has faulted, or will be ended by the driver. */
static void box_give_up(struct subject *subject)
{
	struct box *box = subject->data;

	must(gpu_job_close(&box->job), "the group's end");
}

static void add_probe(uint64_t va, uint64_t old, uint64_t new)
{
	char text[2][24];

	for (int i = 0; i < 2; i++)
		snprintf(text[i], sizeof(text[i]), (i ? new : old) == NOTHING_MAPPED ? "-" : "%llx",
			 (unsigned long long)(i ? new : old));
	must(malisim_write("probe", "add %llx %s %s", (unsigned long long)va, text[0], text[1]), "a probe");
}

static void box_start(struct subject *subject, uint32_t vm, const struct remap_case *remap, struct record *record)
{
	struct box *box = subject->data;

	box->remap = remap;
	box->record = record;
	must(malisim_write("probe", "clear"), "malisim's probes");
	for (size_t i = 0; i < REMAP_WATCHES && remap->watch[i].name; i++)
		add_probe(remap->watch[i].va, remap_old(remap, remap->watch[i].va),
			  remap_new(remap, remap->watch[i].va));
	must(malisim_write("trace", "clear"), "malisim's trace");
	must(malisim_write("probe", "check"), "a look before");
}

static enum look look_of(const struct malisim_event *event, uint64_t old, uint64_t new)
{
	if (!strcmp(event->verdict, "old"))
		return old == NOTHING_MAPPED ? LOOK_NOTHING : LOOK_OLD;
	if (!strcmp(event->verdict, "new"))
		return new == NOTHING_MAPPED ? LOOK_NOTHING : LOOK_NEW;
	if (!strcmp(event->verdict, "stall"))
		return LOOK_STALL;
	if (!strcmp(event->verdict, "hole"))
		return LOOK_HOLE;
	return !strcmp(event->verdict, "stale") ? LOOK_STALE : LOOK_FOREIGN;
}

static void take_load(struct box *box, const struct malisim_event *event)
{
	for (size_t i = 0; i < REMAP_WATCHES && box->remap->watch[i].name; i++) {
		uint64_t va = box->remap->watch[i].va;
		enum look look;

		if (va != event->va)
			continue;
		if (!*box->record->looks[i] && remap_in_block(box->remap, va) && event->page_kib != BLOCK >> 10)
			bail_out("%s: a page of %u KiB, and not the block that this is about", box->remap->name,
				 event->page_kib);
		look = look_of(event, remap_old(box->remap, va), remap_new(box->remap, va));
		if (!strcmp(event->via, "walk") || look == LOOK_STALE || look == LOOK_FOREIGN)
			record_look(box->record, i, look);
		else if (look == LOOK_HOLE)
			box->record->hole_between[i] = true;
	}
}

static void take(struct box *box, const struct malisim_event *event)
{
	static const char *const commands[] = {"LOCK", "FLUSH_PT", "FLUSH_MEM", "UNLOCK", "UPDATE"};
	bool ours = event->as == box->as && !box->remap->idle;

	if (!strcmp(event->name, "LOAD")) {
		if (ours)
			take_load(box, event);
		return;
	}
	if (!strcmp(event->name, "VIOLATION") || !strcmp(event->name, "FAULT") || !strcmp(event->name, "GPU_RESET"))
		snprintf(box->record->trouble, sizeof(box->record->trouble), "%s", event->line);
	if (!strcmp(event->name, "GPU_FLUSH"))
		record_command(box->record, "GPU_FLUSH", 0, 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(event->name, commands[i]) && (ours || (box->remap->idle && event->as)))
			record_command(box->record, commands[i], event->va, event->size);
}

static void box_stop(struct subject *subject)
{
	struct box *box = subject->data;
	struct malisim_event event;
	FILE *trace;

	must(malisim_write("probe", "check"), "a look after");
	must(malisim_write("probe", "clear"), "malisim's probes");
	trace = malisim_trace();
	if (!trace)
		bail_out("no " MALISIM "trace");
	while (malisim_next(trace, &event))
		take(box, &event);
	fclose(trace);
}

static void bind_bo(struct subject *subject, const struct search *search, uint64_t va, uint64_t offset, uint64_t size)
{
	const struct remap_op map[REMAP_OPS] = {{REMAP_MAP, va, size, MEM_A, 0}};
	struct memory kept = subject->memory[MEM_A];
	int ret;

	subject->memory[MEM_A] = (struct memory){.handle = search->bo, .offset = offset};
	ret = subject_bind(subject, search->vm, map, false);
	subject->memory[MEM_A] = kept;
	must(ret, "a map of memory to look at");
}

/* Let the GPU load from @count addresses, and give what it finds out to @found. */
static void look_at(const struct box *box, uint64_t va, size_t count, uint64_t step,
		    void (*found)(void *data, const struct malisim_event *event), void *data)
{
	struct malisim_event event;
	FILE *trace;

	must(malisim_write("probe", "clear"), "malisim's probes");
	for (size_t i = 0; i < count; i++)
		must(malisim_write("probe", "add %llx any any", (unsigned long long)(va + i * step)), "a probe");
	must(malisim_write("trace", "clear"), "malisim's trace");
	must(malisim_write("probe", "check"), "a look");
	trace = malisim_trace();
	if (!trace)
		bail_out("no " MALISIM "trace");
	while (malisim_next(trace, &event))
		if (!strcmp(event.name, "LOAD") && event.as == box->as)
			found(data, &event);
	fclose(trace);
}

static void take_sample(void *data, const struct malisim_event *event)
{
	struct search *search = data;

	search->pa[(event->va - SEARCH_VA) / SAMPLE] = event->pa;
}

static void take_page_size(void *data, const struct malisim_event *event)
{
	*(unsigned *)data = event->page_kib;
}

/* Do the samples say that 2 MiB from this offset on may be contiguous, and aligned? */
static bool may_be_block(const struct search *search, uint64_t offset)
{
	size_t first = (offset + SAMPLE - 1) / SAMPLE, last = (offset + BLOCK - 1) / SAMPLE;

	for (size_t i = first; i <= last; i++)
		if (!search->pa[i] || search->pa[i] != search->pa[first] + (i - first) * SAMPLE)
			return false;
	return (search->pa[first] - (first * SAMPLE - offset)) % BLOCK == 0;
}

/* If they do, then the GPU itself must see one. */
static bool is_block(struct subject *subject, const struct search *search, uint64_t offset)
{
	unsigned page_kib = 0;

	if (offset + BLOCK > SEARCH_SIZE || !may_be_block(search, offset))
		return false;
	bind_bo(subject, search, BLOCK_VA, offset, BLOCK);
	look_at(subject->data, BLOCK_VA, 1, 0, take_page_size, &page_kib);
	return page_kib == BLOCK >> 10;
}

/* Give out what is contiguous in a BO, as long as memory is wanted; @mem is the next that wants some. */
static int give_out(struct subject *subject, const struct search *search, int mem)
{
	static const unsigned blocks[MEM_COUNT] = {MEM_SIZE / BLOCK, MEM_SIZE / BLOCK, 1};
	uint64_t offset = 0;

	while (mem < MEM_COUNT && offset + BLOCK <= SEARCH_SIZE) {
		unsigned found = 0;

		while (found < blocks[mem] && is_block(subject, search, offset + found * BLOCK))
			found++;
		if (found < blocks[mem]) {
			offset += PAGE;
			continue;
		}
		subject->memory[mem++] = (struct memory){.handle = search->bo, .offset = offset};
		offset += found * BLOCK;
	}
	return mem;
}

/* Look for memory in a new BO, while a job of a new VM runs: it may do so for 5 s. */
static int search_bo(struct subject *subject, int mem)
{
	struct search search = {.vm = subject_vm(subject), .bo = subject_bo(subject, SEARCH_SIZE)};

	box_hold(subject, search.vm);
	bind_bo(subject, &search, SEARCH_VA, 0, SEARCH_SIZE);
	for (uint64_t at = 0; at < SEARCH_SIZE; at += SAMPLE * MALISIM_PROBES)
		look_at(subject->data, SEARCH_VA + at, MALISIM_PROBES, SAMPLE, take_sample, &search);
	mem = give_out(subject, &search, mem);
	must(malisim_write("probe", "clear"), "malisim's probes");
	box_let_go(subject, search.vm);
	subject_vm_destroy(subject, search.vm);
	return mem;
}

/* Memory that is contiguous in aligned pieces of 2 MiB. The driver takes pages as they come, so look what has come. */
static void find_memory(struct subject *subject)
{
	int mem = 0;

	for (int bos = 0; mem < MEM_COUNT && bos < SEARCH_BOS; bos++)
		mem = search_bo(subject, mem);
	if (mem < MEM_COUNT)
		bail_out("no memory that is contiguous in pieces of 2 MiB, in %d BOs of %u MiB", SEARCH_BOS,
			 (unsigned)(SEARCH_SIZE >> 20));
}

static int driver_minor(struct subject *subject)
{
	struct drm_version version = {0};

	must(subject->file->backend->ioctl(subject->file, DRM_IOCTL_VERSION, &version), "VERSION");
	return version.version_minor;
}

static void box_open(struct subject *subject)
{
	const char *driver = getenv("PANBIND_BOX");
	struct box *box = calloc(1, sizeof(*box));

	if (!driver || !box)
		bail_out("drm:auto is judged in the kernel box only (kernel/run)");
	subject->data = box;
	subject->of_its_own = driver_minor(subject) >= MINOR_ATOMIC;
	subject->atomic = subject->widens = !strcmp(driver, "atomic") || subject->of_its_own;
	must(malisim_write("trace", "on"), "malisim's trace");
	find_memory(subject);
}

static void box_close(struct subject *subject)
{
	free(subject->data);
}

const struct subject_kind subject_box = {
	.open = box_open,
	.close = box_close,
	.hold = box_hold,
	.let_go = box_let_go,
	.give_up = box_give_up,
	.start = box_start,
	.stop = box_stop,
};
