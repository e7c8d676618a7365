/* SPDX-License-Identifier: MIT */
/* The limit of -T and the signals that ask for the end. See limit.h for how an end is brought about. */
#include "limit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>

#include "cmd.h"
#include "panbind.h"

/* Signal handlers have no argument, so these are the program's only variables outside a function. */
static volatile sig_atomic_t reached;
static _Atomic(struct panbind_session *) watched;

static void on_signal(int signal_number)
{
	struct panbind_session *session = atomic_load(&watched);

	if (!reached)
		reached = signal_number;
	if (session)
		panbind_session_stop(session);
}

/* No SA_RESTART: a read that blocks is to end. */
static void handle(int signal_number)
{
	struct sigaction action = {.sa_handler = on_signal}, old;

	if (sigaction(signal_number, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return; /* nohup(1) and the like */
	sigaction(signal_number, &action, NULL);
}

void limit_begin(double seconds)
{
	struct itimerval timer = {{0, 0}, {0, 0}};

	handle(SIGINT);
	handle(SIGTERM);
	handle(SIGHUP);
	if (seconds <= 0)
		return;
	handle(SIGALRM);
	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
	if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
		timer.it_value.tv_usec = 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

void limit_end(void)
{
	int signal_number = reached;

	limit_watch(NULL);
	if (!signal_number || signal_number == SIGALRM)
		return;
	fflush(stdout);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

int limit_reached(void)
{
	return reached;
}

void limit_watch(struct panbind_session *session)
{
	atomic_store(&watched, session);
	if (session && reached)
		panbind_session_stop(session);
}

/* The signals are let through only while poll sleeps, so none can come between the look and the sleep. */
int limit_poll(int fd, short events, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
	struct pollfd poll_fd = {.fd = fd, .events = events};
	sigset_t ours, before;
	int r = -1;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGALRM);
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (!reached)
		r = ppoll(&poll_fd, 1, timeout_ms < 0 ? NULL : &timeout, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return reached ? -EINTR : r < 0 ? 0 : r;
}

int limit_status(void)
{
	return reached == SIGALRM ? CMD_TIMED_OUT : CMD_FAILED;
}

int limit_code(void)
{
	return reached == SIGALRM ? -ETIMEDOUT : -ECANCELED;
}

const char *limit_reason(void)
{
	return reached == SIGALRM ? "the time limit (-T) is reached" : "a signal asked for the end";
}
