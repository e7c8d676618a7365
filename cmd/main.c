/* SPDX-License-Identifier: MIT */
/*
 * panbind(1): the command table, and the way from argv to a verb and back to an exit status.
 *
 * argp ends the process by itself on a wrong command line, with the status set here, and on --help; what it wrote is
 * checked at exit like everything else that goes to standard output.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "limit.h"

/* argp is in libc and looks for this name there: it must not be hidden like everything else. */
__attribute__((visibility("default"))) const char *argp_program_version = "panbind " PANBIND_VERSION;

const struct cmd_verb cmd_verbs[] = {
	{"devices", "list render nodes: driver version, atomic updates or not", cmd_devices},
	{"info", "show one device in detail", cmd_info},
	{"run", "run scripts", cmd_run},
	{"plan", "what a script would do, and what of it is atomic for the GPU", cmd_plan},
	{"dump", "write the script that rebuilds a VM", cmd_dump},
	{"diff", "what differs between two VMs, a dump, the log at a moment", cmd_diff},
	{"apply", "make a VM what a state says, with as few ops as it takes", cmd_apply},
	{"import", "turn a recorded trace into a script", cmd_import},
	{"record", "record what an unmodified program binds, as a log", cmd_record},
	{"sim", "run a program on a simulated render node", cmd_sim},
	{"help", "show the help of a command", cmd_help},
	{"vm", "create, ensure, destroy, list, show, verify, rebuild VMs", cmd_order, CMD_IN_DAEMON},
	{"bo", "create, ensure, destroy, list, read, write buffer objects", cmd_order, CMD_IN_DAEMON},
	{"map", "map a piece of a BO", cmd_order, CMD_IN_DAEMON},
	{"ensure", "map a piece of a BO unless it is so already", cmd_order, CMD_IN_DAEMON},
	{"unmap", "unmap a range", cmd_order, CMD_IN_DAEMON},
	{"sparse", "reserve, bind, unbind, release sparse regions", cmd_order, CMD_IN_DAEMON},
	{"attach", "take over a running program's VMs", cmd_attach, CMD_IN_DAEMON},
	{"detach", "let them go again", cmd_order, CMD_IN_DAEMON},
	{"undo", "put back what an entry of the log displaced", cmd_undo, CMD_IN_DAEMON},
	{"monitor", "print changes as they happen", cmd_monitor, CMD_IN_DAEMON},
	{"rpc", "call any method of the daemon", cmd_rpc, CMD_IN_DAEMON},
	{"log", "show, follow, state, diff, blame, verify, compact, export, ...", cmd_log, CMD_ON_LOG},
	{"replay", "repeat a log, and compare what comes of it", cmd_replay, CMD_ON_LOG},
	{0},
};

const struct cmd_verb *cmd_verb_find(const char *name)
{
	for (const struct cmd_verb *verb = cmd_verbs; verb->name; verb++)
		if (strcmp(verb->name, name) == 0)
			return verb;
	return NULL;
}

static void list_verbs(FILE *stream, enum cmd_place place)
{
	for (const struct cmd_verb *verb = cmd_verbs; verb->name; verb++)
		if (verb->place == place)
			fprintf(stream, "  %-8s %s\n", verb->name, verb->help);
}

/* Built once from the table, so that --help cannot forget a verb. */
static char *program_doc(void)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fputs("Change GPU page tables through panthor's VM_BIND, safely.\n\nCommands:\n", stream);
	list_verbs(stream, CMD_HERE);
	fputs("\nWith -d they work on a device in this process; without, 'run', 'plan',\n"
	      "'dump', 'diff' and 'apply' work on what the daemon panbindd keeps. These need the daemon:\n",
	      stream);
	list_verbs(stream, CMD_IN_DAEMON);
	fputs("\nCommands on the daemon's log, which need no daemon:\n", stream);
	list_verbs(stream, CMD_ON_LOG);
	fputs("\v'panbind COMMAND --help' tells about one command, panbind(1) about all of them.\n\n"
	      "Exit status: 0 done; 1 failed, nothing applied; 2 usage or parse error; 3 no daemon or device; "
	      "4 partly applied or unknown; 5 not permitted; 6 timed out.",
	      stream);
	fclose(stream);
	return text;
}

struct program_input {
	struct cmd *cmd;
	int verb_index;
};

/* The first word that is no option is the verb; what follows it belongs to the verb. */
static error_t parse_program(int key, char *arg, struct argp_state *state)
{
	struct program_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = input->cmd;
		return 0;
	case ARGP_KEY_ARG:
		input->verb_index = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child program_children[] = {CMD_COMMON_CHILD, {0}};

static struct argp program_argp(void)
{
	return (struct argp){NULL, parse_program, "COMMAND [ARG...]", program_doc(), program_children};
}

void cmd_program_help(void)
{
	static char name[] = "panbind", help[] = "--help";
	char *argv[] = {name, help, NULL};
	struct argp argp = program_argp();
	struct cmd cmd = {0};
	struct program_input input = {.cmd = &cmd};

	argp_parse(&argp, 2, argv, 0, NULL, &input); /* prints, and ends the process */
}

/*
 * With a standard stream closed, the next open() would get its number and our output would go into that file. What is
 * put in its place can be neither read nor written, so it still counts as closed.
 */
static void keep_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			_exit(CMD_FAILED);
}

static int run_verb(struct cmd *cmd, const struct cmd_verb *verb, int argc, char **argv)
{
	char name[64];
	int status;

	snprintf(name, sizeof(name), "panbind %s", verb->name);
	argv[0] = name;
	cmd->verb = verb->name;
	status = verb->run(cmd, argc, argv);
	limit_watch(NULL);
	status = output_end(&cmd->out, verb->name, status);
	limit_end();
	return status;
}

int main(int argc, char **argv)
{
	static char name[] = "panbind";
	struct cmd cmd = {0};
	struct program_input input = {.cmd = &cmd};
	struct argp argp = program_argp();
	const struct cmd_verb *verb;

	setlocale(LC_ALL, "");
	setlocale(LC_NUMERIC, "C"); /* -T 0.5 is half a second everywhere */
	keep_standard_streams();
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error, and said */
	atexit(output_close_stdout);
	argp_err_exit_status = CMD_USAGE;
	if (argc > 0)
		argv[0] = name;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &input);
	free((char *)argp.doc);

	verb = cmd_verb_find(argv[input.verb_index]);
	if (verb)
		return run_verb(&cmd, verb, argc - input.verb_index, argv + input.verb_index);
	fprintf(stderr, "panbind: error: there is no command '%s' (see 'panbind help')\n", argv[input.verb_index]);
	return CMD_USAGE;
}
