/* SPDX-License-Identifier: Apache-2.0 */

/* The worker: what the holder starts, without any privilege. */

#include "base/try.h"
#include "cachefilesd/api/routes.h"
#include "cachefilesd/api/server.h"
#include "cachefilesd/verbs.h"
#include "cachefilesd/worker/boot.h"
#include "cachefilesd/worker/service.h"
#include "cli/message.h"

#include <erofskit/source.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct work {
	struct ekd_boot boot;
	struct ekd_config config;
	struct ekd_steps steps;
	struct ekd_log *log;
	struct ekd_service *service;
	struct ekd_holder *holder;
	struct ekd_api *api;
	struct ekd_routes routes;

	pthread_mutex_t lock;
	pthread_cond_t over;
	const char *why; /* the process is to end; NULL: not yet */
};

/* The configuration in memfd @fd. */
static ek_status read_config(int fd, struct ekd_config *config,
			     struct ek_err *err)
{
	struct stat st;
	char *text;
	ek_status s;

	if (fstat(fd, &st) < 0)
		return ek_fail_sys(err, errno, "configuration");
	if (st.st_size > EKD_CONFIG_MAX)
		return ek_fail(err, EK_LIMIT, "the configuration is too long");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return ek_fail(err, EK_NOMEM, "no memory");
	if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		s = ek_fail_sys(err, EIO, "configuration");
	else
		s = ekd_config_parse(text, (size_t)st.st_size, config, err);
	free(text);
	return s;
}

static void end(struct work *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	w->why = why;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
}

static void on_conn(void *arg, uint64_t id, int fd)
{
	struct work *w = arg;

	ekd_api_adopt(w->api, id, fd, NULL);
}

/*
 * A new configuration: the holder has it, so a successor comes up with it and
 * takes over what is under way. Where the kernel cannot deliver again, that
 * would cost readers an error: there only the log's part is taken.
 */
static void on_config(void *arg, int fd)
{
	struct work *w = arg;
	struct ekd_config now;
	const char *key;
	struct ek_err err;
	ek_status s = read_config(fd, &now, &err);

	close(fd);
	if (s == EK_OK) {
		s = ekd_service_check(&now, &err);
		if (s != EK_OK)
			ekd_config_release(&now);
	}
	if (s != EK_OK) {
		ekd_log_event(w->log, EKD_LOG_ERROR, "config-refused", "why",
			      err.text, NULL);
		return;
	}
	ekd_log_set(w->log, now.log_level, now.log_json);
	if (!ekd_config_fits(&w->config, &now, &key))
		ekd_log_event(w->log, EKD_LOG_WARNING,
			      "config-needs-new-holder", "key", key, NULL);
	if (ekd_shared_door(w->boot.shared)->resend)
		end(w, "config");
	else
		ekd_log_event(w->log, EKD_LOG_WARNING, "config-in-part", "why",
			      "this kernel cannot deliver requests again",
			      NULL);
	ekd_config_release(&now);
}

static void on_stop(void *arg)
{
	end(arg, "stop");
}

static void on_present(void *arg, bool there)
{
	ekd_service_holder_there(((struct work *)arg)->service, there);
}

static void keep_conn(void *arg, uint64_t id, int fd)
{
	ekd_holder_keep_conn(((struct work *)arg)->holder, id, fd, NULL);
}

static void drop_conn(void *arg, uint64_t id)
{
	ekd_holder_drop_conn(((struct work *)arg)->holder, id, NULL);
}

static void handle(void *arg, const struct ekd_http_request *request,
		   const char *body, struct ekd_api_answer *answer)
{
	ekd_routes_handle(&((struct work *)arg)->routes, request, body, answer);
}

static void step(void *arg, const char *name)
{
	ekd_steps_pass(&((struct work *)arg)->steps, name);
}

/* What is no other process's, before or after: the time in nanoseconds. */
static uint64_t first_id(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static ek_status make_parts(struct work *w, struct ek_err *err)
{
	const struct ekd_service_options service = {
		.config = &w->config,
		.log = w->log,
		.steps = &w->steps,
		.door_fd = w->boot.fds.door,
		.kept = ekd_shared_door(w->boot.shared),
		.gauge = ekd_shared_gauge(w->boot.shared),
	};
	const struct ekd_api_options api = {
		.listener = w->boot.fds.api,
		.first_id = first_id(),
		.handle = handle,
		.keep = keep_conn,
		.drop = drop_conn,
		.arg = w,
	};

	EK_TRY(ekd_service_new(&service, &w->service, err));
	w->routes = (struct ekd_routes){w->service, w->boot.generation, "fuse"};
	return ekd_api_new(&api, &w->api, err);
}

static ek_status start(struct work *w, struct ek_err *err)
{
	const struct ekd_holder_hooks hooks = {
		.arg = w,
		.conn = on_conn,
		.config = on_config,
		.stop = on_stop,
		.present = on_present,
		.step = step,
	};

	EK_TRY(ekd_boot_check(err));
	EK_TRY(make_parts(w, err));
	EK_TRY(ekd_boot_seccomp(&w->boot, err));
	EK_TRY(ekd_holder_connect(&w->boot.fds, w->boot.shared, &hooks,
				  &w->holder, err));
	EK_TRY(ekd_boot_heartbeat(&w->boot, err));
	EK_TRY(ekd_service_start(w->service, w->holder, err));
	EK_TRY(ekd_holder_ready(w->holder, err));
	return ekd_api_start(w->api, err);
}

static ek_status prepare(struct work *w, struct ek_err *err)
{
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->over, NULL);
	w->boot.step = step;
	w->boot.arg = w;
	EK_TRY(ekd_steps_set(&w->steps, getenv("EKD_KILL"), err));
	EK_TRY(ekd_log_new(STDERR_FILENO, "worker", &w->log, err));
	EK_TRY(ekd_boot_adopt(&w->boot, err));
	EK_TRY(read_config(w->boot.config, &w->config, err));
	ekd_log_set(w->log, w->config.log_level, w->config.log_json);
	return EK_OK;
}

/*
 * No taking apart: the kernel has the requests, the holder the descriptors,
 * the store what is on disk. Readers would only wait longer.
 */
static _Noreturn void leave(struct work *w)
{
	struct ek_err err;

	ekd_service_stop(w->service);
	if (ekd_store_checkpoint(ekd_service_store(w->service), &err) != EK_OK)
		ekd_log_event(w->log, EKD_LOG_WARNING, "checkpoint-failed",
			      "why", err.text, NULL);
	ekd_log_event(w->log, EKD_LOG_INFO, "worker-ends", "why", w->why, NULL);
	_exit(EKD_OK);
}

int ekd_work(void)
{
	struct work *w = calloc(1, sizeof(*w));
	struct ek_err err;
	ek_status s;

	if (!w)
		return EKD_FAILED;
	s = prepare(w, &err);
	if (s == EK_OK)
		s = start(w, &err);
	if (s != EK_OK) {
		if (w->log && w->boot.shared)
			ekd_log_event(w->log, EKD_LOG_ERROR, "worker-failed",
				      "why", err.text, NULL);
		else
			cli_error("%s", err.text);
		_exit(EKD_FAILED);
	}
	ekd_log_event(w->log, EKD_LOG_INFO, "worker-serves", NULL);
	pthread_mutex_lock(&w->lock);
	while (!w->why)
		pthread_cond_wait(&w->over, &w->lock);
	pthread_mutex_unlock(&w->lock);
	leave(w);
}
