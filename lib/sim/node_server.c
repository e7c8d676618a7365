/* SPDX-License-Identifier: MIT */
/*
 * A simulated device as a render node for other programs: start, stop, who comes and who goes.
 *
 * A file is a connection on which nothing is said. When the kernel tells that its other end has no holder left, be it
 * that they closed it, ended or were killed, the file is released, after the last call that still uses it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_server.h"

#define EVENTS	      16
#define OUT_OF_FDS_US 10000

int node_error(struct panbind_error *reterr, int code, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return code;
	*reterr = (struct panbind_error){.code = code, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};
	va_start(args, format);
	vsnprintf(reterr->msg, sizeof(reterr->msg), format, args);
	va_end(args);
	return code;
}

/* ---- Files ---- */

struct node_file *node_file_get(struct panbind_sim *sim, uint64_t id)
{
	struct node_file *file;

	pthread_mutex_lock(&sim->lock);
	for (file = sim->files; file && file->id != id; file = file->next)
		;
	if (file)
		file->refs++;
	pthread_mutex_unlock(&sim->lock);
	return file;
}

void node_file_put(struct panbind_sim *sim, struct node_file *file)
{
	bool last;

	pthread_mutex_lock(&sim->lock);
	last = --file->refs == 0;
	pthread_mutex_unlock(&sim->lock);
	if (!last)
		return;
	file->sim->backend->close(file->sim);
	close(file->fd);
	free(file);
}

/* The fd is the file's from now on. */
static void publish(struct node_peer *peer, struct node_file *file)
{
	struct panbind_sim *sim = peer->sim;

	pthread_mutex_lock(&sim->lock);
	file->fd = peer->fd;
	peer->fd = -1;
	file->number = ++sim->numbers;
	file->next = sim->files;
	sim->files = file;
	pthread_mutex_unlock(&sim->lock);
}

/* Take it out of the list, whose reference is then the caller's. */
static void unpublish(struct panbind_sim *sim, struct node_file *file)
{
	struct node_file **link = &sim->files;

	pthread_mutex_lock(&sim->lock);
	while (*link && *link != file)
		link = &(*link)->next;
	if (*link)
		*link = file->next;
	pthread_mutex_unlock(&sim->lock);
}

int node_file_open(struct node_peer *peer, uint64_t id, struct node_file **ret_file)
{
	struct node_file *file = calloc(1, sizeof(*file));
	int ret = file ? pb_backend_sim.open(peer->sim->device, &file->sim, NULL) : -ENOMEM;

	if (ret) {
		free(file);
		return ret;
	}
	file->id = id;
	file->refs = 1;
	publish(peer, file);
	*ret_file = file;
	return 0;
}

/* One that cannot be watched lives until the node is stopped. */
void node_file_watch(struct panbind_sim *sim, struct node_file *file)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = file};

	epoll_ctl(sim->poll_fd, EPOLL_CTL_ADD, file->fd, &event);
}

/* Something came: nothing that a render node takes, or the end. */
static void file_event(struct panbind_sim *sim, struct node_file *file)
{
	char junk[256];
	ssize_t got;

	do
		got = recv(file->fd, junk, sizeof(junk), MSG_DONTWAIT);
	while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0 && errno == EAGAIN)
		return;
	epoll_ctl(sim->poll_fd, EPOLL_CTL_DEL, file->fd, NULL);
	unpublish(sim, file);
	node_file_put(sim, file);
}

/* ---- Peers ---- */

static void accept_peer(struct panbind_sim *sim)
{
	int fd = accept4(sim->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct node_peer *peer = fd < 0 ? NULL : malloc(sizeof(*peer));
	pthread_t thread;

	if (!peer) {
		if (fd >= 0)
			close(fd);
		else
			usleep(OUT_OF_FDS_US); /* whoever knocks stays at the door */
		return;
	}
	node_peer_init(peer, sim, fd);
	pthread_mutex_lock(&sim->lock);
	peer->next = sim->peers;
	sim->peers = peer;
	sim->peer_count++;
	pthread_mutex_unlock(&sim->lock);
	if (pthread_create(&thread, NULL, node_serve, peer))
		node_peer_end(peer);
	else
		pthread_detach(thread);
}

void node_peer_end(struct node_peer *peer)
{
	struct panbind_sim *sim = peer->sim;
	struct node_peer **link = &sim->peers;
	int fd = peer->fd;

	pthread_mutex_lock(&sim->lock);
	while (*link != peer)
		link = &(*link)->next;
	*link = peer->next;
	pthread_mutex_unlock(&sim->lock);
	free(peer);
	if (fd >= 0)
		close(fd);
	/* Whoever stops the node frees it as soon as it sees that nobody is left: this comes last. */
	pthread_mutex_lock(&sim->lock);
	if (--sim->peer_count == 0)
		pthread_cond_signal(&sim->idle);
	pthread_mutex_unlock(&sim->lock);
}

/* A caller that waits says something, or has ended: its wait is over. Under the lock. */
static void interrupt_locked(struct node_peer *peer)
{
	peer->interrupt = true;
	if (peer->wake)
		peer->wake(peer->wake_data);
}

/* ---- The loop ---- */

static struct node_file *find_file(struct panbind_sim *sim, const void *ptr)
{
	struct node_file *file;

	pthread_mutex_lock(&sim->lock);
	for (file = sim->files; file && file != ptr; file = file->next)
		;
	pthread_mutex_unlock(&sim->lock);
	return file;
}

/* What an event points to may have gone since: only what is still in a list is touched. */
static void handle(struct panbind_sim *sim, const struct epoll_event *event)
{
	struct node_file *file;

	if (event->data.ptr == &sim->listen_fd) {
		accept_peer(sim);
		return;
	}
	file = find_file(sim, event->data.ptr);
	if (file) {
		file_event(sim, file);
		return;
	}
	pthread_mutex_lock(&sim->lock);
	for (struct node_peer *peer = sim->peers; peer; peer = peer->next)
		if (peer == event->data.ptr)
			interrupt_locked(peer);
	pthread_mutex_unlock(&sim->lock);
}

static void *loop(void *arg)
{
	struct panbind_sim *sim = arg;

	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(sim->poll_fd, events, EVENTS, -1);

		for (int i = 0; i < count; i++)
			if (events[i].data.ptr == &sim->stop_fd)
				return NULL;
		for (int i = 0; i < count; i++)
			handle(sim, &events[i]);
	}
}

/* ---- Start and stop ---- */

static int watch(struct panbind_sim *sim, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	return epoll_ctl(sim->poll_fd, EPOLL_CTL_ADD, *fd, &event) ? -errno : 0;
}

static int listen_in_folder(struct panbind_sim *sim)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	snprintf(name.sun_path, sizeof(name.sun_path), "%s/" NODE_SOCKET, sim->folder);
	sim->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sim->listen_fd < 0 || bind(sim->listen_fd, (struct sockaddr *)&name, sizeof(name)) ||
	    listen(sim->listen_fd, SOMAXCONN))
		return -errno;
	return 0;
}

static int start_loop(struct panbind_sim *sim)
{
	int ret = listen_in_folder(sim);

	if (ret)
		return ret;
	sim->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	sim->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (sim->poll_fd < 0 || sim->stop_fd < 0)
		return -errno;
	ret = watch(sim, &sim->listen_fd);
	if (!ret)
		ret = watch(sim, &sim->stop_fd);
	return ret ? ret : -pthread_create(&sim->thread, NULL, loop, sim);
}

static void close_fds(struct panbind_sim *sim)
{
	const int fds[] = {sim->listen_fd, sim->poll_fd, sim->stop_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Without its name a device is one for each open; a name in the spec is kept, so that this process can open it too. */
static int open_device(struct panbind_sim *sim, const char *spec, struct panbind_error *reterr)
{
	const char *name, *prefix = "sim:";
	char options[1024];
	int length, ret;

	if (strncmp(spec, prefix, strlen(prefix)) != 0)
		return node_error(reterr, -EINVAL, "a simulated device is sim:OPTIONS, not \"%.60s\"", spec);
	spec += strlen(prefix);
	name = strncmp(spec, "name=", 5) == 0 ? spec : strstr(spec, ",name=");
	if (name) {
		name += *name == ',';
		snprintf(sim->device, sizeof(sim->device), "%.*s", (int)strcspn(name, ","), name);
		length = snprintf(options, sizeof(options), "%s", spec);
	} else {
		snprintf(sim->device, sizeof(sim->device), "name=%016llx", (unsigned long long)sim->id);
		length = snprintf(options, sizeof(options), "%s%s%s", spec, *spec ? "," : "", sim->device);
	}
	if (length < 0 || (size_t)length >= sizeof(options))
		return node_error(reterr, -ENAMETOOLONG, "the device's options are too long");
	ret = pb_backend_sim.open(options, &sim->kept, reterr);
	if (ret && reterr && reterr->column) {
		reterr->line = 1;
		reterr->column += (uint32_t)strlen(prefix);
	}
	return ret;
}

static void free_sim(struct panbind_sim *sim)
{
	if (sim->kept)
		sim->kept->backend->close(sim->kept);
	close_fds(sim);
	pthread_mutex_destroy(&sim->lock);
	pthread_cond_destroy(&sim->idle);
	free(sim);
}

static int start(struct panbind_sim *sim, const char *trace, struct panbind_error *reterr)
{
	int ret = trace ? node_trace_open(trace, &sim->trace) : 0;

	if (ret)
		return node_error(reterr, ret, "cannot make the trace %.80s", trace);
	ret = start_loop(sim);
	if (!ret)
		return 0;
	node_trace_close(sim->trace);
	return node_error(reterr, ret, "cannot serve the simulated node in %.80s", sim->folder);
}

int panbind_sim_start(const char *spec, const char *trace, struct panbind_sim **ret_sim, struct panbind_error *reterr)
{
	struct panbind_sim *sim = calloc(1, sizeof(*sim));
	int ret;

	if (!sim)
		return node_error(reterr, -ENOMEM, "out of memory");
	sim->listen_fd = sim->poll_fd = sim->stop_fd = -1;
	pthread_mutex_init(&sim->lock, NULL);
	pthread_cond_init(&sim->idle, NULL);
	ret = node_folder_make(sim, reterr);
	if (ret) {
		free_sim(sim);
		return ret;
	}
	ret = open_device(sim, spec, reterr);
	if (!ret)
		ret = start(sim, trace, reterr);
	if (ret) {
		node_folder_remove(sim);
		free_sim(sim);
		return ret;
	}
	*ret_sim = sim;
	return 0;
}

const char *panbind_sim_folder(const struct panbind_sim *sim)
{
	return sim->folder;
}

/* Every thread hears that its connection is over, those that wait too. */
static void end_peers(struct panbind_sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	sim->stopping = true;
	for (struct node_peer *peer = sim->peers; peer; peer = peer->next) {
		interrupt_locked(peer);
		if (peer->fd >= 0)
			shutdown(peer->fd, SHUT_RDWR);
	}
	while (sim->peer_count)
		pthread_cond_wait(&sim->idle, &sim->lock);
	pthread_mutex_unlock(&sim->lock);
}

int panbind_sim_stop(struct panbind_sim *sim)
{
	int ret;

	if (!sim)
		return 0;
	eventfd_write(sim->stop_fd, 1);
	pthread_join(sim->thread, NULL);
	node_folder_remove(sim);
	end_peers(sim);
	while (sim->files) {
		struct node_file *file = sim->files;

		unpublish(sim, file);
		node_file_put(sim, file);
	}
	ret = node_trace_close(sim->trace);
	free_sim(sim);
	return ret;
}
