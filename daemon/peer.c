/* SPDX-License-Identifier: MIT */
/*
 * Roles from SO_PEERCRED and SO_PEERGROUPS: the kernel says who connected, at the time of the connect, and nothing the
 * client writes can change it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"
#include "util.h"

#define ARGV_SIZE 512

const char *role_name(enum role role)
{
	static const char *const names[ROLE_COUNT] = {"none", "read", "bind", "admin"};

	return names[role];
}

void grants_free(struct grants *grants)
{
	free(grants->grants);
	*grants = (struct grants){0};
}

static int parse_id(const char *text, unsigned long *ret_id)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -ENOENT;
	errno = 0;
	*ret_id = strtoul(text, &end, 10);
	return *end || errno || *ret_id > UINT32_MAX - 1 ? -ENOENT : 0;
}

static int parse_group(const char *text, struct grant *grant)
{
	unsigned long id;
	struct group *group;

	grant->kind = GRANT_GROUP;
	if (parse_id(text, &id) == 0) {
		grant->gid = (gid_t)id;
		return 0;
	}
	group = getgrnam(text);
	if (!group)
		return -ENOENT;
	grant->gid = group->gr_gid;
	return 0;
}

static int parse_user(const char *text, struct grant *grant)
{
	unsigned long id;
	struct passwd *user;

	grant->kind = GRANT_USER;
	if (parse_id(text, &id) == 0) {
		grant->uid = (uid_t)id;
		return 0;
	}
	user = getpwnam(text);
	if (!user)
		return -ENOENT;
	grant->uid = user->pw_uid;
	return 0;
}

static int parse_grant(const char *word, struct grant *grant)
{
	if (strcmp(word, "*") == 0) {
		grant->kind = GRANT_ALL;
		return 0;
	}
	return word[0] == '@' ? parse_group(word + 1, grant) : parse_user(word, grant);
}

int grants_add(struct grants *grants, enum role role, const char *text, char *ret_bad)
{
	autofree char *copy = strdup(text);
	char *rest = copy, *word;

	if (!copy)
		return -ENOMEM;
	while ((word = strsep(&rest, ", \t"))) {
		struct grant grant = {.role = role}, *grown;

		if (!*word)
			continue;
		if (parse_grant(word, &grant) < 0) {
			snprintf(ret_bad, 64, "%s", word);
			return -ENOENT;
		}
		grown = reallocarray(grants->grants, grants->count + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		grants->grants = grown;
		grown[grants->count++] = grant;
	}
	return 0;
}

/** The peer's supplementary groups; an old kernel without SO_PEERGROUPS leaves it at the primary one. */
static gid_t *peer_groups(int fd, size_t *ret_count)
{
	socklen_t size = 64 * sizeof(gid_t);
	gid_t *groups = malloc(size);

	*ret_count = 0;
	while (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
		gid_t *grown = errno == ERANGE ? realloc(groups, size) : NULL;

		if (!grown) {
			free(groups);
			return NULL;
		}
		groups = grown;
	}
	*ret_count = groups ? size / sizeof(gid_t) : 0;
	return groups;
}

static bool grant_fits(const struct grant *grant, const struct ucred *cred, const gid_t *groups, size_t count)
{
	if (grant->kind == GRANT_ALL)
		return true;
	if (grant->kind == GRANT_USER)
		return grant->uid == cred->uid;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == grant->gid)
			return true;
	return grant->gid == cred->gid;
}

int peer_from_socket(int fd, const struct grants *grants, struct peer *ret_peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);
	autofree gid_t *groups = NULL;
	size_t count = 0;
	enum role role = ROLE_NONE;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	if (cred.uid == 0 || cred.uid == geteuid())
		role = ROLE_ADMIN;
	else
		groups = peer_groups(fd, &count);
	for (size_t i = 0; i < grants->count && role != ROLE_ADMIN; i++)
		if (grants->grants[i].role > role && grant_fits(&grants->grants[i], &cred, groups, count))
			role = grants->grants[i].role;
	*ret_peer = (struct peer){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid, .role = role};
	return 0;
}

const char *peer_argv(struct peer *peer)
{
	char path[48], text[ARGV_SIZE];
	autoclose int fd = -1;
	ssize_t size = -1;

	if (peer->argv)
		return peer->argv;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)peer->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		size = read(fd, text, sizeof(text) - 1);
	if (size < 0)
		size = 0;
	while (size > 0 && text[size - 1] == '\0')
		size--;
	for (ssize_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[size] = '\0';
	peer->argv = strdup(text);
	return peer->argv ? peer->argv : "";
}

void peer_free(struct peer *peer)
{
	free(peer->argv);
	peer->argv = NULL;
}
