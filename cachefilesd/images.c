/* SPDX-License-Identifier: Apache-2.0 */
#include "base/try.h"
#include "cachefilesd/client.h"
#include "cachefilesd/verbs.h"
#include "cli/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Between two looks at something that goes on. */
#define LOOK_NS 100000000

static int done(ek_status s, const struct ek_err *err)
{
	if (s != EK_OK)
		cli_error("%s", err->text);
	return s != EK_OK || cli_finish() ? EKD_FAILED : EKD_OK;
}

static void put(struct json_object *to, const char *key, const char *text)
{
	if (text)
		json_object_object_add(to, key, json_object_new_string(text));
}

static void put_flag(struct json_object *to, const char *key,
		     const struct ekd_options *o, int id)
{
	if (o->has[id])
		json_object_object_add(to, key, json_object_new_boolean(1));
}

/* @path without symbolic links, for daemons that follow none; free(). */
static ek_status real(const char *path, char **to, struct ek_err *err)
{
	*to = realpath(path, NULL);
	return *to ? EK_OK : ek_fail_sys(err, errno, "%s", path);
}

/* Method @method of @path for image @target; the answer may be left out. */
static ek_status ask_image(const struct ekd_options *o, const char *method,
			   const char *path, const char *target,
			   struct json_object *json, struct ekd_answer *answer,
			   struct ek_err *err)
{
	struct ekd_answer mine;
	char *text;
	ek_status s;

	EK_TRY(ekd_image_path(path, target, &text, err));
	s = ekd_ask(o, method, text, json, answer ? answer : &mine, err);
	free(text);
	if (s == EK_OK && !answer)
		ekd_answer_free(&mine);
	return s;
}

static ek_status prefetch(const struct ekd_options *o, const char *target,
			  char *const *paths, size_t n,
			  struct ekd_answer *answer, struct ek_err *err)
{
	struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();
	char *trace = NULL;
	ek_status s = EK_OK;

	if (o->has[OPT_TRACE])
		s = real(o->text[OPT_TRACE], &trace, err);
	put(json, "trace", trace);
	for (size_t i = 0; i < n; i++)
		json_object_array_add(list, json_object_new_string(paths[i]));
	json_object_object_add(json, "paths", list);
	if (s == EK_OK)
		s = ask_image(o, "POST", "/v1/prefetch", target, json, answer,
			      err);
	json_object_put(json);
	free(trace);
	return s;
}

static ek_status mount_json(const struct ekd_options *o,
			    struct json_object *json, char **target,
			    struct ek_err *err)
{
	char *index = NULL;

	if (o->has[OPT_INDEX])
		EK_TRY(real(o->text[OPT_INDEX], &index, err));
	put(json, "index", index);
	free(index);
	EK_TRY(real(o->operands[o->n_operands - 1], target, err));
	put(json, "target", *target);
	if (!o->has[OPT_INDEX])
		put(json, "image", o->operands[0]);
	put(json, "from", o->text[OPT_FROM]);
	put(json, "index_digest", o->text[OPT_INDEX_DIGEST]);
	put(json, "platform", o->text[OPT_PLATFORM]);
	put(json, "untrusted_index", o->text[OPT_UNTRUSTED]);
	put_flag(json, "rw", o, OPT_RW);
	put_flag(json, "persist", o, OPT_PERSIST);
	put_flag(json, "suid", o, OPT_SUID);
	put_flag(json, "complete", o, OPT_COMPLETE);
	put_flag(json, "loop", o, OPT_LOOP);
	return EK_OK;
}

int ekd_mount_verb(const struct ekd_options *o)
{
	struct json_object *json = json_object_new_object();
	struct ekd_answer answer = {0};
	char *target = NULL;
	struct ek_err err;
	ek_status s;

	s = mount_json(o, json, &target, &err);
	if (s == EK_OK)
		s = ekd_ask(o, "POST", "/v1/mounts", json, &answer, &err);
	if (s == EK_OK && o->has[OPT_TRACE])
		s = prefetch(o, target, NULL, 0, NULL, &err);
	if (s == EK_OK && o->has[OPT_JSON])
		fputs(answer.body, stdout);
	else if (s == EK_OK && !o->has[OPT_QUIET])
		printf("Mounted on %s\n", target);
	ekd_answer_free(&answer);
	json_object_put(json);
	free(target);
	return done(s, &err);
}

int ekd_umount(const struct ekd_options *o)
{
	struct ek_err err;
	ek_status s = ask_image(o, "DELETE",
				o->has[OPT_LAZY] ? "/v1/mounts?lazy=true"
						 : "/v1/mounts",
				o->operands[0], NULL, NULL, &err);

	if (s == EK_OK && !o->has[OPT_QUIET])
		printf("Unmounted %s\n", o->operands[0]);
	return done(s, &err);
}

/*
 * The image at @target in what the daemon lists; *found is for
 * json_object_put().
 */
static ek_status image_of(const struct ekd_options *o, const char *target,
			  struct json_object **found, struct ek_err *err)
{
	struct json_object *json, *images, *image, *v;
	struct ekd_answer answer;
	char *whole = realpath(target, NULL);
	ek_status s;

	s = ekd_ask(o, "GET", "/v1/images", NULL, &answer, err);
	if (s == EK_OK) {
		s = ekd_answer_json(&answer, &json, err);
		ekd_answer_free(&answer);
	}
	if (s != EK_OK) {
		free(whole);
		return s;
	}
	s = ek_fail(err, EK_NOTFOUND, "%s: no image of this daemon", target);
	json_object_object_get_ex(json, "images", &images);
	for (size_t i = 0; i < json_object_array_length(images); i++) {
		image = json_object_array_get_idx(images, i);
		json_object_object_get_ex(image, "target", &v);
		if (strcmp(json_object_get_string(v), whole ? whole : target) !=
		    0)
			continue;
		*found = json_object_get(image);
		s = EK_OK;
		break;
	}
	json_object_put(json);
	free(whole);
	return s;
}

/* Ranges of the image at @target of which prefetch was given up so far. */
static ek_status count_failed(const struct ekd_options *o, const char *target,
			      int64_t *failed, struct ek_err *err)
{
	struct json_object *image;

	EK_TRY(image_of(o, target, &image, err));
	*failed = ekd_answer_number(image, "prefetch_failed");
	json_object_put(image);
	return EK_OK;
}

/*
 * Until nothing more is listed to be fetched, nor under way. EK_IO when some
 * was given up, beyond the @failed that were before.
 */
static ek_status wait_prefetched(const struct ekd_options *o,
				 const char *target, int64_t failed,
				 struct ek_err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct json_object *image, *why = NULL;
	ek_status s = EK_OK;
	bool over = false;

	while (!over) {
		EK_TRY(image_of(o, target, &image, err));
		over = !ekd_answer_number(image, "prefetch_listed") &&
		       !ekd_answer_number(image, "under_way");
		if (over &&
		    ekd_answer_number(image, "prefetch_failed") > failed) {
			json_object_object_get_ex(image, "last_error", &why);
			s = ek_fail(err, EK_IO, "%s: not all was fetched: %s",
				    target,
				    why ? json_object_get_string(why) : "");
		}
		json_object_put(image);
		if (!over)
			nanosleep(&pause, NULL);
	}
	return s;
}

/* Until all is there, or the daemon has given that up. */
static ek_status wait_complete(const struct ekd_options *o, const char *target,
			       struct ek_err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct json_object *image, *why = NULL;
	ek_status s;

	for (;;) {
		EK_TRY(image_of(o, target, &image, err));
		s = EK_OK;
		if (!ekd_answer_number(image, "complete") &&
		    !ekd_answer_number(image, "completing")) {
			json_object_object_get_ex(image, "last_error", &why);
			s = ek_fail(err, EK_IO, "%s: not completed: %s", target,
				    why ? json_object_get_string(why) : "");
		}
		if (s != EK_OK || ekd_answer_number(image, "complete")) {
			json_object_put(image);
			return s;
		}
		json_object_put(image);
		nanosleep(&pause, NULL);
	}
}

int ekd_prefetch(const struct ekd_options *o)
{
	struct ekd_answer answer = {0};
	struct json_object *json, *bytes;
	ek_status s = EK_OK;
	int64_t failed = 0;
	struct ek_err err;

	if (o->n_operands == 1 && !o->has[OPT_TRACE])
		return cli_usage(&ekd_program,
				 "prefetch: needs a PATH or --trace; complete "
				 "fetches all");
	if (o->has[OPT_WAIT])
		s = count_failed(o, o->operands[0], &failed, &err);
	if (s == EK_OK)
		s = prefetch(o, o->operands[0], o->operands + 1,
			     o->n_operands - 1, &answer, &err);
	if (s == EK_OK && o->has[OPT_WAIT])
		s = wait_prefetched(o, o->operands[0], failed, &err);
	if (s == EK_OK && o->has[OPT_JSON]) {
		fputs(answer.body, stdout);
	} else if (s == EK_OK && !o->has[OPT_QUIET]) {
		s = ekd_answer_json(&answer, &json, &err);
		if (s == EK_OK &&
		    json_object_object_get_ex(json, "bytes", &bytes))
			printf("%lld bytes are listed\n",
			       (long long)json_object_get_int64(bytes));
		if (s == EK_OK)
			json_object_put(json);
	}
	ekd_answer_free(&answer);
	return done(s, &err);
}

static ek_status complete(const struct ekd_options *o, const char *target,
			  bool on, struct ek_err *err)
{
	struct json_object *json = json_object_new_object();
	ek_status s;

	json_object_object_add(json, "on", json_object_new_boolean(on));
	s = ask_image(o, "POST", "/v1/complete", target, json, NULL, err);
	json_object_put(json);
	return s;
}

int ekd_complete(const struct ekd_options *o)
{
	bool on = !o->has[OPT_OFF];
	struct ek_err err;
	ek_status s = complete(o, o->operands[0], on, &err);

	if (s == EK_OK && on && o->has[OPT_WAIT])
		s = wait_complete(o, o->operands[0], &err);
	if (s == EK_OK && !o->has[OPT_QUIET])
		puts(!on ? "Fetches what is read"
		     : o->has[OPT_WAIT]
			     ? "Complete"
			     : "Fetches all of it in the background");
	return done(s, &err);
}

static ek_status write_trace(const struct ekd_options *o,
			     const struct ekd_answer *a, struct ek_err *err)
{
	FILE *out = stdout;

	if (o->has[OPT_OUTPUT])
		out = fopen(o->text[OPT_OUTPUT], "we");
	if (!out)
		return ek_fail_sys(err, errno, "%s", o->text[OPT_OUTPUT]);
	fwrite(a->body, 1, a->n, out);
	if (out != stdout && fclose(out) != 0)
		return ek_fail_sys(err, errno, "%s", o->text[OPT_OUTPUT]);
	return EK_OK;
}

int ekd_trace_verb(const struct ekd_options *o)
{
	const char *target = o->operands[1];
	struct ekd_answer answer;
	struct ek_err err;
	ek_status s;

	if (strcmp(o->operands[0], "record") == 0) {
		s = ask_image(o, "POST", "/v1/trace", target, NULL, NULL, &err);
		if (s == EK_OK && !o->has[OPT_QUIET])
			puts("Records; 'trace show --stop' ends it");
		return done(s, &err);
	}
	s = ask_image(o, o->has[OPT_STOP] ? "DELETE" : "GET", "/v1/trace",
		      target, NULL, &answer, &err);
	if (s == EK_OK) {
		s = write_trace(o, &answer, &err);
		ekd_answer_free(&answer);
	}
	return done(s, &err);
}

/* Each image is complete, and then mounted without the door. */
static ek_status detach(const struct ekd_options *o, const char *target,
			struct ek_err *err)
{
	EK_TRY(complete(o, target, true, err));
	EK_TRY(wait_complete(o, target, err));
	return ask_image(o, "POST", "/v1/remount", target, NULL, NULL, err);
}

static ek_status each_image(const struct ekd_options *o, struct ek_err *err)
{
	struct json_object *json, *images, *v;
	struct ekd_answer answer;
	ek_status s = EK_OK;

	EK_TRY(ekd_ask(o, "GET", "/v1/images", NULL, &answer, err));
	s = ekd_answer_json(&answer, &json, err);
	ekd_answer_free(&answer);
	if (s != EK_OK)
		return s;
	json_object_object_get_ex(json, "images", &images);
	for (size_t i = 0; s == EK_OK && i < json_object_array_length(images);
	     i++) {
		json_object_object_get_ex(json_object_array_get_idx(images, i),
					  "target", &v);
		if (o->has[OPT_UMOUNT])
			s = ask_image(o, "DELETE", "/v1/mounts",
				      json_object_get_string(v), NULL, NULL,
				      err);
		else
			s = detach(o, json_object_get_string(v), err);
	}
	json_object_put(json);
	return s;
}

int ekd_stop(const struct ekd_options *o)
{
	struct json_object *json = json_object_new_object();
	struct ekd_answer answer;
	struct ek_err err;
	ek_status s = EK_OK;

	if (o->has[OPT_UMOUNT] || o->has[OPT_COMPLETE])
		s = each_image(o, &err);
	put_flag(json, "keep", o, OPT_KEEP);
	if (s == EK_OK)
		s = ekd_ask(o, "POST", "/v1/stop", json, &answer, &err);
	if (s == EK_OK)
		ekd_answer_free(&answer);
	json_object_put(json);
	if (s == EK_OK)
		s = ekd_wait_end(o, &err);
	if (s == EK_OK && !o->has[OPT_QUIET])
		puts(o->has[OPT_KEEP] ? "The worker serves until the next run"
				      : "Stopped");
	return done(s, &err);
}
