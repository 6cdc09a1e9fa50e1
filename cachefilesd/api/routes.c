/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/routes.h"

#include "base/try.h"
#include "cachefilesd/config/json.h"
#include "cli/json.h"

#include <stdlib.h>
#include <string.h>

#define PATHS_MAX 256

/* What a request is handled with. */
struct call {
	const struct ekd_routes *routes;
	struct ekd_service *service;
	const struct ekd_http_request *request;
	struct ekd_object body; /* o is NULL without a body */
	FILE *out;		/* the answer's body */
	struct ekd_api_answer *answer;
};

void ekd_answer_failure(struct ekd_api_answer *answer, unsigned status,
			const char *code, const char *message)
{
	FILE *out = open_memstream(&answer->body, &answer->n);
	struct cli_json j;

	answer->status = status;
	answer->type = "application/json";
	if (!out)
		return;
	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_text(&j, "code", code);
	cli_json_text(&j, "message", message);
	cli_json_close(&j);
	if (fclose(out) != 0) {
		free(answer->body);
		answer->body = NULL;
		answer->n = 0;
	}
}

static ek_status get_daemon(struct call *c, struct ek_err *err)
{
	(void)err;
	ekd_report_daemon(c->routes, c->out);
	return EK_OK;
}

static ek_status get_images(struct call *c, struct ek_err *err)
{
	(void)err;
	ekd_report_images(c->routes, c->out);
	return EK_OK;
}

static ek_status get_blobs(struct call *c, struct ek_err *err)
{
	(void)err;
	ekd_report_blobs(c->routes, c->out);
	return EK_OK;
}

static ek_status get_hosts(struct call *c, struct ek_err *err)
{
	(void)err;
	ekd_report_hosts(c->routes, c->out);
	return EK_OK;
}

static ek_status get_waits(struct call *c, struct ek_err *err)
{
	const char *min = ekd_http_param(c->request, "min");
	uint64_t ms = 1000;

	if (min)
		EK_TRY(ekd_time_text(min, &ms, err));
	ekd_report_waits(c->routes, ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms,
			 c->out);
	return EK_OK;
}

static ek_status get_metrics(struct call *c, struct ek_err *err)
{
	(void)err;
	c->answer->type = "text/plain; version=0.0.4; charset=utf-8";
	ekd_report_metrics(c->routes, c->out);
	return EK_OK;
}

static void put_id(struct call *c, const char *id)
{
	struct cli_json j;

	cli_json_start(&j, c->out);
	cli_json_open(&j, NULL, '{');
	cli_json_text(&j, "id", id);
	cli_json_close(&j);
}

static ek_status get_untrusted(struct ekd_object *body,
			       struct ekd_mount_request *r, struct ek_err *err)
{
	const char *text = NULL;

	EK_TRY(ekd_get_text(body, "untrusted_index", &text, err));
	if (!text)
		return EK_OK;
	r->has_untrusted = true;
	if (strcmp(text, "refuse") == 0)
		r->untrusted = EKD_UNTRUSTED_REFUSE;
	else if (strcmp(text, "stream-first") == 0)
		r->untrusted = EKD_UNTRUSTED_STREAM;
	else
		return ekd_object_fail(body, "untrusted_index", err,
				       "neither refuse nor stream-first");
	return EK_OK;
}

static ek_status post_mounts(struct call *c, struct ek_err *err)
{
	struct ekd_mount_request r = {0};
	struct ekd_object *b = &c->body;
	char id[EKD_IMAGE_ID];

	EK_TRY(ekd_get_text(b, "target", &r.target, err));
	EK_TRY(ekd_get_text(b, "index", &r.index, err));
	EK_TRY(ekd_get_text(b, "image", &r.image, err));
	EK_TRY(ekd_get_text(b, "from", &r.from, err));
	EK_TRY(ekd_get_text(b, "index_digest", &r.index_digest, err));
	EK_TRY(ekd_get_text(b, "platform", &r.platform, err));
	EK_TRY(ekd_get_bool(b, "rw", &r.rw, err));
	EK_TRY(ekd_get_bool(b, "persist", &r.persist, err));
	EK_TRY(ekd_get_bool(b, "suid", &r.suid, err));
	EK_TRY(ekd_get_bool(b, "complete", &r.complete, err));
	EK_TRY(ekd_get_bool(b, "loop", &r.loop, err));
	EK_TRY(get_untrusted(b, &r, err));
	EK_TRY(ekd_object_done(b, err));
	EK_TRY(ekd_service_mount(c->service, &r, id, err));
	put_id(c, id);
	return EK_OK;
}

static ek_status no_content(struct call *c)
{
	c->answer->status = 204;
	return EK_OK;
}

/* Parameter "image": a target or an id. */
static ek_status which(struct call *c, const char **image, struct ek_err *err)
{
	*image = ekd_http_param(c->request, "image");
	if (*image && **image)
		return EK_OK;
	return ek_fail(err, EK_INVALID,
		       "no parameter 'image': a target or an id");
}

static ek_status delete_mounts(struct call *c, struct ek_err *err)
{
	const char *lazy = ekd_http_param(c->request, "lazy");
	const char *image;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_service_umount(c->service, image,
				  lazy && strcmp(lazy, "true") == 0, err));
	return no_content(c);
}

static ek_status post_remount(struct call *c, struct ek_err *err)
{
	const char *image;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_service_remount(c->service, image, err));
	return no_content(c);
}

static ek_status post_complete(struct call *c, struct ek_err *err)
{
	const char *image;
	bool on = true;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_get_bool(&c->body, "on", &on, err));
	EK_TRY(ekd_object_done(&c->body, err));
	EK_TRY(ekd_service_complete(c->service, image, on, err));
	return no_content(c);
}

static ek_status post_prefetch(struct call *c, struct ek_err *err)
{
	const char *image, *trace = NULL, **paths = NULL;
	struct cli_json j;
	uint64_t bytes;
	ek_status s;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_get_text(&c->body, "trace", &trace, err));
	EK_TRY(ekd_get_texts(&c->body, "paths", PATHS_MAX, &paths, err));
	s = ekd_object_done(&c->body, err);
	if (s == EK_OK)
		s = ekd_service_prefetch(c->service, image, trace, paths,
					 &bytes, err);
	free(paths);
	if (s != EK_OK)
		return s;
	cli_json_start(&j, c->out);
	cli_json_open(&j, NULL, '{');
	cli_json_unsigned(&j, "bytes", bytes);
	cli_json_close(&j);
	return EK_OK;
}

static ek_status post_trace(struct call *c, struct ek_err *err)
{
	const char *image;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_service_record(c->service, image, err));
	return no_content(c);
}

static ek_status trace(struct call *c, bool stop, struct ek_err *err)
{
	const char *image;
	char *text;
	size_t n;

	EK_TRY(which(c, &image, err));
	EK_TRY(ekd_service_trace(c->service, image, stop, &text, &n, err));
	c->answer->type = "text/plain; charset=utf-8";
	fwrite(text, 1, n, c->out);
	free(text);
	return EK_OK;
}

static ek_status get_trace(struct call *c, struct ek_err *err)
{
	return trace(c, false, err);
}

static ek_status delete_trace(struct call *c, struct ek_err *err)
{
	return trace(c, true, err);
}

static ek_status post_gc(struct call *c, struct ek_err *err)
{
	uint64_t removed, bytes;
	struct cli_json j;

	EK_TRY(ekd_store_gc(ekd_service_store(c->service), &removed, &bytes,
			    err));
	cli_json_start(&j, c->out);
	cli_json_open(&j, NULL, '{');
	cli_json_unsigned(&j, "removed", removed);
	cli_json_unsigned(&j, "bytes", bytes);
	cli_json_close(&j);
	return EK_OK;
}

static void tell_wrong(void *arg, const char *blob, uint32_t leaf)
{
	struct cli_json *j = arg;

	cli_json_open(j, NULL, '{');
	cli_json_text(j, "blob", blob);
	cli_json_unsigned(j, "leaf", leaf);
	cli_json_close(j);
}

static ek_status post_verify(struct call *c, struct ek_err *err)
{
	struct cli_json j;
	uint64_t wrong;
	ek_status s;

	cli_json_start(&j, c->out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "dropped", '[');
	s = ekd_store_verify(ekd_service_store(c->service), tell_wrong, &j,
			     &wrong, err);
	if (s != EK_OK)
		return s;
	cli_json_close(&j);
	cli_json_unsigned(&j, "wrong", wrong);
	cli_json_close(&j);
	return EK_OK;
}

/* One that needs the daemon: "" when there is none. */
static void note_lazy(void *arg, const struct ekd_image_info *image)
{
	char *target = arg;

	if (image->lazy || image->state != EKD_IMAGE_MOUNTED)
		snprintf(target, EKD_PATH, "%s", image->target);
}

static ek_status post_stop(struct call *c, struct ek_err *err)
{
	char target[EKD_PATH] = "";
	bool keep = false;

	EK_TRY(ekd_get_bool(&c->body, "keep", &keep, err));
	EK_TRY(ekd_object_done(&c->body, err));
	if (!keep)
		ekd_service_images(c->service, note_lazy, target);
	if (*target)
		return ek_fail(err, EK_EXISTS,
			       "%s needs the daemon: stop with --umount, "
			       "--complete or --keep",
			       target);
	EK_TRY(ekd_holder_stop(ekd_service_holder(c->service),
			       keep ? EKD_STOP_KEEP : 0, err));
	return no_content(c);
}

static const struct route {
	enum ekd_http_method method;
	const char *path;
	ek_status (*run)(struct call *c, struct ek_err *err);
} table[] = {
	{EKD_HTTP_GET, "/v1/daemon", get_daemon},
	{EKD_HTTP_GET, "/v1/images", get_images},
	{EKD_HTTP_GET, "/v1/blobs", get_blobs},
	{EKD_HTTP_GET, "/v1/hosts", get_hosts},
	{EKD_HTTP_GET, "/v1/waits", get_waits},
	{EKD_HTTP_GET, "/v1/trace", get_trace},
	{EKD_HTTP_GET, "/metrics", get_metrics},
	{EKD_HTTP_POST, "/v1/mounts", post_mounts},
	{EKD_HTTP_DELETE, "/v1/mounts", delete_mounts},
	{EKD_HTTP_POST, "/v1/remount", post_remount},
	{EKD_HTTP_POST, "/v1/complete", post_complete},
	{EKD_HTTP_POST, "/v1/prefetch", post_prefetch},
	{EKD_HTTP_POST, "/v1/trace", post_trace},
	{EKD_HTTP_DELETE, "/v1/trace", delete_trace},
	{EKD_HTTP_POST, "/v1/gc", post_gc},
	{EKD_HTTP_POST, "/v1/verify", post_verify},
	{EKD_HTTP_POST, "/v1/stop", post_stop},
};

/* The route of a request; *known: there is one with another method. */
static const struct route *find(const struct ekd_http_request *r, bool *known)
{
	*known = false;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (strcmp(table[i].path, r->path) != 0)
			continue;
		if (table[i].method == r->method)
			return &table[i];
		*known = true;
	}
	return NULL;
}

static ek_status run(const struct route *route, struct call *c,
		     const char *body, struct ek_err *err)
{
	struct ekd_json json = {0};
	ek_status s = EK_OK;

	if (c->request->body) {
		s = ekd_json_read(body, c->request->body, EKD_HTTP_BODY_MAX,
				  &json, err);
		if (s == EK_OK)
			s = ekd_object_root(&json, &c->body, err);
		if (s != EK_OK) {
			ekd_json_free(&json);
			return ek_err_prefix(err, "the body");
		}
	}
	s = route->run(c, err);
	ekd_json_free(&json);
	return s;
}

void ekd_routes_handle(void *routes, const struct ekd_http_request *request,
		       const char *body, struct ekd_api_answer *answer)
{
	struct call c = {
		.routes = routes, .request = request, .answer = answer};
	const struct route *route;
	struct ek_err err;
	ek_status s;
	bool known;

	c.service = c.routes->service;
	route = find(request, &known);
	if (!route) {
		if (known)
			ekd_answer_failure(answer, 405, "method",
					   "not with this method");
		else
			ekd_answer_failure(answer, 404, "no-such-path",
					   "the API has no such path");
		return;
	}
	c.out = open_memstream(&answer->body, &answer->n);
	if (!c.out) {
		answer->status = 500;
		return;
	}
	s = run(route, &c, body, &err);
	if (fclose(c.out) != 0 && s == EK_OK)
		s = ek_fail(&err, EK_NOMEM, "no memory for an answer");
	if (s == EK_OK)
		return;
	free(answer->body);
	answer->body = NULL;
	answer->n = 0;
	ekd_answer_failure(answer, ekd_http_status(s), ek_status_name(s),
			   err.text);
}
