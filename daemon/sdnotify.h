/* SPDX-License-Identifier: MIT */
/* What systemd gives and is told. Without systemd all of it does nothing. */
#ifndef PBD_SDNOTIFY_H
#define PBD_SDNOTIFY_H

/** 1 and the listening socket that systemd passed, 0 when there is none, or a negative errno (said already). */
int sdnotify_socket(int *ret_fd);
void sdnotify_ready(const char *status);
/** Once a tick: feeds the watchdog. */
void sdnotify_alive(void);
void sdnotify_stopping(void);

#endif /* PBD_SDNOTIFY_H */
