/* SPDX-License-Identifier: MIT */
/*
 * A log as a benchmark: every entry one call of the library, in as many threads as made them, again and again.
 *
 * A replay binds what waits together, to be done soon; this one does what was done, call by call, to be measured. What
 * the log says of threads is who asked (process, and thread where it is known) and in which order: who never worked at
 * the same time shares a thread here. Threads run freely but where the log's order matters: ops on the same addresses
 * of a VM, a BO before it is mapped and until it was, a syncobj's signals before its waits.
 *
 * bench_load.c: the log as steps; bench_order.c: which steps wait for which; bench_run.c: a round; bench_verify.c: is
 * the mapping the one of the log; bench_stat.c: what came of the rounds, as JSON; bench_show.c: that as text, and two
 * side by side; bench.c: the command.
 */
#ifndef CMD_BENCH_H
#define CMD_BENCH_H

#include <jansson.h>
#include <pthread.h>

#include "cmd.h"
#include "panbind-log.h"

#define BENCH_LANES 64
#define BENCH_NONE  UINT32_MAX

/** A VM or BO of the log: of one name and generation. */
struct bench_object {
	bool is_vm, lost; /* lost: from here on nobody knows what it maps */
	uint64_t size;
	uint32_t flags, exclusive_vm; /* of a BO: index or BENCH_NONE */
	/* In a round. */
	union {
		struct panbind_vm *vm;
		struct panbind_bo *bo;
	};
	pthread_mutex_t lock; /* the library binds a VM from one thread at a time */
	bool in_flight;	      /* asynchronous binds that nobody has waited for */
};

/** A syncobj from one reset to the next. */
struct bench_syncobj {
	struct panbind_syncobj *syncobj; /* in a round */
	bool has_fence;			 /* while loading: of a binary one */
	uint64_t point;			 /* while loading: the last that has a fence */
};

struct bench_sync {
	uint32_t syncobj;
	bool signal, help; /* help: nothing in the log signals it, so that this step does before it waits */
	uint64_t point;
};

struct bench_op {
	enum panbind_log_op_type type;
	uint32_t flags, vm, bo, first_sync, sync_count;
	uint64_t va, size, bo_offset;
};

/** What is measured together. */
enum bench_kind {
	BENCH_MAP = 0,
	BENCH_UNMAP,
	BENCH_SPARSE,
	BENCH_MIXED,
	BENCH_SYNC_ONLY,
	BENCH_VM_CREATE,
	BENCH_VM_DESTROY,
	BENCH_BO_CREATE,
	BENCH_BO_DESTROY,
	BENCH_KINDS,
};

/** Lane @lane must have done @count steps. */
struct bench_need {
	uint32_t lane, count;
};

/** An entry. */
struct bench_step {
	enum panbind_log_kind kind;
	enum bench_kind measured;
	uint32_t object; /* of VM_* and BO_* */
	uint32_t first_op, op_count;
	uint32_t lane, place; /* it is number @place of its lane */
	uint32_t first_need, need_count;
	int32_t pid, tid;
	bool async;
	uint64_t seq, recorded_ns; /* what it took then; 0: not known */
	int64_t time_ns;	   /* when it began then */
};

#define BENCH_ARRAY(type, name)     \
	struct {                    \
		type *at;           \
		size_t count, room; \
	} name

/** A log, ready to be repeated. */
struct bench_program {
	BENCH_ARRAY(struct bench_object, objects);
	BENCH_ARRAY(struct bench_syncobj, syncobjs);
	BENCH_ARRAY(struct bench_op, ops);
	BENCH_ARRAY(struct bench_sync, syncs);
	BENCH_ARRAY(struct bench_step, steps);
	BENCH_ARRAY(struct bench_need, needs);
	size_t prologue; /* steps that make the state the log begins with: not measured */
	uint32_t lanes;
	uint64_t bind_count, op_count; /* of measured binds */
	uint64_t left_out;	       /* entries that had failed or whose VM is lost */
	json_t *names;		       /* "vNAME#GENERATION", "bNAME#GENERATION", "sNAME#0" -> index */
};

/** An array of @room elements that has room for one more behind @count, which is zeroed; or NULL. */
void *bench_grow(void *at, size_t count, size_t *room, size_t element);
/** One more element, zeroed: its index, or BENCH_NONE without memory. */
#define BENCH_ADD(array)                                                                                 \
	({                                                                                               \
		void *more_ = bench_grow((array).at, (array).count, &(array).room, sizeof(*(array).at)); \
		if (more_)                                                                               \
			(array).at = more_;                                                              \
		more_ ? (uint32_t)(array).count++ : BENCH_NONE;                                          \
	})

struct bench_options {
	const char *path;
	struct panbind_log_ref vm; /* only this one; name NULL: all */
	uint64_t until_seq;	   /* 0: all */
	double speed;		   /* 0: as fast as it goes */
	bool one_thread, verify;
	unsigned rounds;
};

/** Index of the VM ('v') or BO ('b') of a name, or BENCH_NONE. */
uint32_t bench_find(const struct bench_program *program, char kind, const struct panbind_log_ref *ref);
/** Read a log. 0 or a negative errno with a sentence. */
int bench_load(struct bench_program *program, struct panbind_log *log, const struct bench_options *options,
	       struct panbind_error *reterr);
void bench_free(struct bench_program *program);
/** Say which thread each step is of, and what it waits for. 0 or -ENOMEM. */
int bench_order(struct bench_program *program, const struct bench_options *options);

/** What came of the rounds on one device. */
struct bench_side {
	const char *spec;
	struct panbind_device *device;
	uint64_t *ns;	 /* [round][step]: what each took; 0: it did not run */
	double *seconds; /* of each round */
	unsigned rounds; /* so far */
	uint64_t failures;
	struct panbind_error error; /* of the first step that failed */
	uint64_t error_seq;
	uint64_t differences; /* ranges that map something else than the log implies */
	char difference[256]; /* the first one */
};

/**
 * Repeat the program once on a device, with what it takes in @ns (one a step; NULL: nobody cares). 0, also when steps
 * failed, which the side counts; -EINTR when the limit is reached, or what kept the round from being run.
 */
int bench_round(struct bench_program *program, struct bench_side *side, const struct bench_options *options,
		uint64_t *ns, double *ret_seconds, const struct panbind_log_state *expected);
/** Compare what VMs map now with the log's state: side->differences. */
void bench_verify(const struct bench_program *program, struct bench_side *side,
		  const struct panbind_log_state *expected);

/** All that is to be told of a side, as the document's "bench". */
json_t *bench_json(const struct bench_program *program, const struct bench_side *side,
		   const struct bench_options *options);
/** How B compares with A: ratios B / A. */
json_t *bench_compare(const json_t *a, const json_t *b);
void bench_print(const struct cmd *cmd, const json_t *bench);
void bench_print_two(const struct cmd *cmd, const json_t *a, const json_t *b, const json_t *ratios);

/** Run the rounds on each of @specs (one or two, interleaved) and tell. Returns an exit status. */
int bench_replay(struct cmd *cmd, const struct bench_options *options, const char *const *specs, size_t count);
/** Two results of earlier runs with --json. Returns an exit status. */
int bench_files(struct cmd *cmd, const char *a, const char *b);

#endif /* CMD_BENCH_H */
