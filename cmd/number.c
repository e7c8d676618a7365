/* SPDX-License-Identifier: MIT */
/* Text to numbers and moments. What does not fit is refused, never cut. See number.h. */
#include "number.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return 16;
}

/* Digits up to what is none; a `_` stands between two of them. */
static int parse_digits(const char **at, int base, uint64_t *value)
{
	const char *start = *at;

	for (*value = 0;; ++*at) {
		int digit = digit_value(**at);

		if (**at == '_' && *at > start && (*at)[-1] != '_' && digit_value((*at)[1]) < base)
			continue;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
		    __builtin_add_overflow(*value, (uint64_t)digit, value))
			return -ERANGE;
	}
	return *at > start ? 0 : -EINVAL;
}

int number_parse(const char *text, uint64_t *ret_value)
{
	static const char suffixes[] = "KMGT";
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *at = hex ? text + 2 : text, *suffix;
	uint64_t value;
	int r = parse_digits(&at, hex ? 16 : 10, &value);

	if (r < 0)
		return r;
	suffix = *at ? strchr(suffixes, *at) : NULL;
	if (suffix) {
		int shift = 10 * (int)(suffix - suffixes + 1);

		if (value > UINT64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
		at++;
	}
	if (*at)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int number_split_offset(char *text, uint64_t *ret_offset)
{
	char *plus = strchr(text, '+');

	*ret_offset = 0;
	if (!plus)
		return 0;
	*plus = '\0';
	return number_parse(plus + 1, ret_offset);
}

/* ---- Moments ---- */

/* "10m": so long ago. */
static int parse_ago(const char *text, int64_t *ret_ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	struct timespec now;
	uint64_t count;

	if (parse_digits(&text, 10, &count) < 0 || count > 1000000000 || !*text || text[1])
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == *text) {
			clock_gettime(CLOCK_REALTIME, &now);
			*ret_ns = (now.tv_sec - (int64_t)count * units[i].seconds) * NS_PER_SECOND + now.tv_nsec;
			return 0;
		}
	return -EINVAL;
}

/* ".123" to ns; moves @at behind it. */
static int64_t parse_fraction(const char **at)
{
	int64_t ns = 0, scale = NS_PER_SECOND;

	if (**at != '.')
		return 0;
	while (isdigit((unsigned char)*++*at))
		if (scale > 1) {
			scale /= 10;
			ns += scale * (**at - '0');
		}
	return ns;
}

static const char *parse_clock(const char *text, struct tm *tm)
{
	const char *end = strptime(text, "%H:%M:%S", tm);

	if (end)
		return end;
	tm->tm_sec = 0;
	return strptime(text, "%H:%M", tm);
}

static const char *parse_calendar(const char *text, struct tm *tm)
{
	const char *at = strptime(text, "%Y-%m-%d", tm);

	if (!at)
		return parse_clock(text, tm);
	tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	return *at == 'T' || *at == ' ' ? parse_clock(at + 1, tm) : at;
}

int number_parse_time(const char *text, int64_t *ret_ns)
{
	time_t now = time(NULL), seconds;
	const char *at;
	struct tm tm;
	int64_t ns;

	if (parse_ago(text, ret_ns) == 0)
		return 0;
	localtime_r(&now, &tm);
	at = parse_calendar(text, &tm);
	if (!at)
		return -EINVAL;
	ns = parse_fraction(&at);
	tm.tm_isdst = -1;
	seconds = *at == 'Z' ? timegm(&tm) : mktime(&tm);
	at += *at == 'Z';
	if (*at || seconds < 0 || seconds > INT64_MAX / NS_PER_SECOND - 1)
		return -EINVAL;
	*ret_ns = seconds * NS_PER_SECOND + ns;
	return 0;
}
