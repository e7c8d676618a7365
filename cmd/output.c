/* SPDX-License-Identifier: MIT */
/* Writing: the JSON envelope, colour, numbers. Tables are in table.c. See output.h for the contract. */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool wants_color(const struct out *out, FILE *stream)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (out->color != OUT_COLOR_AUTO)
		return out->color == OUT_COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return isatty(fileno(stream)) && term && strcmp(term, "dumb") != 0;
}

/* A person's COLUMNS wins over the terminal's own idea: that is what makes output repeatable. */
static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	char *end;

	if (columns && *columns) {
		unsigned long value = strtoul(columns, &end, 10);

		if (!*end && value >= 1 && value <= 10000)
			return (unsigned)value;
	}
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return 80;
}

void output_begin(struct out *out)
{
	out->color_stdout = !out->json && wants_color(out, stdout);
	out->color_stderr = wants_color(out, stderr);
	out->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	out->width = terminal_width();
	if (out->json && !out->doc) {
		out->doc = json_object();
		out->errors = json_array();
	}
}

/* "schema", "command" and "status" come first, so that a person who looks at the document sees them first. */
static json_t *envelope(struct out *out, const char *verb, int status)
{
	json_t *whole = json_pack("{s:i, s:s, s:i}", "schema", 1, "command", verb, "status", status);

	json_object_update(whole, out->doc);
	json_object_set(whole, "errors", out->errors);
	return whole;
}

int output_end(struct out *out, const char *verb, int status)
{
	if (out->doc && !out->lines) {
		json_t *whole = envelope(out, verb, status);

		json_dumpf(whole, stdout, out->pretty ? JSON_INDENT(2) : JSON_COMPACT);
		putc('\n', stdout);
		json_decref(whole);
	}
	json_decref(out->doc);
	json_decref(out->errors);
	out->doc = out->errors = NULL;
	return status;
}

/* Runs from atexit(), so it may not call exit() again. */
void output_close_stdout(void)
{
	bool failed = ferror(stdout);
	int err = 0;

	if (fflush(stdout) || fclose(stdout))
		err = errno;
	if (!failed && !err)
		return;
	fprintf(stderr, "panbind: error: cannot write to standard output: %s\n", err ? strerror(err) : "write error");
	_exit(1);
}

const char *output_paint(bool on, enum out_paint paint)
{
	static const char *const sequences[] = {"\033[0m",  "\033[1m",	"\033[2m", "\033[1;31m",
						"\033[32m", "\033[33m", "\033[36m"};

	return on ? sequences[paint] : "";
}

/* Rounded down to a tenth; "~" says that it is not exact. */
const char *output_size(char buffer[OUT_NUMBER], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;

	while (unit < 6 && bytes >> (10 * (unit + 1)))
		unit++;
	uint64_t one = UINT64_C(1) << (10 * unit), whole = bytes / one, rest = bytes % one;
	unsigned tenth = unit ? (unsigned)((rest >> (10 * (unit - 1))) * 10 / 1024) : 0;
	const char *about = rest && rest != one / 2 ? "~" : "";

	if (tenth)
		snprintf(buffer, OUT_NUMBER, "%s%" PRIu64 ".%u %s", about, whole, tenth, units[unit]);
	else
		snprintf(buffer, OUT_NUMBER, "%s%" PRIu64 " %s", about, whole, units[unit]);
	return buffer;
}

const char *output_tristate(enum panbind_tristate value)
{
	return value == PANBIND_YES ? "yes" : value == PANBIND_NO ? "no" : "unknown";
}

const char *output_hex(char buffer[OUT_NUMBER], uint64_t value)
{
	snprintf(buffer, OUT_NUMBER, "0x%" PRIx64, value);
	return buffer;
}

/* Bytes of the UTF-8 character that begins here, 0 when none does. jansson has the last word on what is one. */
static size_t character_size(const char *text)
{
	for (size_t size = 1; size <= 4 && text[size - 1]; size++) {
		json_t *json = json_stringn(text, size);

		if (json) {
			json_decref(json);
			return size;
		}
	}
	return 0;
}

json_t *output_json_text(const char *text)
{
	json_t *json = json_string(text);
	char *repaired = NULL;
	size_t size;
	FILE *stream = json ? NULL : open_memstream(&repaired, &size);

	if (!stream)
		return json;
	while (*text) {
		size_t good = character_size(text);

		if (good)
			fwrite(text, 1, good, stream);
		else
			fputs("\357\277\275", stream);
		text += good ? good : 1;
	}
	fclose(stream);
	json = json_string(repaired);
	free(repaired);
	return json;
}

json_t *output_json_hex(uint64_t value)
{
	char buffer[OUT_NUMBER];

	return json_string(output_hex(buffer, value));
}

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{PANBIND_MAP_READONLY, "readonly"},
	{PANBIND_MAP_NOEXEC, "noexec"},
	{PANBIND_MAP_UNCACHED, "uncached"},
};

const char *output_flags(char buffer[OUT_NUMBER], uint32_t flags)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (flags & flag_names[i].flag)
			used += (size_t)snprintf(buffer + used, OUT_NUMBER - used, "%s%s", used ? "," : "",
						 flag_names[i].name);
	if (!used)
		snprintf(buffer, OUT_NUMBER, "-");
	return buffer;
}

json_t *output_json_flags(uint32_t flags)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (flags & flag_names[i].flag)
			json_array_append_new(array, json_string(flag_names[i].name));
	return array;
}
