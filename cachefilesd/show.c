/* SPDX-License-Identifier: Apache-2.0 */

/* Verbs that tell: JSON as the daemon gives it, or a few lines of text. */

#include "base/try.h"
#include "cachefilesd/client.h"
#include "cachefilesd/verbs.h"
#include "cli/message.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t number(struct json_object *o, const char *key)
{
	return ekd_answer_number(o, key);
}

static bool truth(struct json_object *o, const char *key)
{
	return number(o, key) != 0;
}

/* Texts of the daemon go to a terminal: nothing that steers it. */
static void show(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (json_object_object_get_ex(o, key, &v) &&
	    json_object_is_type(v, json_type_string))
		return json_object_get_string(v);
	return "";
}

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, key, &v);
	return v;
}

/* "12.3 MiB" */
static const char *human(int64_t n, char to[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)n;
	unsigned u = 0;

	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	snprintf(to, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return to;
}

/* Ask, and show with @print unless JSON is wanted. */
static int tell(const struct ekd_options *o, const char *method,
		const char *path, int (*print)(struct json_object *json))
{
	struct json_object *json = NULL;
	struct ekd_answer answer;
	struct ek_err err;
	int status = EKD_OK;
	ek_status s;

	s = ekd_ask(o, method, path, NULL, &answer, &err);
	if (s == EK_OK) {
		s = ekd_answer_json(&answer, &json, &err);
		if (s == EK_OK && o->has[OPT_JSON])
			fputs(answer.body, stdout);
		ekd_answer_free(&answer);
	}
	if (s != EK_OK) {
		cli_error("%s", err.text);
		return EKD_FAILED;
	}
	if (!o->has[OPT_JSON])
		status = print(json);
	else if (number(json, "wrong"))
		status = EKD_ERRORS; /* of verify */
	json_object_put(json);
	return cli_finish() ? EKD_FAILED : status;
}

static void line(const char *name, const char *value)
{
	printf("%-12s ", name);
	show(value);
	putchar('\n');
}

static void print_door(struct json_object *door)
{
	char a[32];

	line("door", text(door, "name"));
	line("", text(door, "without_a_daemon"));
	line("", truth(door, "restarts_unseen")
			 ? "a restart of the daemon is not seen by readers"
			 : "this kernel gives readers errors at a restart");
	if (truth(door, "broken"))
		line("", "BROKEN: the kernel's connection is gone");
	printf("%-12s %" PRId64 " reads, %s, %" PRId64 " errors, %" PRId64
	       " waiting\n",
	       "", number(door, "reads"), human(number(door, "read_bytes"), a),
	       number(door, "errors"), number(door, "waiting"));
}

static int print_status(struct json_object *json)
{
	struct json_object *store = member(json, "store");
	struct json_object *fetch = member(json, "fetch");
	time_t since = (time_t)(number(json, "started_ms") / 1000);
	char a[32], b[32], when[64] = "";
	struct tm tm;

	if (localtime_r(&since, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	printf("%-12s pid %" PRId64 ", generation %" PRId64 ", since %s\n",
	       "worker", number(json, "pid"), number(json, "generation"), when);
	line("holder", truth(json, "holder") ? "there"
					     : "GONE: start it with "
					       "'erofs-cachefilesd "
					       "run'");
	print_door(member(json, "door"));
	printf("%-12s %" PRId64 ", %" PRId64 " need the daemon\n", "images",
	       number(json, "images"), number(json, "lazy_images"));
	printf("%-12s %" PRId64 " blobs (%" PRId64 " complete), %s of %s\n",
	       "store", number(store, "blobs"), number(store, "complete_blobs"),
	       human(number(store, "bytes"), a),
	       number(store, "quota") ? human(number(store, "quota"), b)
				      : "no limit");
	printf("%-12s %" PRId64 " requests, %s, %" PRId64 " retries, %" PRId64
	       " failures\n",
	       "fetch", number(fetch, "requests"),
	       human(number(fetch, "bytes"), a), number(fetch, "retries"),
	       number(fetch, "failures"));
	return EKD_OK;
}

int ekd_status_verb(const struct ekd_options *o)
{
	return tell(o, "GET", "/v1/daemon", print_status);
}

static void print_image(struct json_object *i)
{
	char a[32], b[32], c[32], d[32];

	show(text(i, "target"));
	printf("  %s, %s\n", text(i, "state"),
	       truth(i, "lazy") ? "needs the daemon" : "needs no daemon");
	printf("    id %s\n    source ", text(i, "id"));
	show(text(i, "source"));
	if (*text(i, "from")) {
		printf(" from ");
		show(text(i, "from"));
	}
	printf("\n    %s of %s are here%s; %s asked for, %s fetched\n",
	       human(number(i, "present"), a), human(number(i, "size"), b),
	       truth(i, "completing") ? " (completing)" : "",
	       human(number(i, "asked_bytes"), c),
	       human(number(i, "fetched_bytes"), d));
	printf("    %" PRId64 " reads, %" PRId64 " waited, %" PRId64
	       " failed\n",
	       number(i, "reads"), number(i, "waited"), number(i, "failed"));
	if (*text(i, "problem"))
		line("    problem", text(i, "problem"));
	if (*text(i, "last_error"))
		line("    last error", text(i, "last_error"));
}

static int print_images(struct json_object *json)
{
	struct json_object *list = member(json, "images");
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++)
		print_image(json_object_array_get_idx(list, i));
	if (!n)
		puts("No image is mounted");
	return EKD_OK;
}

int ekd_images(const struct ekd_options *o)
{
	return tell(o, "GET", "/v1/images", print_images);
}

static int print_blobs(struct json_object *json)
{
	struct json_object *list = member(json, "blobs");
	char a[32], b[32];

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *at = json_object_array_get_idx(list, i);

		show(text(at, "name"));
		printf("  %s of %s%s%s\n", human(number(at, "present"), a),
		       human(number(at, "size"), b),
		       truth(at, "complete") ? ", complete" : "",
		       truth(at, "in_use") ? ", in use" : "");
	}
	return EKD_OK;
}

int ekd_blobs(const struct ekd_options *o)
{
	return tell(o, "GET", "/v1/blobs", print_blobs);
}

static int print_waits(struct json_object *json)
{
	struct json_object *list = member(json, "waits");
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++) {
		struct json_object *at = json_object_array_get_idx(list, i);

		printf("pid %" PRId64 " waits for %.1f s (%.1f s left) for "
		       "%" PRId64 "+%" PRId64 " of %s\n",
		       number(at, "pid"), (double)number(at, "waits_ms") / 1000,
		       (double)number(at, "left_ms") / 1000,
		       number(at, "offset"), number(at, "bytes"),
		       text(at, "blob"));
		printf("    %" PRId64 " attempts, host ",
		       number(at, "attempts"));
		show(*text(at, "host") ? text(at, "host") : "none yet");
		printf(", last error: ");
		show(*text(at, "last_error") ? text(at, "last_error") : "none");
		putchar('\n');
	}
	if (!n)
		puts("Nobody waits");
	return EKD_OK;
}

int ekd_waits(const struct ekd_options *o)
{
	const char *min = o->has[OPT_MIN] ? o->text[OPT_MIN] : "1s";
	char path[64];

	/* What is no time is refused by the daemon, in its words. */
	if (strspn(min, "0123456789mshd") != strlen(min) || strlen(min) > 20)
		return cli_usage(&ekd_program,
				 "--min: not a time such as 500ms or 2s");
	snprintf(path, sizeof(path), "/v1/waits?min=%s", min);
	return tell(o, "GET", path, print_waits);
}

static int print_gc(struct json_object *json)
{
	char a[32];

	printf("Removed %" PRId64 " blobs, %s\n", number(json, "removed"),
	       human(number(json, "bytes"), a));
	return EKD_OK;
}

int ekd_gc(const struct ekd_options *o)
{
	return tell(o, "POST", "/v1/gc", print_gc);
}

static int print_verify(struct json_object *json)
{
	struct json_object *list = member(json, "dropped");
	int64_t wrong = number(json, "wrong");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *at = json_object_array_get_idx(list, i);

		printf("wrong: leaf %" PRId64 " of %s\n", number(at, "leaf"),
		       text(at, "blob"));
	}
	if (wrong)
		printf("%" PRId64 " leaves were wrong and were dropped\n",
		       wrong);
	else
		puts("Nothing is wrong");
	return wrong ? EKD_ERRORS : EKD_OK;
}

int ekd_verify(const struct ekd_options *o)
{
	return tell(o, "POST", "/v1/verify", print_verify);
}
