/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes before somebody reads them: completion, prefetch, traces. */

#include "cachefilesd/worker/priv.h"

#include "cachefilesd/serve/trace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A mounted image, held; NULL with a failure. */
static struct image *get(struct ekd_service *s, const char *which,
			 struct ek_err *err)
{
	struct image *image = image_find(s, which);

	if (!image) {
		ek_fail(err, EK_NOTFOUND, "%s: no image of this daemon", which);
		return NULL;
	}
	if (image->blobs)
		return image;
	ek_fail(err, EK_INVALID, "%s: broken: %s", which, image->problem);
	image_release(s, image);
	return NULL;
}

ek_status ekd_service_complete(struct ekd_service *service, const char *which,
			       bool on, struct ek_err *err)
{
	struct image *image = get(service, which, err);
	ek_status status = EK_OK;
	bool change;

	if (!image)
		return err->status;
	pthread_mutex_lock(&service->change_lock);
	pthread_mutex_lock(&service->lock);
	change = image->record.complete != on;
	image->record.complete = on;
	pthread_mutex_unlock(&service->lock);
	if (change) {
		image_complete(image, on);
		status = image_save(service, image, err);
	}
	/* It may have been given up since it was asked for. */
	for (uint32_t i = 0; on && i < image->record.n_blobs; i++)
		ekd_served_complete(image->blobs[i]->served, true);
	pthread_mutex_unlock(&service->change_lock);
	image_release(service, image);
	return status;
}

static struct ekd_served *served_of(const struct image *image,
				    const struct ekd_trace_blob *want)
{
	for (uint32_t i = 0; i < image->record.n_blobs; i++)
		if (strcmp(image->blobs[i]->name, want->name) == 0 &&
		    image->blobs[i]->size == want->size)
			return image->blobs[i]->served;
	return NULL;
}

static ek_status replay(const struct image *image,
			const struct ekd_trace_file *file, uint64_t *bytes,
			struct ek_err *err)
{
	for (uint32_t i = 0; i < file->n_ranges; i++) {
		const struct ekd_trace_range *r = &file->ranges[i];
		struct ekd_served *served =
			served_of(image, &file->blobs[r->blob]);
		ek_status status;

		/* A trace of more images than this one is no error. */
		if (!served)
			continue;
		status = ekd_served_prefetch(served, r->offset, r->n, err);
		/* What was touched first counts most: the rest is left out. */
		if (status == EK_LIMIT)
			return EK_OK;
		if (status != EK_OK)
			return status;
		*bytes += r->n;
	}
	return EK_OK;
}

static ek_status prefetch_trace(struct ekd_service *s,
				const struct image *image, const char *path,
				uint64_t *bytes, struct ek_err *err)
{
	struct ekd_trace_file file;
	ek_status status;
	char *text;
	size_t n;
	int fd;

	EK_TRY(ekd_holder_open_local(s->holder, path, &fd, err));
	status = files_read(fd, path, EKD_TRACE_MAX, &text, &n, err);
	close(fd);
	if (status != EK_OK)
		return status;
	status = ekd_trace_parse(text, n, &file, err);
	free(text);
	if (status != EK_OK)
		return ek_err_prefix(err, "%s", path);
	status = replay(image, &file, bytes, err);
	ekd_trace_forget(&file);
	if (status == EK_OK && !*bytes)
		return ek_fail(err, EK_NOTFOUND,
			       "%s: no blob of it belongs to this image", path);
	return status;
}

ek_status ekd_service_prefetch(struct ekd_service *service, const char *which,
			       const char *trace, const char *const *paths,
			       uint64_t *bytes, struct ek_err *err)
{
	struct image *image = get(service, which, err);
	ek_status status = EK_OK;

	*bytes = 0;
	if (!image)
		return err->status;
	if (trace)
		status = prefetch_trace(service, image, trace, bytes, err);
	for (; status == EK_OK && paths && *paths; paths++)
		status = prefetch_path(service, image, *paths, bytes, err);
	image_release(service, image);
	return status;
}

/* Those of @image up to @n record to nothing any more. */
static void record_off(const struct image *image, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		blob_record(image->blobs[i], image, NULL, NULL);
}

/* change_lock is held; those who only ask whether there is one hold @lock. */
static void set_trace(struct ekd_service *s, struct image *image,
		      struct ekd_trace *trace)
{
	pthread_mutex_lock(&s->lock);
	image->trace = trace;
	pthread_mutex_unlock(&s->lock);
}

/* change_lock is held. */
static ek_status start_trace(struct ekd_service *s, struct image *image,
			     const char *which, struct ek_err *err)
{
	ek_status status = EK_OK;
	struct ekd_trace *trace;
	uint32_t n;

	if (image->trace)
		return ek_fail(err, EK_EXISTS, "%s: is recorded now", which);
	EK_TRY(ekd_trace_new(&trace, err));
	for (n = 0; status == EK_OK && n < image->record.n_blobs; n++)
		status = blob_record(image->blobs[n], image, trace, err);
	if (status == EK_OK) {
		set_trace(s, image, trace);
		return EK_OK;
	}
	record_off(image, n);
	ekd_trace_free(trace);
	return status;
}

ek_status ekd_service_record(struct ekd_service *service, const char *which,
			     struct ek_err *err)
{
	struct image *image = get(service, which, err);
	ek_status status;

	if (!image)
		return err->status;
	pthread_mutex_lock(&service->change_lock);
	status = start_trace(service, image, which, err);
	pthread_mutex_unlock(&service->change_lock);
	image_release(service, image);
	return status;
}

ek_status ekd_service_trace(struct ekd_service *service, const char *which,
			    bool stop, char **text, size_t *n,
			    struct ek_err *err)
{
	struct image *image = get(service, which, err);
	ek_status status;

	if (!image)
		return err->status;
	/* Neither freed nor replaced while somebody reads it. */
	pthread_mutex_lock(&service->change_lock);
	if (image->trace)
		status = ekd_trace_text(image->trace, text, n, err);
	else
		status =
			ek_fail(err, EK_NOTFOUND, "%s: is not recorded", which);
	if (status == EK_OK && stop) {
		record_off(image, image->record.n_blobs);
		ekd_trace_free(image->trace);
		set_trace(service, image, NULL);
	}
	pthread_mutex_unlock(&service->change_lock);
	image_release(service, image);
	return status;
}
