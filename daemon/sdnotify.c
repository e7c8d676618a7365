/* SPDX-License-Identifier: MIT */
/*
 * Socket activation, readiness and the watchdog of systemd.
 *
 * The watchdog is fed by the loop, not by the engines: a long ioctl is no reason to be killed, a stuck loop is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "say.h"
#include "sdnotify.h"

int sdnotify_socket(int *ret_fd)
{
	int count = sd_listen_fds(1), fd = SD_LISTEN_FDS_START;

	if (count <= 0)
		return count;
	if (count > 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
		say(SAY_ERROR, "systemd must pass one listening Unix stream socket");
		return -EINVAL;
	}
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return -errno;
	*ret_fd = fd;
	return 1;
}

void sdnotify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void sdnotify_alive(void)
{
	if (getenv("WATCHDOG_USEC"))
		sd_notify(0, "WATCHDOG=1");
}

void sdnotify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
