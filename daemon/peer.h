/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a connection, and what they may do.
 */
#ifndef PBD_PEER_H
#define PBD_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Each role may do what those before it may. */
enum role { ROLE_NONE, ROLE_READ, ROLE_BIND, ROLE_ADMIN };
#define ROLE_COUNT 4

const char *role_name(enum role role);

/** A user or a group, or everybody. */
struct grant {
	enum role role;
	enum { GRANT_USER, GRANT_GROUP, GRANT_ALL } kind;
	uid_t uid;
	gid_t gid;
};

struct grants {
	struct grant *grants;
	size_t count;
};

void grants_free(struct grants *grants);
/**
 * Add what a line of the configuration says: comma-separated users, @groups (names or numbers) and `*` for everybody.
 * -ENOENT with the word in @ret_bad (of 64 bytes) when there is no such user or group.
 */
int grants_add(struct grants *grants, enum role role, const char *text, char *ret_bad);

/** The other end of a connection. `argv` is read when it is first needed. */
struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	enum role role;
	char *argv;
};

/**
 * Fill @ret_peer for a connected Unix socket. root and the daemon's own user are admins; for others the best grant
 * counts, which may be that of a supplementary group.
 */
int peer_from_socket(int fd, const struct grants *grants, struct peer *ret_peer);
/** The peer's command line with blanks between the words, or "" when it is gone. Remembered. */
const char *peer_argv(struct peer *peer);
void peer_free(struct peer *peer);

#endif /* PBD_PEER_H */
