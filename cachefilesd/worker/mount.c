/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const ekd_service_steps[] = {
	"image:prepared",  "image:recorded", "image:mounted",
	"image:unmounted", "image:removed",  NULL,
};

static ek_status check_request(const struct ekd_mount_request *r,
			       struct ek_err *err)
{
	if (!r->target || *r->target != '/' || strlen(r->target) >= EKD_PATH)
		return ek_fail(err, EK_INVALID,
			       "the target is not an absolute path of less "
			       "than %u bytes",
			       EKD_PATH);
	if (!r->index == !r->image)
		return ek_fail(err, EK_INVALID,
			       "needs an index or an image, not both");
	if (r->index && *r->index != '/')
		return ek_fail(err, EK_INVALID,
			       "the index is not an absolute path");
	if (r->image && (r->from || r->index_digest))
		return ek_fail(err, EK_INVALID,
			       "from and index_digest are for an index");
	if (r->index && r->platform)
		return ek_fail(err, EK_INVALID, "platform is for an image");
	if (strlen(r->index ? r->index : r->image) >= EKD_SOURCE_TEXT / 2 ||
	    (r->from && strlen(r->from) >= EKD_SOURCE_TEXT))
		return ek_fail(err, EK_LIMIT, "a name is too long");
	return EK_OK;
}

/* "host/repo@sha256:HEX" or "host/repo:tag" of @text, in one form. */
static ek_status put_from(const char *text, char to[EKD_SOURCE_TEXT],
			  struct ek_err *err)
{
	struct ekd_reference ref;

	EK_TRY(ekd_reference_parse(text, &ref, err));
	snprintf(to, EKD_SOURCE_TEXT, "%s/%s%s%s", ref.host, ref.repo,
		 *ref.digest ? "@" : ":", *ref.digest ? ref.digest : ref.tag);
	return EK_OK;
}

static ek_status fill(struct image *image, const struct ekd_mount_request *r,
		      struct ek_err *err)
{
	struct ekd_record *record = &image->record;

	image_id(r->target, image->id);
	text_put(record->target, sizeof(record->target), r->target);
	text_put(record->source, sizeof(record->source),
		 r->index ? r->index : r->image);
	if (r->from)
		EK_TRY(put_from(r->from, record->from, err));
	if (r->image)
		EK_TRY(put_from(r->image, record->from, err));
	record->rw = r->rw;
	record->persist = r->persist;
	record->suid = r->suid;
	record->complete = r->complete;
	record->loop = r->loop;
	image->state = EKD_IMAGE_MOUNTING;
	return EK_OK;
}

/*
 * Asked for once more: the same of the same. Where an image of a registry is
 * from follows from its source; what is mounted has the digest in it by now.
 */
static bool is_same(const struct image *a, const struct image *b)
{
	const struct ekd_record *r = &a->record, *q = &b->record;

	return strcmp(r->source, q->source) == 0 &&
	       (*r->source != '/' || strcmp(r->from, q->from) == 0) &&
	       r->rw == q->rw && r->persist == q->persist &&
	       r->suid == q->suid && r->loop == q->loop;
}

/*
 * List @image, or take over what is at its target: *again then, when that is
 * what was asked for and is mounted.
 */
static ek_status enter(struct ekd_service *s, struct image *image, bool *again,
		       struct ek_err *err)
{
	ek_status status = EK_OK;
	struct image *at;

	*again = false;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		for (at = s->images; at; at = at->next)
			if (strcmp(at->id, image->id) == 0)
				break;
		if (!at || !image_busy(at))
			break;
		pthread_cond_wait(&s->changed, &s->lock);
	}
	if (at && at->state == EKD_IMAGE_MOUNTED && is_same(at, image))
		*again = true;
	else if (at)
		status = ek_fail(err, EK_EXISTS,
				 "%s: %s is mounted there%s; umount it first",
				 image->record.target, at->record.source,
				 at->state == EKD_IMAGE_BROKEN ? " (broken)"
							       : "");
	else {
		image->next = s->images;
		s->images = image;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* Lazy metadata is looked at too: what it needs is fetched by that. */
static ek_status check_parts(struct image *image, struct ek_err *err)
{
	for (uint32_t i = 0; i < image->record.n_parts; i++) {
		const struct ekd_record_part *part = &image->record.parts[i];
		struct ek_source *src;
		struct blob *blob;
		ek_status status;

		if (!part->whole)
			continue;
		blob = image->blobs[part->primary];
		EK_TRY(source_of_blob(blob, &src, err));
		status = check_metadata(src, NULL, 0, blob->name, err);
		ek_source_free(src);
		if (status != EK_OK)
			return status;
	}
	return EK_OK;
}

static ek_status bring_up(struct ekd_service *s,
			  const struct ekd_mount_request *r,
			  struct image *image, struct ek_err *err)
{
	ek_status status;
	int dir;

	EK_TRY(files_make(s, image->id, &dir, err));
	status = r->index ? prepare_index(s, r, image, dir, err)
			  : prepare_native(s, r, image, dir, err);
	close(dir);
	if (status == EK_OK)
		status = image_open_blobs(s, image, true, err);
	image_drop_kept(image);
	if (status == EK_OK)
		image_complete(image, image->record.complete);
	if (status == EK_OK)
		status = check_parts(image, err);
	ekd_steps_pass(s->o.steps, "image:prepared");
	/* Before the kernel has it: else a successor would not know it. */
	if (status == EK_OK)
		status = image_save(s, image, err);
	if (status != EK_OK)
		return status;
	ekd_steps_pass(s->o.steps, "image:recorded");
	status = image_mount(s, image, err);
	ekd_steps_pass(s->o.steps, "image:mounted");
	return status;
}

ek_status ekd_service_mount(struct ekd_service *service,
			    const struct ekd_mount_request *request,
			    char id[EKD_IMAGE_ID], struct ek_err *err)
{
	struct image *image = NULL;
	bool again;
	ek_status status;

	EK_TRY(check_request(request, err));
	image = calloc(1, sizeof(*image));
	if (!image)
		return ek_fail(err, EK_NOMEM, "no memory for an image");
	status = fill(image, request, err);
	if (status == EK_OK)
		status = enter(service, image, &again, err);
	text_put(id, EKD_IMAGE_ID, image->id);
	if (status != EK_OK || again) {
		image_free(image);
		return status;
	}
	status = bring_up(service, request, image, err);
	if (status == EK_OK) {
		ekd_log_event(service->o.log, EKD_LOG_INFO, "mounted", "image",
			      id, "target", request->target, "source",
			      image->record.source, NULL);
		image_set(service, image, EKD_IMAGE_MOUNTED, "");
		return EK_OK;
	}
	ekd_log_event(service->o.log, EKD_LOG_WARNING, "mount-failed", "target",
		      request->target, "why", err->text, NULL);
	if (image->lost) {
		image_set(service, image, EKD_IMAGE_BROKEN,
			  "the holder died while it was mounted: umount it");
		return status;
	}
	files_remove(service, id);
	image_remove(service, image);
	return status;
}

/*
 * From mounted or broken (*was) to unmounting, when nobody looks at it any
 * more; NULL with EK_NOTFOUND or EK_EXISTS. The problem stays as it was.
 */
static struct image *begin_umount(struct ekd_service *s, const char *which,
				  enum ekd_image_state *was, struct ek_err *err)
{
	struct image *image = image_find(s, which);

	if (!image) {
		ek_fail(err, EK_NOTFOUND, "%s: no image of this daemon", which);
		return NULL;
	}
	pthread_mutex_lock(&s->lock);
	image->users--;
	if (image_busy(image)) {
		image = NULL;
		ek_fail(err, EK_EXISTS, "%s: something is being done with it",
			which);
	} else {
		*was = image->state;
		image->state = EKD_IMAGE_UNMOUNTING;
	}
	pthread_cond_broadcast(&s->changed);
	while (image && image->users)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return image;
}

/* It failed: all is as before. */
static void end_umount(struct ekd_service *s, struct image *image,
		       enum ekd_image_state was)
{
	pthread_mutex_lock(&s->lock);
	image->state = was;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

ek_status ekd_service_umount(struct ekd_service *service, const char *which,
			     bool lazy, struct ek_err *err)
{
	enum ekd_image_state was;
	struct image *image = begin_umount(service, which, &was, err);
	ek_status status;

	if (!image)
		return err->status;
	status = image_umount(service, image, lazy, err);
	if (status != EK_OK) {
		end_umount(service, image, was);
		return status;
	}
	ekd_steps_pass(service->o.steps, "image:unmounted");
	ekd_log_event(service->o.log, EKD_LOG_INFO, "unmounted", "image",
		      image->id, "target", image->record.target, NULL);
	files_remove(service, image->id);
	ekd_steps_pass(service->o.steps, "image:removed");
	image_remove(service, image);
	return EK_OK;
}

/* What is complete by now needs the door no longer. */
static ek_status go_direct(struct ekd_service *s, struct image *image,
			   struct ek_err *err)
{
	for (uint32_t i = 0; image->blobs && i < image->record.n_blobs; i++) {
		struct ekd_record_blob *r = &image->record.blobs[i];

		if (!r->direct)
			r->direct = blob_use_direct(image->blobs[i]);
	}
	return image_save(s, image, err);
}

ek_status ekd_service_remount(struct ekd_service *service, const char *which,
			      struct ek_err *err)
{
	enum ekd_image_state was;
	struct image *image = begin_umount(service, which, &was, err);
	ek_status status;

	if (!image)
		return err->status;
	status = image->blobs ? image_umount(service, image, false, err)
			      : ek_fail(err, EK_INVALID, "%s: broken: %s",
					which, image->problem);
	if (status != EK_OK) {
		end_umount(service, image, was);
		return status;
	}
	status = go_direct(service, image, err);
	if (status == EK_OK)
		status = image_mount(service, image, err);
	image_set(service, image,
		  status == EK_OK ? EKD_IMAGE_MOUNTED : EKD_IMAGE_BROKEN,
		  status == EK_OK ? "" : err->text);
	return status;
}
