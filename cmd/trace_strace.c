/* SPDX-License-Identifier: MIT */
/*
 * Output of strace(1) as a trace: which ioctls a program made of DRM nodes, when, for how long, with what result.
 *
 * strace knows panthor's ioctls by their number at best, and never what they point to: its lines say that a VM was
 * bound, and not what was bound where. So the records have no args, and whoever reads them has to say what is missing.
 *
 * Understood are lines with and without pid ("[pid 7] " or "7 "), times of -r, -t, -tt, -ttt, durations of -T, names of
 * descriptors of -y and -yy, raw arguments of -e raw=ioctl, -X raw and -X verbose, calls that were interrupted by lines
 * of other threads ("<unfinished ...>", "<... ioctl resumed>"), signals and exits.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "limit.h"

#define DRM_TYPE 'd'

/** A call that another thread's line has cut in two. */
struct unfinished {
	int64_t pid;
	uint64_t start;
	uint32_t line;
	char text[512]; /* up to where it was cut */
};

struct strace {
	struct trace *trace;
	struct strace_counts *counts;
	struct unfinished *cut;
	size_t cut_count, cut_room;
	uint64_t last_ns, day_ns; /* of lines so far; what to add since midnight has passed */
	bool relative;
};

/** The parts of a line. */
struct parts {
	int64_t pid; /* 0: the line has none */
	bool timed;
	uint64_t ns;
	const char *call; /* what follows */
};

/* ---- Request numbers ---- */

static const struct {
	uint32_t nr;
	const char *name; /* as traces have it */
	const char *also; /* a name of another driver's ioctl of the same number, by which strace 6 may call it */
} requests[] = {
	{0x00, "VERSION", "DRM_IOCTL_VERSION"},
	{0x0c, "GET_CAP", "DRM_IOCTL_GET_CAP"},
	{0x0d, "SET_CLIENT_CAP", "DRM_IOCTL_SET_CLIENT_CAP"},
	{0x09, "GEM_CLOSE", "DRM_IOCTL_GEM_CLOSE"},
	{0x2d, "PRIME_HANDLE_TO_FD", "DRM_IOCTL_PRIME_HANDLE_TO_FD"},
	{0x2e, "PRIME_FD_TO_HANDLE", "DRM_IOCTL_PRIME_FD_TO_HANDLE"},
	{0xbf, "SYNCOBJ_CREATE", "DRM_IOCTL_SYNCOBJ_CREATE"},
	{0xc0, "SYNCOBJ_DESTROY", "DRM_IOCTL_SYNCOBJ_DESTROY"},
	{0xc1, "SYNCOBJ_HANDLE_TO_FD", "DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD"},
	{0xc2, "SYNCOBJ_FD_TO_HANDLE", "DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE"},
	{0xc3, "SYNCOBJ_WAIT", "DRM_IOCTL_SYNCOBJ_WAIT"},
	{0xc4, "SYNCOBJ_RESET", "DRM_IOCTL_SYNCOBJ_RESET"},
	{0xc5, "SYNCOBJ_SIGNAL", "DRM_IOCTL_SYNCOBJ_SIGNAL"},
	{0xca, "SYNCOBJ_TIMELINE_WAIT", "DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT"},
	{0xcb, "SYNCOBJ_QUERY", "DRM_IOCTL_SYNCOBJ_QUERY"},
	{0xcc, "SYNCOBJ_TRANSFER", "DRM_IOCTL_SYNCOBJ_TRANSFER"},
	{0xcd, "SYNCOBJ_TIMELINE_SIGNAL", "DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL"},
	{0xcf, "SYNCOBJ_EVENTFD", "DRM_IOCTL_SYNCOBJ_EVENTFD"},
	{0x40, "PANTHOR_DEV_QUERY", "DRM_IOCTL_ETNAVIV_GET_PARAM"},
	{0x41, "PANTHOR_VM_CREATE", "DRM_IOCTL_EXYNOS_GEM_MAP"},
	{0x42, "PANTHOR_VM_DESTROY", "DRM_IOCTL_SAVAGE_BCI_EVENT_EMIT"},
	{0x43, "PANTHOR_VM_BIND", "DRM_IOCTL_AMDGPU_BO_LIST"},
	{0x44, "PANTHOR_VM_GET_STATE", "DRM_IOCTL_I915_IRQ_EMIT"},
	{0x45, "PANTHOR_BO_CREATE", "DRM_IOCTL_I810_GETBUF"},
	{0x46, "PANTHOR_BO_MMAP_OFFSET", "DRM_IOCTL_I915_GETPARAM"},
	{0x47, "PANTHOR_GROUP_CREATE", "DRM_IOCTL_PANTHOR_GROUP_CREATE"},
	{0x48, "PANTHOR_GROUP_DESTROY", "DRM_IOCTL_PANTHOR_GROUP_DESTROY"},
	{0x49, "PANTHOR_GROUP_SUBMIT", "DRM_IOCTL_PANTHOR_GROUP_SUBMIT"},
	{0x4a, "PANTHOR_GROUP_GET_STATE", "DRM_IOCTL_PANTHOR_GROUP_GET_STATE"},
	{0x4b, "PANTHOR_TILER_HEAP_CREATE", "DRM_IOCTL_PANTHOR_TILER_HEAP_CREATE"},
	{0x4c, "PANTHOR_TILER_HEAP_DESTROY", "DRM_IOCTL_PANTHOR_TILER_HEAP_DESTROY"},
};
#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* The ioctl of a number; what it points to may have grown since strace was built. */
static const char *name_of_number(uint32_t number)
{
	for (size_t i = 0; i < REQUESTS; i++)
		if (((number >> 8) & 0xff) == DRM_TYPE && (number & 0xff) == requests[i].nr)
			return requests[i].name;
	return NULL;
}

/* Is @word one of the words of "A or B or C"? */
static bool among(const char *text, size_t size, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = text; (at = memmem(at, size - (size_t)(at - text), word, length)); at += length) {
		const char *behind = at + length;

		if ((at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_')) &&
		    (behind == text + size || !(isalnum((unsigned char)*behind) || *behind == '_')))
			return true;
	}
	return false;
}

/* strace lists all drivers' names of a number: one of them tells which number it is. */
static const char *name_of_words(const char *text, size_t size)
{
	char own[64];

	for (size_t i = 0; i < REQUESTS; i++) {
		snprintf(own, sizeof(own), "DRM_IOCTL_%s", requests[i].name);
		if (among(text, size, own) || among(text, size, requests[i].also))
			return requests[i].name;
	}
	return NULL;
}

/* "0xc0186443", "0xc0186443 /" "* ... *" "/", "_IOC(_IOC_READ|_IOC_WRITE, 0x64, 0x43, 0x18)", or names. NULL: none of
 * DRM. */
static const char *request_name(const char *text, size_t size)
{
	unsigned long type;
	const char *comma;
	char *end;

	if (isdigit((unsigned char)*text))
		return name_of_number((uint32_t)strtoull(text, NULL, 0)); /* raw numbers may be sign-extended */
	if (size > 5 && memcmp(text, "_IOC(", 5) == 0) {
		comma = memchr(text, ',', size);
		if (!comma)
			return NULL;
		type = strtoul(comma + 1, &end, 16);
		if (type != DRM_TYPE || *end != ',')
			return NULL;
		return name_of_number((uint32_t)(type << 8 | strtoul(end + 1, NULL, 16)));
	}
	return name_of_words(text, size);
}

/* ---- Times ---- */

static uint64_t fraction(const char *digits, const char **ret_end)
{
	uint64_t value = 0, unit = 1000000000;

	for (; isdigit((unsigned char)*digits); digits++)
		if (unit > 1)
			value += (uint64_t)(*digits - '0') * (unit /= 10);
	*ret_end = digits;
	return value;
}

static bool two_digits(const char *text, unsigned *ret_value)
{
	if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
		return false;
	*ret_value = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
	return true;
}

/* "1795684339.359132", "0.000739" (since the line before), "09:12:19.560477" or "09:12:19". */
static bool read_time(struct strace *strace, const char **text, uint64_t *ret_ns)
{
	const char *at = *text + strspn(*text, " "), *end = at;
	uint64_t seconds = 0, ns = 0;
	unsigned hours, minutes, rest;

	if (two_digits(at, &hours) && at[2] == ':' && two_digits(at + 3, &minutes) && at[5] == ':' &&
	    two_digits(at + 6, &rest)) {
		seconds = (uint64_t)hours * 3600 + minutes * 60 + rest;
		end = at + 8;
		if (*end == '.')
			ns = fraction(end + 1, &end);
		ns += seconds * 1000000000 + strace->day_ns;
		if (ns + UINT64_C(43200000000000) < strace->last_ns) { /* midnight has passed */
			strace->day_ns += UINT64_C(86400000000000);
			ns += UINT64_C(86400000000000);
		}
	} else {
		while (isdigit((unsigned char)*end))
			seconds = seconds * 10 + (uint64_t)(*end++ - '0');
		if (end == at || *end != '.')
			return false;
		ns = fraction(end + 1, &end) + seconds * 1000000000;
		if (seconds < 100000000) { /* nobody traced a program in 1973: since the line before */
			strace->relative = true;
			ns += strace->last_ns;
		}
	}
	if (*end != ' ')
		return false;
	*text = end + strspn(end, " ");
	*ret_ns = ns;
	return true;
}

/* "[pid  2032] " on a terminal, "2065  " in a file. */
static int64_t read_pid(const char **text)
{
	const char *at = *text;
	char *end;
	long pid;

	if (strncmp(at, "[pid ", 5) == 0) {
		pid = strtol(at + 5, &end, 10);
		if (end == at + 5 || *end != ']')
			return 0;
		*text = end + 1 + strspn(end + 1, " ");
		return pid;
	}
	pid = strtol(at, &end, 10);
	if (!isdigit((unsigned char)*at) || *end != ' ')
		return 0;
	*text = end + strspn(end, " ");
	return pid;
}

static struct parts split(struct strace *strace, const char *line)
{
	struct parts parts = {0};
	const char *at = line + strspn(line, " ");

	parts.pid = read_pid(&at);
	parts.timed = read_time(strace, &at, &parts.ns);
	if (parts.timed)
		strace->last_ns = parts.ns;
	else
		parts.ns = strace->last_ns += 1000; /* without times the order is all there is */
	parts.call = at;
	return parts;
}

/* ---- Calls ---- */

static json_t *record_json(const char *name, const struct parts *parts, int64_t fd, int64_t ret, int err,
			   uint64_t duration_ns)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "name", name, "t", (json_int_t)parts->ns, "dur",
			 (json_int_t)duration_ns, "pid", (json_int_t)parts->pid, "tid", (json_int_t)parts->pid, "fd",
			 (json_int_t)fd, "ret", (json_int_t)ret, "errno", err);
}

static int add(struct strace *strace, uint32_t line, json_t *json)
{
	return trace_add(strace->trace, line, json, true);
}

static int errno_of(const char *name, size_t size)
{
	for (int err = 1; err < 134; err++)
		if (strlen(panbind_errno_name(err)) == size && strncmp(panbind_errno_name(err), name, size) == 0)
			return err;
	return size > 11 && strncmp(name, "ERESTART", 8) == 0 ? EINTR : 0;
}

/* " = -1 ENOTTY (Inappropriate ...) <0.000344>", " = 0 <0.000017>", " = ? ..." when the process went meanwhile. */
static bool read_result(const char *text, int64_t *ret_ret, int *ret_err, uint64_t *ret_duration_ns)
{
	const char *equals = text + strspn(text, " "), *word, *open;
	char *end;

	if (*equals != '=')
		return false;
	word = equals + 1 + strspn(equals + 1, " ");
	*ret_err = 0;
	*ret_ret = strtoll(word, &end, 0);
	if (end == word) {
		*ret_ret = -1; /* "?": nobody saw it return */
		*ret_err = EINTR;
	}
	if (*word == '?')
		end = (char *)word + 1;
	word = end + strspn(end, " ");
	if (isupper((unsigned char)*word)) {
		int err = errno_of(word, strcspn(word, " \n"));

		*ret_err = err ? err : EIO;
		*ret_ret = -1;
	}
	open = strrchr(text, '<');
	*ret_duration_ns = 0;
	if (open && isdigit((unsigned char)open[1])) {
		uint64_t seconds = strtoull(open + 1, &end, 10);

		if (*end == '.')
			*ret_duration_ns = seconds * 1000000000 + fraction(end + 1, &open);
	}
	return true;
}

/* "3, ", "3</dev/dri/renderD128>, ", "3</dev/dri/renderD128<char 226:128>>, ", "0x3, " */
static bool read_fd(const char **text, int64_t *ret_fd, bool *ret_named, bool *ret_drm)
{
	const char *at = *text;
	char *end;
	unsigned depth = 0;

	*ret_fd = strtoll(at, &end, 0);
	if (end == at)
		return false;
	at = end;
	*ret_named = *at == '<';
	*ret_drm = false;
	if (*at == '<') {
		const char *name = at + 1;

		do {
			depth += *at == '<';
			depth -= *at == '>';
			at++;
		} while (*at && depth);
		*ret_drm = memmem(name, (size_t)(at - name), "/dev/dri/", 9) ||
			   memmem(name, (size_t)(at - name), "char 226:", 9);
	}
	if (at[0] != ',' || at[1] != ' ')
		return false;
	*text = at + 2;
	return true;
}

/* The end of the request: the comma that is in no parentheses and in no comment. */
static size_t request_size(const char *text)
{
	const char *at = text;
	int depth = 0;

	for (; *at && !(depth == 0 && (*at == ',' || *at == ')')); at++) {
		depth += *at == '(';
		depth -= *at == ')';
	}
	return (size_t)(at - text);
}

/* Where the arguments end: the last ")" that a result follows. */
static const char *end_of_arguments(const char *text)
{
	const char *found = NULL;

	for (const char *at = text; (at = strchr(at, ')')); at++) {
		const char *behind = at + 1 + strspn(at + 1, " ");

		if (behind[0] == '=' && behind[1] == ' ')
			found = at + 1;
	}
	return found;
}

static int add_ioctl(struct strace *strace, uint32_t line, const struct parts *parts)
{
	const char *at = parts->call + strlen("ioctl("), *end = end_of_arguments(at), *name;
	uint64_t duration_ns;
	int64_t fd, ret;
	bool named, drm;
	int err;

	if (!end || !read_fd(&at, &fd, &named, &drm) || !read_result(end, &ret, &err, &duration_ns)) {
		strace->counts->strange++;
		return 0;
	}
	name = request_name(at, request_size(at));
	if (!name || (named && !drm)) {
		strace->counts->others++;
		return 0;
	}
	strace->counts->ioctls++;
	return add(strace, line, record_json(name, parts, fd, ret, err, duration_ns));
}

/* ---- Calls in two lines ---- */

static int cut(struct strace *strace, uint32_t line, const struct parts *parts)
{
	const char *mark = strstr(parts->call, "<unfinished ...>");
	struct unfinished *cut;

	if (strace->cut_count == strace->cut_room) {
		size_t room = strace->cut_room ? strace->cut_room * 2 : 8;

		cut = reallocarray(strace->cut, room, sizeof(*cut));
		if (!cut)
			return -ENOMEM;
		strace->cut = cut;
		strace->cut_room = room;
	}
	cut = &strace->cut[strace->cut_count++];
	*cut = (struct unfinished){.pid = parts->pid, .start = parts->ns, .line = line};
	snprintf(cut->text, sizeof(cut->text), "%.*s", (int)(mark - parts->call), parts->call);
	return 0;
}

/* The two halves together are the call, which began with the first one. */
static int resume(struct strace *strace, const struct parts *parts)
{
	const char *rest = strstr(parts->call, "resumed>");
	char whole[1024];

	for (size_t i = strace->cut_count; i-- > 0;) {
		struct unfinished found = strace->cut[i];
		const struct parts both = {found.pid, parts->timed, found.start, whole};

		if (found.pid != parts->pid)
			continue;
		strace->cut[i] = strace->cut[--strace->cut_count];
		snprintf(whole, sizeof(whole), "%s%s", found.text, rest + strlen("resumed>"));
		return add_ioctl(strace, found.line, &both);
	}
	strace->counts->strange++;
	return 0;
}

/* ---- Lines ---- */

static int read_line(struct strace *strace, uint32_t number, const char *line)
{
	struct parts parts = split(strace, line);

	if (strncmp(parts.call, "+++ ", 4) == 0)
		strace->counts->exits++;
	else if (strncmp(parts.call, "--- ", 4) == 0)
		strace->counts->signals++;
	else if (strncmp(parts.call, "ioctl(", 6) == 0)
		return strstr(parts.call, "<unfinished ...>") ? cut(strace, number, &parts)
							      : add_ioctl(strace, number, &parts);
	else if (strncmp(parts.call, "<... ioctl resumed>", 19) == 0)
		return resume(strace, &parts);
	return 0;
}

static void count_missing(struct strace *strace)
{
	for (size_t i = 0; i < strace->trace->count; i++)
		strace->counts->binds += strcmp(strace->trace->records[i].name, "PANTHOR_VM_BIND") == 0;
}

int strace_read(struct trace *trace, const struct source *source, struct strace_counts *counts)
{
	struct strace strace = {.trace = trace, .counts = counts};
	const char *at = source->text, *end = at + source->size;
	int err = 0;

	for (uint32_t number = 1; at < end && err == 0; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		char *line = strndup(at, (size_t)(stop - at));

		err = !line ? -ENOMEM : limit_reached() ? -ECANCELED : read_line(&strace, number, line);
		free(line);
		at = newline ? newline + 1 : end;
	}
	counts->unfinished = strace.cut_count;
	count_missing(&strace);
	free(strace.cut);
	if (err == -ENOMEM)
		error_say(trace->cmd, CMD_FAILED, err, "%s: out of memory", trace->file);
	return err;
}

/* A line of strace begins with its pid or time, if at all, and has a call, a signal or an end behind that. */
bool strace_is(const struct source *source)
{
	const char *at = source->text, *end = at + source->size;

	for (int i = 0; i < 50 && at < end; i++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		size_t size = (size_t)(stop - at);

		if (size && at[strspn(at, " \t\r")] == '{')
			return false;
		if (memmem(at, size, "ioctl(", 6) || memmem(at, size, "+++ exited", 10) ||
		    memmem(at, size, "--- SIG", 7) || memmem(at, size, "strace: Process", 15))
			return true;
		at = newline ? newline + 1 : end;
	}
	return false;
}
