/* SPDX-License-Identifier: MIT */
/*
 * Sharing a program's VMs: the descriptor of its render node goes to panbindd, beside one request.
 *
 * The request is one line of JSON-RPC that is written by hand, and of the answer only three members are looked at, so
 * that a program which shares its VMs needs no JSON library. See panbind-rpc(7).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "internal.h"
#include "script.h"

#define ANSWER_BYTES 65536

/* ---- Where ---- */

static int connect_path(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pb_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return -errno;
	*ret_fd = pb_take_fd(fd);
	return 0;
}

/** As panbind(1) does: what is named, else the user's own, else the machine's. @path: where it was in the end. */
static int connect_daemon(const char *chosen, char *path, size_t size, int *ret_fd)
{
	const char *runtime = geteuid() == 0 ? NULL : getenv("XDG_RUNTIME_DIR");
	if (!chosen)
		chosen = getenv("PANBIND_SOCKET");
	if (chosen && *chosen) {
		snprintf(path, size, "%s", chosen);
		return connect_path(path, ret_fd);
	}
	if (runtime && *runtime == '/') {
		snprintf(path, size, "%s/panbind/panbindd.sock", runtime);
		int ret = connect_path(path, ret_fd);
		if (ret != -ENOENT && ret != -ECONNREFUSED)
			return ret;
	}
	snprintf(path, size, "/run/panbind/panbindd.sock");
	return connect_path(path, ret_fd);
}

/* ---- Asking ---- */

static int send_request(int socket, const char *line, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec part = {(char *)line, strlen(line)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	while (part.iov_len > 0) {
		ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return -errno;
		if (sent <= 0)
			continue;
		part.iov_base = (char *)part.iov_base + sent;
		part.iov_len -= (size_t)sent;
		message.msg_control = NULL; /* it went with the first bytes */
		message.msg_controllen = 0;
	}
	return 0;
}

/** One line without its newline, cut when it is longer than @size: only its beginning counts. */
static int read_line(int socket, char *line, size_t size)
{
	size_t length = 0;
	char byte;
	for (;;) {
		ssize_t got = recv(socket, &byte, 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ECONNRESET;
		if (byte == '\n')
			break;
		if (length + 1 < size)
			line[length++] = byte;
	}
	line[length] = '\0';
	return 0;
}

/** The text of a member, without its escapes but for the two that messages have. */
static void copy_text(const char *at, char *text, size_t size)
{
	size_t length = 0;
	for (; *at && *at != '"' && length + 1 < size; at++) {
		if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
			at++;
		text[length++] = *at;
	}
	text[length] = '\0';
}

/** The daemon's refusal, in its own words. */
static int refused(const char *line, struct panbind_error *reterr)
{
	const char *message = strstr(line, "\"message\":\""), *code = strstr(line, "\"errno\":");
	char text[sizeof(reterr->msg)] = "the daemon refused it";
	int err = code ? (int)strtol(code + strlen("\"errno\":"), NULL, 10) : 0;
	if (message)
		copy_text(message + strlen("\"message\":\""), text, sizeof(text));
	return pb_error_set(reterr, err > 0 ? -err : -EIO, PANBIND_STAGE_SUBMIT, "%s", text);
}

/** Notifications may come in between, the greeting first; an answer without our id is a refusal of the connection. */
static int read_answer(int socket, struct panbind_error *reterr)
{
	pb_autofree char *line = malloc(ANSWER_BYTES);
	int ret = line ? 0 : -ENOMEM;
	while (ret == 0) {
		ret = read_line(socket, line, ANSWER_BYTES);
		if (ret < 0 || strstr(line, "\"method\":\""))
			continue;
		return strstr(line, "\"error\":{") ? refused(line, reterr) : 0;
	}
	return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "the daemon did not answer: %s",
			    panbind_errno_name(ret));
}

static int share(int fd, const char *name, const char *which, const char *socket, struct panbind_error *reterr)
{
	pb_autoclose int daemon = -1;
	char path[256], line[512];
	if (!pb_is_name(name, strlen(name)))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "\"%.60s\" is no name for a VM", name);
	int ret = connect_daemon(socket, path, sizeof(path), &daemon);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_VALIDATE, "no daemon answers at %.80s: %s", path,
				    panbind_errno_name(ret));
	snprintf(line, sizeof(line),
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.adopt\",\"params\":{\"name\":\"%s\"%s}}\n", name,
		 which);
	ret = send_request(daemon, line, fd);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "the daemon at %.80s took no request: %s", path,
				    panbind_errno_name(ret));
	return read_answer(daemon, reterr);
}

int panbind_fd_share(int fd, const char *name, const char *socket, struct panbind_error *reterr)
{
	return share(fd, name, "", socket, reterr);
}

int panbind_vm_share(struct panbind_vm *vm, const char *name, const char *socket, struct panbind_error *reterr)
{
	struct pb_file *file = vm->device->file;
	char which[96];
	if (!file->backend->fd)
		return pb_error_set(reterr, -EOPNOTSUPP, PANBIND_STAGE_VALIDATE,
				    "a device that is simulated in this process has no descriptor to share");
	snprintf(which, sizeof(which), ",\"vm_id\":%u,\"va_range\":\"0x%llx\"", vm->id,
		 (unsigned long long)vm->va_range);
	return share(file->backend->fd(file), name, which, socket, reterr);
}
