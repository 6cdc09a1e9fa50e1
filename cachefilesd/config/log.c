/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE	2048
#define BURST	200
#define EACH_MS 20 /* between lines that are let through */

struct ekd_log {
	int fd;
	char who[16];
	pthread_mutex_t lock;
	enum ekd_log_level level;
	bool json;
	int64_t refilled; /* milliseconds */
	unsigned left;	  /* lines that may be written now */
	unsigned long lost;
};

/* A line that is being made; what does not fit is cut. */
struct text {
	size_t n;
	bool json;
	char at[LINE];
};

static void put(struct text *t, const char *s)
{
	/* Room is left for what closes the line. */
	while (*s && t->n < LINE - 8)
		t->at[t->n++] = *s++;
}

static void put_escaped(struct text *t, const char *s, size_t n)
{
	char code[8];

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			snprintf(code, sizeof(code), "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (t->json && c >= 0x80))
			snprintf(code, sizeof(code), "\\u%04x", c);
		else
			snprintf(code, sizeof(code), "%c", c);
		if (t->n + strlen(code) >= LINE - 8)
			return;
		put(t, code);
	}
}

static bool is_plain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= 0x20 || s[i] == 0x7f ||
		    strchr("\"\\=", s[i]))
			return false;
	return n > 0;
}

static void put_pair(struct text *t, const char *key, size_t key_n,
		     const char *value, size_t n)
{
	bool quote = t->json || !is_plain(value, n);

	if (t->n > 1)
		put(t, t->json ? ", " : " ");
	put(t, t->json ? "\"" : "");
	put_escaped(t, key, key_n);
	put(t, t->json ? "\": " : "=");
	put(t, quote ? "\"" : "");
	put_escaped(t, value, n);
	put(t, quote ? "\"" : "");
}

static void pair(struct text *t, const char *key, const char *value)
{
	put_pair(t, key, strlen(key), value, strlen(value));
}

static void begin(struct ekd_log *log, struct text *t, enum ekd_log_level level)
{
	struct timespec now;
	struct tm tm;
	char at[64];
	size_t n;

	t->n = 0;
	t->json = log->json;
	if (t->json)
		put(t, "{");
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(at + n, sizeof(at) - n, ".%03ldZ", now.tv_nsec / 1000000);
	pair(t, "time", at);
	pair(t, "level", ekd_log_level_name(level));
	pair(t, "from", log->who);
}

static void end(struct ekd_log *log, struct text *t)
{
	size_t did = 0;

	if (t->json)
		t->at[t->n++] = '}';
	t->at[t->n++] = '\n';
	while (did < t->n) {
		ssize_t n = write(log->fd, t->at + did, t->n - did);

		/* Nobody could be told that nobody can be told. */
		if (n <= 0)
			return;
		did += (size_t)n;
	}
}

/* Whether a line may be written now; with the lock. Tells what was lost. */
static bool allowed(struct ekd_log *log)
{
	struct timespec ts;
	struct text t;
	char count[24];
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	if (now - log->refilled >= BURST * EACH_MS) {
		log->left = BURST;
		log->refilled = now;
	}
	while (log->left < BURST && now - log->refilled >= EACH_MS) {
		log->left++;
		log->refilled += EACH_MS;
	}
	if (!log->left) {
		log->lost++;
		return false;
	}
	log->left--;
	if (log->lost) {
		snprintf(count, sizeof(count), "%lu", log->lost);
		log->lost = 0;
		begin(log, &t, EKD_LOG_WARNING);
		pair(&t, "event", "lines-left-out");
		pair(&t, "lines", count);
		end(log, &t);
	}
	return true;
}

ek_status ekd_log_new(int fd, const char *who, struct ekd_log **log,
		      struct ek_err *err)
{
	struct ekd_log *made = calloc(1, sizeof(*made));

	if (!made)
		return ek_fail(err, EK_NOMEM, "no memory for a log");
	made->fd = fd;
	snprintf(made->who, sizeof(made->who), "%s", who);
	made->level = EKD_LOG_INFO;
	made->left = BURST;
	pthread_mutex_init(&made->lock, NULL);
	*log = made;
	return EK_OK;
}

void ekd_log_free(struct ekd_log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void ekd_log_set(struct ekd_log *log, enum ekd_log_level level, bool json)
{
	pthread_mutex_lock(&log->lock);
	log->level = level;
	log->json = json;
	pthread_mutex_unlock(&log->lock);
}

void ekd_log_event(struct ekd_log *log, enum ekd_log_level level,
		   const char *event, ...)
{
	const char *key, *value;
	struct text t;
	va_list ap;

	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	if (level > log->level || !allowed(log)) {
		pthread_mutex_unlock(&log->lock);
		return;
	}
	begin(log, &t, level);
	pair(&t, "event", event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *))) {
		value = va_arg(ap, const char *);
		if (value)
			pair(&t, key, value);
	}
	va_end(ap);
	end(log, &t);
	pthread_mutex_unlock(&log->lock);
}

/* One word of @line: key=value, key="value", or something else. */
static const char *put_word(struct text *t, const char *line)
{
	const char *is, *from, *to;

	line += strspn(line, " ");
	is = line + strcspn(line, "= \"");
	if (*is != '=' || is == line) {
		/* No pair: all that is left is words for people. */
		if (*line)
			pair(t, "text", line);
		return line + strlen(line);
	}
	from = is + 1;
	if (*from != '"') {
		to = from + strcspn(from, " ");
		put_pair(t, line, (size_t)(is - line), from,
			 (size_t)(to - from));
		return to;
	}
	for (to = ++from; *to && *to != '"'; to++)
		if (*to == '\\' && to[1])
			to++;
	put_pair(t, line, (size_t)(is - line), from, (size_t)(to - from));
	return to + (*to == '"');
}

void ekd_log_line(struct ekd_log *log, enum ekd_log_level level,
		  const char *line)
{
	struct text t;

	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	if (level <= log->level && allowed(log)) {
		begin(log, &t, level);
		while (*line)
			line = put_word(&t, line);
		end(log, &t);
	}
	pthread_mutex_unlock(&log->lock);
}
