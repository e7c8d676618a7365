/* SPDX-License-Identifier: MIT */
/*
 * A side in a kernel box: a worker in there, and a folder that both can see.
 *
 * The box sees the files of its host, but neither pipes nor sockets. So requests are files that appear under a name
 * nobody has looked for before they are complete, and answers are files of the same kind:
 *
 *	1.request	programs, with "end" behind each
 *	1.answer	their answers, with "end" behind each
 *	stop		there is nothing more to do
 *
 * A box that has died is started again. What killed it is found by running halves.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"
#include "run.h"

/* Longer than the start of a box and its first programs take, or some programs between two writes of answers. How long
 * a whole batch takes says nothing: on a machine with much else to do the box may get little of it. */
#define PATIENCE_S 300
/* A worker that nobody asks anything any more has been forgotten. */
#define IDLE_S	   1800
#define NAP_NS	   500000
#define LOG_TAIL   3000

/* When the answer last became longer. */
struct progress {
	off_t size;
	time_t since;
};

struct box {
	struct diff_side base;
	char panthor[16], worker[PATH_MAX];
	bool careful;
	char folder[64];
	pid_t pid;  /* of kernel/run; 0: not running */
	int status; /* what it ended with */
	unsigned serial;
	const struct diff_program *programs;
	size_t count;
};

static void path_of(char path[PATH_MAX], const char *folder, unsigned serial, const char *ending)
{
	snprintf(path, PATH_MAX, "%s/%u.%s", folder, serial, ending);
}

static void nap(void)
{
	const struct timespec time = {.tv_nsec = NAP_NS};

	nanosleep(&time, NULL);
}

/* A file that is there, whole, or not at all. */
static int publish(const char *folder, unsigned serial, const char *ending, int (*fill)(FILE *out, void *data),
		   void *data)
{
	char path[PATH_MAX], unfinished[PATH_MAX];
	FILE *out;
	int ret;

	path_of(path, folder, serial, ending);
	path_of(unfinished, folder, serial, "tmp");
	out = fopen(unfinished, "we");
	if (!out)
		return -errno;
	ret = fill(out, data);
	if (fclose(out) && !ret)
		ret = -EIO;
	if (!ret && rename(unfinished, path))
		ret = -errno;
	return ret;
}

/* ---- In the box ---- */

struct served {
	struct diff_runner *runner;
	FILE *in;
};

static int answer_all(FILE *out, void *data)
{
	const struct served *served = data;
	struct diff_program program;
	unsigned line;
	int ret;

	while (!(ret = diff_read(served->in, &program, &line))) {
		char *text = diff_run(served->runner, &program);

		fprintf(out, "%send\n", text);
		free(text);
		diff_program_free(&program);
	}
	return ret == -ENOENT ? 0 : ret;
}

int diff_serve(const char *folder, const char *spec, bool careful)
{
	struct served served = {0};
	char path[PATH_MAX], stop[PATH_MAX];
	int ret = diff_runner_create(spec, careful, &served.runner);
	time_t last = time(NULL);
	bool stopped = false;

	snprintf(stop, sizeof(stop), "%s/stop", folder);
	for (unsigned serial = 1; !ret && !stopped; serial++) {
		path_of(path, folder, serial, "request");
		while (!(served.in = fopen(path, "re")) && !stopped) {
			nap();
			stopped = access(stop, F_OK) == 0 || time(NULL) > last + IDLE_S;
		}
		if (!served.in)
			break;
		ret = publish(folder, serial, "answer", answer_all, &served);
		fclose(served.in);
		unlink(path);
		last = time(NULL);
	}
	diff_runner_destroy(served.runner);
	return ret;
}

/* ---- Outside ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_folder(struct box *box)
{
	nftw(box->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int make_folder(struct box *box)
{
	snprintf(box->folder, sizeof(box->folder), "/tmp/panbind-diff-XXXXXX");
	box->serial = 0;
	return mkdtemp(box->folder) ? 0 : -errno;
}

/* PANBIND_BOX_RUN has another command in the place of kernel/run. */
static void exec_box(const struct box *box)
{
	const char *run = getenv("PANBIND_BOX_RUN");
	char log[PATH_MAX], panthor[64], serve[PATH_MAX], console[PATH_MAX];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(log, sizeof(log), "%s/log", box->folder);
	snprintf(panthor, sizeof(panthor), "--panthor=%s", box->panthor);
	snprintf(serve, sizeof(serve), "--serve=%s", box->folder);
	snprintf(console, sizeof(console), "--console=%s/console", box->folder);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	execlp(run ? run : PANBIND_SOURCE_DIR "/kernel/run", "kernel/run", panthor, "--time-limit=100000", console,
	       "--", box->worker, serve, "--left=drm:/dev/dri/renderD128", box->careful ? "--careful" : NULL, NULL);
	perror("kernel/run");
	_exit(127);
}

static int boot(struct box *box)
{
	int ret = make_folder(box);

	if (ret)
		return ret;
	box->pid = fork();
	if (box->pid < 0)
		return -errno;
	if (!box->pid)
		exec_box(box);
	return 0;
}

static bool has_ended(struct box *box)
{
	if (box->pid && waitpid(box->pid, &box->status, WNOHANG) == box->pid)
		box->pid = 0;
	return !box->pid;
}

static void show_tail(const struct box *box, const char *name, const char *title)
{
	char path[PATH_MAX], tail[LOG_TAIL + 1] = {0};
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", box->folder, name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fseek(file, -LOG_TAIL, SEEK_END))
		rewind(file);
	fread(tail, 1, LOG_TAIL, file);
	fclose(file);
	fprintf(stderr, "# %s\n%s\n", title, tail);
}

/* @why: show the ends of its log and of what its kernel said, or NULL. */
static void shut_down(struct box *box, const char *why)
{
	if (!has_ended(box)) {
		kill(box->pid, SIGTERM); /* kernel/run ends the box, which is in another process group */
		waitpid(box->pid, &box->status, 0);
		box->pid = 0;
	}
	if (why) {
		fprintf(stderr, "# the box %s\n", why);
		show_tail(box, "log", "the end of its log:");
		show_tail(box, "console", "its kernel's last words:");
	}
	remove_folder(box);
}

struct request {
	const struct diff_program *programs;
	size_t count;
};

static int write_programs(FILE *out, void *data)
{
	const struct request *request = data;

	for (size_t i = 0; i < request->count; i++) {
		diff_write(&request->programs[i], out);
		fputs("end\n", out);
	}
	return 0;
}

static int send_request(struct box *box, const struct diff_program *programs, size_t count)
{
	struct request request = {.programs = programs, .count = count};
	int ret = box->pid ? 0 : boot(box);

	return ret ? ret : publish(box->folder, ++box->serial, "request", write_programs, &request);
}

/* The next answer, NULL when it is not all there. */
static char *read_answer(FILE *in)
{
	char *text = NULL, *line = NULL;
	size_t size, room = 0;
	FILE *out = open_memstream(&text, &size);
	bool whole = false;

	while (!whole && getline(&line, &room, in) > 0) {
		whole = strcmp(line, "end\n") == 0;
		if (!whole)
			fputs(line, out);
	}
	fclose(out);
	free(line);
	if (whole)
		return text;
	free(text);
	return NULL;
}

/* kernel/run could not even start it. */
static bool never_was(const struct box *box)
{
	return WIFEXITED(box->status) && (WEXITSTATUS(box->status) == 122 || WEXITSTATUS(box->status) == 127);
}

static bool is_slow(const struct box *box, struct progress *progress)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(path, box->folder, box->serial, "tmp");
	if (stat(path, &st) == 0 && st.st_size != progress->size)
		*progress = (struct progress){.size = st.st_size, .since = time(NULL)};
	return time(NULL) > progress->since + PATIENCE_S;
}

/* -EPIPE: the box has died, or answers no more. -EHOSTDOWN: there is none. */
static int receive(struct box *box, char **answers, size_t count)
{
	char path[PATH_MAX];
	struct progress progress = {.since = time(NULL)};
	FILE *in;

	path_of(path, box->folder, box->serial, "answer");
	while (!(in = fopen(path, "re"))) {
		if (has_ended(box) || is_slow(box, &progress)) {
			bool ended = has_ended(box);

			shut_down(box, ended ? "has ended" : "does not answer");
			return ended && never_was(box) ? -EHOSTDOWN : -EPIPE;
		}
		nap();
	}
	for (size_t i = 0; i < count; i++) {
		answers[i] = read_answer(in);
		if (!answers[i])
			answers[i] = strdup("the answer is incomplete\n");
	}
	fclose(in);
	unlink(path);
	return 0;
}

static int run_range(struct box *box, const struct diff_program *programs, size_t count, char **answers);

/* Something among these programs killed the box. */
static int run_halves(struct box *box, const struct diff_program *programs, size_t count, char **answers)
{
	size_t half = count / 2;
	int ret;

	if (count == 1) {
		*answers = strdup("crash\n");
		return 0;
	}
	ret = run_range(box, programs, half, answers);
	return ret ? ret : run_range(box, programs + half, count - half, answers + half);
}

static int run_range(struct box *box, const struct diff_program *programs, size_t count, char **answers)
{
	int ret = send_request(box, programs, count);

	if (!ret)
		ret = receive(box, answers, count);
	return ret == -EPIPE ? run_halves(box, programs, count, answers) : ret;
}

static int start(struct diff_side *side, const struct diff_program *programs, size_t count)
{
	struct box *box = (struct box *)side;

	box->programs = programs;
	box->count = count;
	return send_request(box, programs, count);
}

static int finish(struct diff_side *side, char **answers)
{
	struct box *box = (struct box *)side;
	int ret = receive(box, answers, box->count);

	return ret == -EPIPE ? run_halves(box, box->programs, box->count, answers) : ret;
}

static int close_box(struct diff_side *side)
{
	struct box *box = (struct box *)side;
	time_t begin = time(NULL);
	char path[PATH_MAX];
	int fd, ret = 0;

	if (box->pid) {
		snprintf(path, sizeof(path), "%s/stop", box->folder);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		while (!has_ended(box) && time(NULL) < begin + 20)
			nap();
		close(fd);
		ret = has_ended(box) && WIFEXITED(box->status) && !WEXITSTATUS(box->status) ? 0 : -EREMOTEIO;
		shut_down(box, ret ? "did not end well" : NULL);
	}
	free(box);
	return ret;
}

int diff_side_open_box(const char *panthor, const char *worker, bool careful, struct diff_side **ret_side)
{
	struct box *box = calloc(1, sizeof(*box));

	if (!box)
		return -ENOMEM;
	box->base = (struct diff_side){.start = start, .finish = finish, .close = close_box};
	snprintf(box->panthor, sizeof(box->panthor), "%s", panthor);
	snprintf(box->worker, sizeof(box->worker), "%s", worker);
	box->careful = careful;
	*ret_side = &box->base;
	return 0;
}
