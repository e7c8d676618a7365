/* SPDX-License-Identifier: MIT */
/*
 * The socket in the file system: where it is, who may connect, and whose it is.
 *
 * A socket file outlives a daemon that was killed, so finding one says nothing. Who holds a lock on PATH.lock is the
 * daemon of that path; with the lock in hand, a socket that still answers belongs to something else and is left alone,
 * and one that does not is stale and replaced. The lock file stays: removing it would let two daemons lock two files.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "server.h"
#include "util.h"

#define SOCKET_NAME  "panbindd.sock"
#define SOCKET_GROUP "panbind"
#define BACKLOG	     1024

char *default_socket_path(void)
{
	const char *given = getenv("PANBIND_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;

	if (given && *given)
		return strdup(given);
	if (geteuid() == 0)
		return strdup("/run/panbind/" SOCKET_NAME);
	if (!runtime || runtime[0] != '/' || asprintf(&path, "%s/panbind/" SOCKET_NAME, runtime) < 0)
		return NULL;
	return path;
}

/** The socket's own directory may be missing; more than that is not ours to make. */
static void make_directory(const char *path)
{
	autofree char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;

	if (!slash || slash == directory)
		return;
	*slash = '\0';
	mkdir(directory, geteuid() == 0 ? 0755 : 0700);
}

static int fill_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path) + 1);
	return 0;
}

static int take_lock(const char *path, int *ret_fd)
{
	autofree char *name = NULL;
	autoclose int fd = -1;

	if (asprintf(&name, "%s.lock", path) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	*ret_fd = take_fd(fd);
	return 0;
}

/** Remove what is in the way, if nobody answers there and it is a socket. */
static int remove_stale(const char *path, const struct sockaddr_un *address)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(path) < 0 ? -errno : 0;
}

/** 0660 from the first moment on: the mode is that of the file that bind() makes. */
static int bind_socket(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0117);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	struct group *group;

	umask(before);
	if (r < 0)
		return r;
	group = geteuid() == 0 ? getgrnam(SOCKET_GROUP) : NULL;
	if (group && chown(address->sun_path, 0, group->gr_gid) < 0)
		return -errno;
	return 0;
}

int listen_on(const char *path, int *ret_fd, int *ret_lock_fd)
{
	autoclose int fd = -1, lock = -1;
	struct sockaddr_un address;
	int r = fill_address(path, &address);

	if (r < 0)
		return r;
	make_directory(path);
	r = take_lock(path, &lock);
	if (r == 0)
		r = remove_stale(path, &address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = bind_socket(fd, &address);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_fd = take_fd(fd);
	*ret_lock_fd = take_fd(lock);
	return 0;
}
