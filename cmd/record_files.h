/* SPDX-License-Identifier: MIT */
/*
 * Who holds which open file of a render node, and when nobody does any more.
 *
 * A file is released when its last descriptor goes. Descriptors are seen to come and go, but one may be on its way,
 * to a child that has not said yet what it inherited, or in a message; so a file that nobody holds is over only after
 * a while in which nobody turns up with it.
 */
#ifndef CMD_RECORD_FILES_H
#define CMD_RECORD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../preload/record_wire.h"

#define RECORD_GRACE_NS 250000000

/** A program of a process: exec() makes another one. Lives as long as the recording. */
struct record_process {
	pid_t pid;
	uint64_t image;
	uint32_t uid, gid;
	char *argv;
	bool ended;
	struct record_holder {
		int fd;
		uint64_t file;
	} * holders;
	size_t holder_count, holder_room;
};

struct record_file {
	uint64_t id;
	char prefix[24];      /* of names of its objects: "" for the first file, "f2." for the second */
	size_t number;	      /* among those that are used */
	size_t holders;	      /* descriptors */
	uint64_t in_flight;   /* in messages */
	uint64_t client;      /* what the driver calls it, or 0 */
	bool over, by_death;  /* reported; its last holder ended, and did not close it */
	int64_t left_ns;      /* when its last descriptor went, of the events' clock */
	uint64_t left_number; /* the event with which it did */
};

struct record_files {
	struct record_file **list;
	size_t count, room, named;
	struct record_process **processes; /* borrowed */
	size_t process_count, process_room;
};

/** A program that may hold files from here on; borrowed. 0 or -ENOMEM. */
int record_files_add_process(struct record_files *files, struct record_process *process);
/** The file of an id, made if need be; NULL: no memory. */
struct record_file *record_files_get(struct record_files *files, uint64_t id);
/** A call uses the file: its objects get names. Files that are only looked at count for nothing. */
void record_files_name(struct record_files *files, struct record_file *file);
/** A descriptor came or went: RECORD_HELD to RECORD_GOT. 0 or -ENOMEM. */
int record_files_event(struct record_files *files, struct record_process *process, const struct record_event *event);
/** All descriptors of the process are gone. */
void record_files_process_gone(struct record_files *files, struct record_process *process, int64_t now_ns,
			       uint64_t number);
/** The file that descriptor @fd of process @pid is, as far as it can be compared with what is held; 0: a new one. */
uint64_t record_files_which(const struct record_files *files, pid_t pid, int fd);
/**
 * A file that is over and was not reported before, or NULL. @now_ns: the events' clock; INT64_MAX at the end of the
 * recording, where those that ended with their last process after event @last_number stay as they are.
 */
struct record_file *record_files_over(struct record_files *files, int64_t now_ns, uint64_t last_number);
/** Is there one that will be over when the grace has passed? */
bool record_files_waiting(const struct record_files *files);
void record_files_free(struct record_files *files);

#endif /* CMD_RECORD_FILES_H */
