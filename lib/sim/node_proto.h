/* SPDX-License-Identifier: MIT */
/*
 * What a simulated node's server and its clients say to each other.
 *
 * All sockets are AF_UNIX SOCK_SEQPACKET on FOLDER/socket; a packet is a struct node_message, maybe with data behind it
 * or an fd beside it. A connection starts with a HELLO: as a file (what the program holds as its render node; nothing
 * else is said on it) or for calls, of one thread each. On the latter the client sends a call; the server asks back for
 * memory and fds of the caller as often as it needs, and ends with a RETURN. CANCEL says that a signal has arrived:
 * the call shall come to an end.
 *
 * Who holds the socket of a file finds both ends of the thread by asking the socket: its own name has the identities of
 * node and file, its peer's the path of the server.
 */
#ifndef NODE_PROTO_H
#define NODE_PROTO_H

#include <stdint.h>

#define NODE_VERSION   1u
#define NODE_SOCKET    "socket" /* in the node's folder */
#define NODE_DRM_MAJOR 226u
#define NODE_MINOR     128u
#define NODE_NAME      "renderD128"
/* Abstract, so behind a NUL: PREFIX, 16 hex digits of the node, a colon, 16 hex digits of the file or sync file. */
#define NODE_FILE_NAME "panbind-node:"
#define NODE_SYNC_NAME "panbind-sync:"
#define NODE_NAME_SIZE (1 + sizeof(NODE_FILE_NAME) - 1 + 16 + 1 + 16)
/* The end of the folder's name: a dash and the 16 digits. */
#define NODE_FOLDER    "panbind-sim-"
/* The most that is read or written of the caller's memory at a time. */
#define NODE_PIECE     (UINT64_C(64) << 10)

/* Client to server, and the meaning of words[]. */
enum node_call {
	NODE_HELLO_FILE = 1, /* version; answered by RETURN */
	NODE_HELLO_CALLS,    /* version; not answered */
	NODE_IOCTL,	     /* request, argument, fd, tid */
	NODE_MMAP,	     /* offset, size, prot, flags, fd, tid; RETURN has the fd, words[0] the offset in it */
	NODE_SYNC_IOCTL,     /* as NODE_IOCTL, on the sync file `file` */
	NODE_SYNC_STATUS,    /* RETURN: words[0] is 1 while pending, else 0 or the negative errno */
	NODE_NEXT_PAGE,	     /* VM, VA; RETURN has a struct pb_page behind it */
	NODE_RESIDENT,	     /* VM, on or off */
	NODE_LOAD,	     /* VM, VA, size, flags; RETURN has the bytes behind it */
	NODE_STORE,	     /* the same, with the bytes behind it */
	NODE_STATS,	     /* VM; RETURN has a struct panbind_gpu_stats behind it */
	NODE_ATOMIC,	     /* RETURN: ret is an enum panbind_tristate */
	NODE_CANCEL,
	NODE_ANSWER, /* to one of the below; ret */
};

/* Server to client. */
enum node_answer {
	NODE_RETURN = 100, /* ret: 0 or more, or a negative errno */
	NODE_READ,	   /* address, size: ANSWER has the bytes behind it, or -EFAULT in ret */
	NODE_WRITE,	   /* address, size; the bytes are the next packet: ANSWER */
	NODE_GET_FD,	   /* number: ANSWER has the fd beside it, or -EBADF in ret */
	NODE_PUT_FD,	   /* close-on-exec or not; the fd is beside it: ANSWER has its number in ret */
};

struct node_message {
	uint32_t type;
	int32_t ret;
	uint64_t file;
	uint64_t words[6];
};
_Static_assert(sizeof(struct node_message) == 64, "no padding goes over the socket");

#endif /* NODE_PROTO_H */
