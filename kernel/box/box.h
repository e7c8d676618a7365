/* SPDX-License-Identifier: MIT */
/* What the files of the box's PID 1 share. None of these functions fails: they end the box and say why. */
#ifndef PANBIND_BOX_H
#define PANBIND_BOX_H

#include <stddef.h>

struct streams {
	int in;			      /* what the command gets as stdin */
	int out, err;		      /* where its output leaves the box */
	int out_pipe, err_pipe;	      /* our ends of the pipes it writes to; -1: none */
	int command_out, command_err; /* its ends */
	int terminal;		      /* it gets the console itself */
};

/* init.c */
void say_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void give_up(const char *what) __attribute__((noreturn)); /* says errno too */
char *read_wish(const char *name, size_t *ret_size);	  /* NULL if there is no such file */

/* setup.c */
void mount_all(void);
void load_modules(void);

/* streams.c */
void open_streams(struct streams *ret_streams);
void enter_streams(const struct streams *streams); /* in the command's process */
void close_command_ends(struct streams *streams);

#endif
