/* SPDX-License-Identifier: MIT */
/*
 * Sources: the texts that a script consists of, and `include`, which brings in more of them.
 *
 * The script keeps a copy of each text, for the line under an error's caret. The parser itself never opens a file when
 * the caller brings its own loader.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "script_parser.h"

#define MAX_FILE_SIZE ((off_t)1 << 30)

static bool same_source(const struct pb_source *source, const char *name, const char *text, size_t size)
{
	return source->size == size && strcmp(source->name, name) == 0 &&
	       (size == 0 || memcmp(source->text, text, size) == 0);
}

int pb_source_add(struct pb_parser *p, const char *name, const char *text, size_t size, uint16_t *ret_source)
{
	struct panbind_script *script = p->script;
	pb_autofree char *copy = NULL, *name_copy = NULL;
	struct pb_source *grown;

	for (size_t i = 0; i < script->source_count; i++)
		if (same_source(&script->sources[i], name, text, size)) {
			*ret_source = (uint16_t)i;
			return 0;
		}
	if (script->source_count >= UINT16_MAX)
		return -E2BIG;
	grown = realloc(script->sources, (script->source_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	script->sources = grown;
	copy = malloc(size + 1);
	name_copy = strdup(name);
	if (!copy || !name_copy)
		return -ENOMEM;
	if (size > 0)
		memcpy(copy, text, size);
	copy[size] = '\0';
	*ret_source = (uint16_t)script->source_count++;
	grown[*ret_source] = (struct pb_source){pb_take_ptr(name_copy), pb_take_ptr(copy), size};
	return 0;
}

struct include {
	struct pb_parser *p;
	const struct pb_word *word;
	bool failed; /* inside the included file: p->error is set */
};

static int fail_include(struct include *include, int code, const char *what, const char *name)
{
	include->failed = true;
	return pb_parser_fail_word(include->p, code, include->word, 0, "%s: %.100s", what, name);
}

static int check_include(struct include *include, const char *name)
{
	struct pb_parser *p = include->p;

	for (uint32_t i = 0; i < p->depth; i++)
		if (strcmp(p->script->sources[p->stack[i]].name, name) == 0)
			return fail_include(include, -ELOOP, "includes itself", name);
	if (p->depth + 1 >= PB_SCRIPT_MAX_INCLUDE_DEPTH)
		return fail_include(include, -ELOOP, "too many includes inside each other", name);
	if (++p->includes > p->limits->includes) {
		p->fatal = true;
		return fail_include(include, -E2BIG, "too many included files", name);
	}
	return 0;
}

/* One matching file: parse it as if it stood here. The words of this statement are gone after it. */
static int include_text(void *data, const char *name, const char *text, size_t size)
{
	struct include *include = data;
	struct pb_parser *p = include->p;
	struct pb_cursor cursor = p->cursor;
	uint16_t source = p->source, added;
	int r = check_include(include, name);

	if (r < 0)
		return r;
	p->steps += size / 64;
	r = pb_source_add(p, name, text, size, &added);
	if (r < 0)
		return fail_include(include, r, "cannot keep the text of", name);
	p->stack[p->depth++] = added;
	r = pb_expand_source(p, added);
	p->depth--;
	include->failed = r < 0;
	p->cursor = cursor;
	p->source = source;
	return r;
}

static int read_all(int fd, char *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buffer + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return done == size ? 0 : -EIO;
}

static int include_file(struct include *include, const char *path)
{
	pb_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	pb_autofree char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_include(include, -errno, "cannot open", path);
	if (!S_ISREG(st.st_mode))
		return fail_include(include, -EINVAL, "not a regular file", path);
	if (st.st_size > MAX_FILE_SIZE)
		return fail_include(include, -EFBIG, "larger than 1 GiB", path);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return fail_include(include, -ENOMEM, "no memory for", path);
	r = read_all(fd, text, (size_t)st.st_size);
	if (r < 0)
		return fail_include(include, r, "cannot read", path);
	return include_text(include, path, text, (size_t)st.st_size);
}

/* The pattern, seen from the folder of the file that includes. */
static char *resolve(const char *from, const char *pattern)
{
	const char *slash = strrchr(from, '/');
	char *path = NULL;

	if (pattern[0] == '/' || !slash)
		return strdup(pattern);
	if (asprintf(&path, "%.*s/%s", (int)(slash - from), from, pattern) < 0)
		return NULL;
	return path;
}

static void globfreep(glob_t *matches)
{
	globfree(matches);
}

/* A pattern that matches nothing is no error; a plain name that is not there is one. */
static int include_glob(struct include *include, const char *from, const char *pattern)
{
	pb_autofree char *path = resolve(from, pattern);
	pb_cleanup(globfreep) glob_t matches = {0};
	int r;

	if (!path)
		return fail_include(include, -ENOMEM, "no memory for", pattern);
	r = glob(path, GLOB_NOMAGIC, NULL, &matches);
	if (r == GLOB_NOMATCH)
		return 0;
	if (r != 0)
		return fail_include(include, r == GLOB_NOSPACE ? -ENOMEM : -EIO, "cannot read the folder of", path);
	for (size_t i = 0; i < matches.gl_pathc; i++) {
		r = include_file(include, matches.gl_pathv[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int pb_include(struct pb_parser *p, const struct pb_word *word)
{
	const struct panbind_script_options *options = p->options;
	const char *from = p->script->sources[p->source].name;
	pb_autofree char *pattern = strndup(word->text, word->size), *from_copy = strdup(from);
	struct pb_word where = *word; /* the words do not outlive what is included */
	struct include include = {.p = p, .word = &where};
	int r;

	if (!pattern || !from_copy)
		return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
	if (word->size == 0)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "include needs the name of a file");
	if (!options || !options->include)
		return include_glob(&include, from_copy, pattern);
	r = options->include(options->data, from_copy, pattern, include_text, &include);
	if (r < 0 && !include.failed)
		return fail_include(&include, r, "cannot include", pattern);
	return r;
}
