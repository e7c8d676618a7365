/* SPDX-License-Identifier: MIT */
/*
 * Who may write to a connection's descriptor. Mostly the loop does. When a call is the only one under way and nothing
 * is to be written, the right goes along with it, and the thread that completes the answer sends it: the client need
 * not wait for the loop to wake up. The loop then hears of it when it wakes up next, be it for the client's next call.
 *
 *   OURS    the loop's
 *   LENT    the call's; the loop may take it back at any moment, and does when it has something to write
 *   TAKEN   the call's answer is being sent
 *   WANTED  the same, and the loop has something to write: it is to be woken when the call is back
 *   DONE    the answer is sent whole; the loop may have the right back at once
 *
 * What the descriptor did not take of the answer stays with the call, and the right too, until the loop has both.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn_private.h"

enum output { OUTPUT_OURS, OUTPUT_LENT, OUTPUT_TAKEN, OUTPUT_WANTED, OUTPUT_DONE };

void conn_lend_output(struct request *request)
{
	struct conn *conn = request->conn;

	if (conn->state != CONN_OPEN || request->array || conn_unread(conn) > 0)
		return;
	request->lent = true;
	atomic_store(&conn->output, OUTPUT_LENT);
}

bool conn_take_output(struct conn *conn)
{
	int state = OUTPUT_LENT;

	if (atomic_compare_exchange_strong(&conn->output, &state, OUTPUT_OURS))
		return true;
	if (state == OUTPUT_TAKEN && atomic_compare_exchange_strong(&conn->output, &state, OUTPUT_WANTED))
		return false;
	if (state == OUTPUT_WANTED)
		return false;
	atomic_store(&conn->output, OUTPUT_OURS); /* it was that, or DONE */
	return true;
}

bool conn_lend_again(struct conn *conn)
{
	int state = OUTPUT_DONE;

	return atomic_compare_exchange_strong(&conn->output, &state, OUTPUT_LENT);
}

bool conn_send_lent(struct request *request)
{
	char newline = '\n';
	struct iovec parts[] = {{request->out.buf, request->out.len}, {&newline, 1}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	struct conn *conn = request->conn;
	int state = OUTPUT_LENT;
	ssize_t sent;

	if (!request->lent || request->out.len == 0 ||
	    !atomic_compare_exchange_strong(&conn->output, &state, OUTPUT_TAKEN))
		return false;
	sent = sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	request->sent = sent > 0 ? (size_t)sent : 0; /* the loop tries again, and sees for itself what is wrong */
	state = OUTPUT_TAKEN;
	return request->sent == request->out.len + 1 &&
	       atomic_compare_exchange_strong(&conn->output, &state, OUTPUT_DONE);
}

void conn_return_output(struct request *request)
{
	if (request->lent)
		atomic_store(&request->conn->output, OUTPUT_OURS);
}
