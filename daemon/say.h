/* SPDX-License-Identifier: MIT */
/* The daemon's own messages: standard error, with the priority marks that the system's journal reads. */
#ifndef PBD_SAY_H
#define PBD_SAY_H

enum say_level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_NOTICE = 5, SAY_INFO = 6, SAY_DEBUG = 7 };

/** Before any thread starts: messages above @most are dropped; @marks: put "<3>" before each line. */
void say_setup(enum say_level most, int marks);
void say(enum say_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* PBD_SAY_H */
