/* SPDX-License-Identifier: MIT */
/* `panbind log query SQL`: a table of what a SELECT gives. The schema is in panbind-log(5). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "limit.h"
#include "logfile.h"

struct query {
	struct cmd *cmd;
	const char *log, *sql;
	struct table table;
	bool begun;
	char right[OUT_COLUMNS + 1]; /* which columns hold numbers, by the first row */
	json_t *rows;
};

static const struct argp_option options[] = {
	LOGFILE_OPTION,
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct query *query = state->input;

	switch (key) {
	case LOGFILE_KEY:
		query->log = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (query->sql)
			argp_error(state, "one text of SQL, please: put it into quotes");
		query->sql = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no SQL given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static json_t *value_json(const struct panbind_log_value *value)
{
	switch (value->type) {
	case PANBIND_LOG_INTEGER:
		return json_integer(value->integer);
	case PANBIND_LOG_REAL:
		return json_real(value->real);
	case PANBIND_LOG_TEXT:
		return output_json_text(value->text);
	default:
		return json_null();
	}
}

static int add_json(struct query *query, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	json_t *row = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(row, names[i], value_json(&values[i]));
	return json_array_append_new(query->rows, row) ? -ENOMEM : 0;
}

static int begin_table(struct query *query, size_t count, const char *const *names,
		       const struct panbind_log_value *values)
{
	if (count > OUT_COLUMNS)
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		query->right[i] =
			values[i].type == PANBIND_LOG_INTEGER || values[i].type == PANBIND_LOG_REAL ? 'r' : 'l';
	query->begun = true;
	return table_begin(&query->table, count, query->right, names) ? -ENOMEM : 0;
}

/* A cell on one line, whatever the log's clients wrote. */
static char *cell_text(const struct panbind_log_value *value)
{
	char *text = value->type == PANBIND_LOG_NULL ? strdup("") : strndup(value->text, value->size);

	for (char *at = text; at && *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = ' ';
	return text;
}

static int add_row(struct query *query, size_t count, const struct panbind_log_value *values)
{
	char *cells[OUT_COLUMNS] = {NULL};
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		cells[i] = cell_text(&values[i]);
		if (!cells[i])
			r = -ENOMEM;
	}
	if (r == 0)
		r = table_row(&query->table, (const char *const *)cells) ? -ENOMEM : 0;
	for (size_t i = 0; i < count; i++)
		free(cells[i]);
	return r;
}

static int on_row(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	struct query *query = data;
	int r = 0;

	if (limit_reached())
		return -EINTR;
	if (query->rows)
		return add_json(query, count, names, values);
	if (!query->begun)
		r = begin_table(query, count, names, values);
	return r ? r : add_row(query, count, values);
}

static int fail(struct query *query, int r, struct panbind_error *error)
{
	struct cmd *cmd = query->cmd;

	if (limit_reached() || r == -ETIME)
		return error_say(cmd, CMD_TIMED_OUT, -ETIMEDOUT, "the query was stopped");
	if (r == -E2BIG)
		return error_say(cmd, CMD_USAGE, r, "more than %d columns; --json takes any number", OUT_COLUMNS);
	return error_say(cmd,
			 r == -EINVAL  ? CMD_USAGE
			 : r == -EPERM ? CMD_DENIED
				       : CMD_FAILED,
			 r, "%s", error->msg[0] ? error->msg : strerror(-r));
}

int log_query(struct cmd *cmd, int argc, char **argv)
{
	struct query query = {.cmd = cmd};
	struct panbind_error error = {0};
	struct panbind_log *log;
	int status, r;

	cmd_parse(cmd, options, parse, "SQL",
		  "Ask the log in SQL, read-only. panbind-log(5) has the tables and views, such as "
		  "\"SELECT op, count(*) FROM binds GROUP BY op\".",
		  argc, argv, &query);
	status = logfile_open(cmd, query.log, &log);
	if (status)
		return status;
	query.rows = cmd->out.json ? json_array() : NULL;
	r = panbind_log_query(log, query.sql, (int)(cmd->timeout * 1000), on_row, &query, &error);
	panbind_log_close(log);
	if (query.rows)
		json_object_set_new(cmd->out.doc, "rows", query.rows);
	if (query.begun)
		table_end(&query.table, stdout, cmd->out.color_stdout);
	return r ? fail(&query, r, &error) : CMD_DONE;
}
