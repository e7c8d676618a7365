/* SPDX-License-Identifier: MIT */
/*
 * The end that comes from outside: the limit of -T, and the signals that ask a program to stop (INT, TERM, HUP).
 *
 * Nothing is torn: a handler only notes that it is time to stop and asks the session, if one runs, to stop. The session
 * lets a bind in progress finish, undoes its open transaction and returns; then the verb comes back here for the
 * status. Calls that block (reading standard input) end with EINTR.
 */
#ifndef CMD_LIMIT_H
#define CMD_LIMIT_H

#include <stdbool.h>

struct panbind_session;

/** Start to watch. @seconds 0: signals only. */
void limit_begin(double seconds);
/** Stop watching. After a signal asked for the end, this ends the process by that signal, once all is written. */
void limit_end(void);
/** Has the time come? 0, SIGALRM for the limit, or the signal. */
int limit_reached(void);
/** The exit status, the errno and the words for it, when limit_reached(). */
int limit_status(void);
int limit_code(void);
const char *limit_reason(void);
/**
 * Wait until @fd has one of @events, or @timeout_ms passed (negative: for ever). 1 when it has, 0 after the time,
 * -EINTR when the end is asked for, also when that was before: no wait outlives the limit.
 */
int limit_poll(int fd, short events, int timeout_ms);
/** The session that is to be stopped, NULL for none. */
void limit_watch(struct panbind_session *session);

#endif /* CMD_LIMIT_H */
