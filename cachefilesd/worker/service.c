/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static void fetch_log(void *arg, const char *line)
{
	ekd_log_line(arg, EKD_LOG_INFO, line);
}

static void serve_log(void *arg, const char *line)
{
	ekd_log_line(arg, EKD_LOG_WARNING, line);
}

/* From the holder's short-lived child: no secret is read here. */
static char *credentials(void *arg, const char *host)
{
	struct ekd_service *s = arg;
	char *secret = malloc(EKD_SECRET);

	if (secret && s->holder &&
	    ekd_holder_credentials(s->holder, host, secret, NULL) == EK_OK)
		return secret;
	if (secret)
		explicit_bzero(secret, EKD_SECRET);
	free(secret);
	return NULL;
}

/* Where the kernel mounts no image from a file, nothing here is of use. */
static ek_status check_place(int dir, const char *path, struct ek_err *err)
{
	struct statfs st;

	if (fstatfs(dir, &st) < 0)
		return ek_fail_sys(err, errno, "%s", path);
	if (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC)
		return ek_fail(
			err, EK_UNSUPPORTED,
			"%s: is in memory (tmpfs), from where the kernel "
			"mounts no EROFS: state_dir must be on a disk's "
			"file system",
			path);
	return EK_OK;
}

static ek_status open_store(struct ekd_service *s, struct ek_err *err)
{
	const struct ekd_config *c = s->o.config;
	const struct ekd_store_hooks hooks = {.arg = s->o.steps,
					      .step = ekd_steps_pass};
	const struct ekd_store_options options = {
		.quota = c->quota,
		.checkpoint_bytes = c->checkpoint_bytes,
		.checkpoint_ms = (uint32_t)c->checkpoint_ms,
		.hooks = &hooks,
	};
	char path[EKD_CONFIG_PATH + 16];

	snprintf(path, sizeof(path), "%s/images", c->state_dir);
	s->images_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->images_dir < 0 && errno == EACCES)
		return ek_fail(err, EK_IO,
			       "%s: user %u cannot reach it: the directories "
			       "above must let others pass (chmod o+x)",
			       path, (unsigned)geteuid());
	if (s->images_dir < 0)
		return ek_fail_sys(err, errno, "%s", path);
	EK_TRY(check_place(s->images_dir, path, err));
	snprintf(path, sizeof(path), "%s/store", c->state_dir);
	return ekd_store_open(path, &options, &s->store, err);
}

static struct ekd_fetch_options fetch_options(const struct ekd_config *c)
{
	return (struct ekd_fetch_options){
		.connections = (uint32_t)c->connections,
		.connect_ms = (uint32_t)c->connect_ms,
		.stall_ms = (uint32_t)c->stall_ms,
		.tries = (uint32_t)c->tries,
		.plain_http = c->plain_http,
		.mirrors = c->mirrors,
		.proxy = c->proxy,
		.ca_file = c->ca_file,
		.client_cert = c->client_cert,
		.client_key = c->client_key,
	};
}

static ek_status open_fetch(struct ekd_service *s, struct ek_err *err)
{
	struct ekd_fetch_options options = fetch_options(s->o.config);

	options.credentials = credentials;
	options.credentials_arg = s;
	options.log = fetch_log;
	options.log_arg = s->o.log;
	return ekd_fetch_new(&options, &s->fetch, err);
}

ek_status ekd_service_check(const struct ekd_config *config, struct ek_err *err)
{
	const struct ekd_fetch_options options = fetch_options(config);
	struct ekd_fetch *fetch;

	EK_TRY(ekd_fetch_new(&options, &fetch, err));
	ekd_fetch_free(fetch);
	return EK_OK;
}

static ek_status open_serve(struct ekd_service *s, struct ek_err *err)
{
	const struct ekd_config *c = s->o.config;
	const struct ekd_serve_options options = {
		.deadline_ms = (uint32_t)c->deadline_ms,
		.fetch_max = (uint32_t)c->request_bytes,
		/* Less than a leaf is none; 0 would be the default. */
		.ahead_max = c->ahead_bytes ? (uint32_t)c->ahead_bytes : 1,
		.memory_max = c->memory_bytes,
		.blob_max = c->memory_bytes / 4 * 3,
		.complete_rate = c->complete_rate,
		.step = ekd_steps_pass,
		.step_arg = s->o.steps,
		.log = serve_log,
		.log_arg = s->o.log,
	};

	return ekd_serve_new(&options, &s->serve, err);
}

static ek_status open_door(struct ekd_service *s, struct ek_err *err)
{
	const struct ekd_door_hooks hooks = {
		.arg = s->o.steps,
		.read = blob_read,
		.step = ekd_steps_pass,
	};

	return ekd_door_open(&ekd_door_fuse, s->o.door_fd, s->o.kept,
			     s->o.gauge, &hooks, s->o.config->threads, &s->door,
			     err);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

ek_status ekd_service_new(const struct ekd_service_options *options,
			  struct ekd_service **service, struct ek_err *err)
{
	struct ekd_service *s = calloc(1, sizeof(*s));
	ek_status status;

	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for the service");
	s->o = *options;
	s->images_dir = -1;
	s->started_ms = now_ms();
	pthread_mutex_init(&s->change_lock, NULL);
	pthread_mutex_init(&s->blobs_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	status = open_store(s, err);
	if (status == EK_OK)
		status = open_fetch(s, err);
	if (status == EK_OK)
		status = open_serve(s, err);
	if (status == EK_OK)
		status = open_door(s, err);
	if (status == EK_OK)
		*service = s;
	else
		ekd_service_free(s);
	return status;
}

ek_status ekd_service_start(struct ekd_service *service,
			    struct ekd_holder *holder, struct ek_err *err)
{
	service->holder = holder;
	service->holder_there = true;
	EK_TRY(load_images(service, err));
	EK_TRY(ekd_door_start(service->door, err));
	return load_mount_again(service, err);
}

void ekd_service_stop(struct ekd_service *service)
{
	if (!service)
		return;
	pthread_mutex_lock(&service->lock);
	service->stopping = true;
	pthread_mutex_unlock(&service->lock);
	ekd_door_stop(service->door);
	if (service->has_mounter)
		pthread_join(service->mounter, NULL);
	service->has_mounter = false;
}

void ekd_service_free(struct ekd_service *service)
{
	struct image *image;

	if (!service)
		return;
	while ((image = service->images)) {
		service->images = image->next;
		image_free(image);
	}
	ekd_serve_free(service->serve);
	ekd_fetch_free(service->fetch);
	ekd_door_free(service->door);
	if (service->store)
		ekd_store_close(service->store);
	if (service->images_dir >= 0)
		close(service->images_dir);
	pthread_cond_destroy(&service->changed);
	pthread_mutex_destroy(&service->lock);
	pthread_mutex_destroy(&service->blobs_lock);
	pthread_mutex_destroy(&service->change_lock);
	free(service);
}

struct ekd_serve *ekd_service_serve(struct ekd_service *service)
{
	return service->serve;
}

struct ekd_store *ekd_service_store(struct ekd_service *service)
{
	return service->store;
}

struct ekd_fetch *ekd_service_fetch(struct ekd_service *service)
{
	return service->fetch;
}

struct ekd_holder *ekd_service_holder(struct ekd_service *service)
{
	return service->holder;
}

void ekd_service_holder_there(struct ekd_service *service, bool there)
{
	service->holder_there = there;
	ekd_log_event(service->o.log, there ? EKD_LOG_INFO : EKD_LOG_WARNING,
		      there ? "holder-there" : "holder-gone", NULL);
}
