/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"

#include <stdlib.h>
#include <string.h>

static void add(struct ekd_served_stats *sum, const struct ekd_served_stats *a)
{
	sum->size += a->size;
	sum->present += a->present;
	sum->reads += a->reads;
	sum->hits += a->hits;
	sum->waited += a->waited;
	sum->failed += a->failed;
	sum->asked += a->asked;
	sum->fetched += a->fetched;
	sum->demand += a->demand;
	sum->ahead += a->ahead;
	sum->prefetched += a->prefetched;
	sum->completed += a->completed;
	sum->requests += a->requests;
	sum->request_failures += a->request_failures;
	sum->joined += a->joined;
	sum->doubled += a->doubled;
	sum->wrong += a->wrong;
	sum->no_room += a->no_room;
	sum->wait_us += a->wait_us;
	if (a->wait_max_us > sum->wait_max_us)
		sum->wait_max_us = a->wait_max_us;
	sum->waiting += a->waiting;
	sum->under_way += a->under_way;
	sum->prefetch_listed += a->prefetch_listed;
	sum->prefetch_failed += a->prefetch_failed;
	sum->completing |= a->completing;
	sum->complete &= a->complete;
	if (*a->last_error)
		text_put(sum->last_error, sizeof(sum->last_error),
			 a->last_error);
}

/* Blobs of @image, which nobody changes meanwhile. */
static void tell_image(struct image *image,
		       void (*tell)(void *arg,
				    const struct ekd_image_info *info),
		       void *arg)
{
	struct ekd_image_info info = {
		.id = image->id,
		.target = image->record.target,
		.source = image->record.source,
		.from = image->record.from,
		.problem = image->problem,
		.state = image->state,
		.rw = image->record.rw,
		.persist = image->record.persist,
		.recording = image->trace != NULL,
		.sum = {.complete = true},
	};
	uint32_t n = image->blobs ? image->record.n_blobs : 0;
	struct ekd_blob_info *blobs = calloc(n + 1, sizeof(*blobs));

	for (uint32_t i = 0; blobs && i < n; i++) {
		const struct blob *blob = image->blobs[i];

		if (!blob)
			continue;
		blobs[i].name = blob->name;
		blobs[i].from = blob->from;
		blobs[i].door = !image->record.blobs[i].direct;
		ekd_served_stats(blob->served, &blobs[i].stats);
		add(&info.sum, &blobs[i].stats);
		info.lazy |= blobs[i].door;
		info.n_blobs = i + 1;
	}
	info.blobs = blobs;
	tell(arg, &info);
	free(blobs);
}

/* Of one whose blobs are being opened or closed: only its name. */
static void
tell_name(const struct image *image,
	  void (*tell)(void *arg, const struct ekd_image_info *info), void *arg)
{
	const struct ekd_image_info info = {
		.id = image->id,
		.target = image->record.target,
		.source = image->record.source,
		.from = "",
		.problem = "",
		.state = image->state,
		.rw = image->record.rw,
		.persist = image->record.persist,
	};

	tell(arg, &info);
}

void ekd_service_images(struct ekd_service *service,
			void (*tell)(void *arg,
				     const struct ekd_image_info *image),
			void *arg)
{
	pthread_mutex_lock(&service->lock);
	for (struct image *i = service->images; i; i = i->next)
		if (i->state == EKD_IMAGE_MOUNTED ||
		    i->state == EKD_IMAGE_BROKEN)
			tell_image(i, tell, arg);
		else
			tell_name(i, tell, arg);
	pthread_mutex_unlock(&service->lock);
}

static void count(void *arg, const struct ekd_image_info *image)
{
	struct ekd_service_status *status = arg;

	status->images++;
	status->lazy_images += image->lazy;
}

void ekd_service_status(struct ekd_service *service,
			struct ekd_service_status *status)
{
	*status = (struct ekd_service_status){
		.holder = service->holder_there,
		.resend = service->o.kept->resend,
		.door_broken = ekd_door_broken(service->door),
		.started_ms = service->started_ms,
	};
	ekd_service_images(service, count, status);
	ekd_door_stats(service->door, &status->door);
	ekd_store_stats(service->store, &status->store);
	ekd_serve_stats(service->serve, &status->serve);
	ekd_fetch_stats(service->fetch, &status->fetch);
}
