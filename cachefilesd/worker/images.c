/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"

#include "cachefilesd/fetch/sha.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *ekd_image_state_name(enum ekd_image_state state)
{
	static const char *const names[] = {"mounting", "mounted", "unmounting",
					    "broken"};

	return names[state];
}

void image_id(const char *target, char id[EKD_IMAGE_ID])
{
	char sha[72];

	/* Told apart by where they are mounted: one image a target. */
	if (ekd_sha_of(target, strlen(target), sha, NULL) != EK_OK)
		text_put(sha, sizeof(sha), "sha256:none");
	snprintf(id, EKD_IMAGE_ID, "i%.16s", sha + 7);
}

struct image *image_find(struct ekd_service *s, const char *which)
{
	struct image *at;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		for (at = s->images; at; at = at->next)
			if (strcmp(at->record.target, which) == 0 ||
			    strcmp(at->id, which) == 0)
				break;
		if (!at || !image_busy(at))
			break;
		pthread_cond_wait(&s->changed, &s->lock);
	}
	if (at)
		at->users++;
	pthread_mutex_unlock(&s->lock);
	return at;
}

void image_release(struct ekd_service *s, struct image *image)
{
	pthread_mutex_lock(&s->lock);
	image->users--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void image_set(struct ekd_service *s, struct image *image,
	       enum ekd_image_state state, const char *problem)
{
	pthread_mutex_lock(&s->lock);
	image->state = state;
	snprintf(image->problem, sizeof(image->problem), "%s", problem);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void image_remove(struct ekd_service *s, struct image *image)
{
	struct image **at;

	pthread_mutex_lock(&s->lock);
	while (image->users)
		pthread_cond_wait(&s->changed, &s->lock);
	for (at = &s->images; *at != image;)
		at = &(*at)->next;
	*at = image->next;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	image_free(image);
}

static void close_blobs(struct image *image)
{
	struct blob **blobs = image->blobs ? image->blobs : image->some;

	image_complete(image, false);
	for (uint32_t i = 0; blobs && i < image->record.n_blobs; i++) {
		if (!blobs[i])
			continue;
		blob_record(blobs[i], image, NULL, NULL);
		if (image->record.blobs[i].direct)
			blob_unpin(blobs[i]);
		blob_put(blobs[i]);
	}
	free(blobs);
	image->blobs = image->some = NULL;
}

void image_complete(struct image *image, bool on)
{
	struct blob **blobs = image->blobs ? image->blobs : image->some;

	if (image->completing == on)
		return;
	image->completing = on;
	for (uint32_t i = 0; blobs && i < image->record.n_blobs; i++)
		if (blobs[i])
			blob_complete(blobs[i], on);
}

void image_drop_kept(struct image *image)
{
	while (image->n_kept) {
		struct ekd_blob *blob = image->kept[--image->n_kept];

		ekd_blob_unpin(blob);
		ekd_blob_close(blob);
	}
}

void image_free(struct image *image)
{
	image_drop_kept(image);
	close_blobs(image);
	ekd_trace_free(image->trace);
	ekd_record_free(&image->record);
	free(image);
}

ek_status image_save(struct ekd_service *s, const struct image *image,
		     struct ek_err *err)
{
	ek_status status;
	char *text;
	size_t n;
	int dir;

	EK_TRY(files_open(s, image->id, &dir, err));
	status = ekd_record_print(&image->record, &text, &n, err);
	if (status == EK_OK) {
		status = files_put(dir, "image.json", text, n, err);
		free(text);
	}
	close(dir);
	return status;
}

/* Open blob @i, with digests from the image's directory if need be. */
static ek_status open_blob(struct ekd_service *s, struct image *image,
			   uint32_t i, int dir, bool fresh, struct ek_err *err)
{
	struct ekd_record_blob *r = &image->record.blobs[i];
	struct ek_leaves *leaves;
	ek_status status = blob_get(s, r, NULL, !fresh, &image->blobs[i], err);

	if (status == EK_NOTFOUND || (fresh && status == EK_DIFFERS)) {
		EK_TRY(files_get_leaves(dir, i, r->root, &leaves, err));
		status = blob_get(s, r, leaves, !fresh, &image->blobs[i], err);
		ek_leaves_free(leaves);
	}
	if (status != EK_OK)
		return status;
	if (fresh)
		r->direct = blob_use_direct(image->blobs[i]);
	else if (r->direct)
		blob_pin(image->blobs[i]);
	if (r->packed && !r->direct) {
		blob_put(image->blobs[i]);
		image->blobs[i] = NULL;
		return ek_fail(err, EK_NOTFOUND,
			       "%s is compressed in the registry and not whole "
			       "here any more: umount and mount it again",
			       r->digest);
	}
	if (!r->direct)
		status = blob_use_door(image->blobs[i], err);
	if (status == EK_OK)
		return EK_OK;
	blob_put(image->blobs[i]);
	image->blobs[i] = NULL;
	return status;
}

ek_status image_open_blobs(struct ekd_service *s, struct image *image,
			   bool fresh, struct ek_err *err)
{
	ek_status status = EK_OK;
	struct ek_err why;
	int dir;

	/* Without one, it is told where digests are looked for. */
	files_open(s, image->id, &dir, NULL);
	image->blobs = calloc(image->record.n_blobs + 1, sizeof(struct blob *));
	if (!image->blobs)
		status = ek_fail(err, EK_NOMEM, "no memory for blobs");
	for (uint32_t i = 0; image->blobs && i < image->record.n_blobs; i++) {
		ek_status one = open_blob(s, image, i, dir, fresh, &why);

		if (one == EK_OK || status != EK_OK)
			continue;
		status = one;
		if (err)
			*err = why;
		if (fresh)
			break;
	}
	if (dir >= 0)
		close(dir);
	if (status != EK_OK && fresh) {
		close_blobs(image);
	} else if (status != EK_OK) {
		image->some = image->blobs;
		image->blobs = NULL;
	}
	return status;
}

static void put_source(const struct image *image, uint32_t blob,
		       struct ekd_source *source)
{
	const struct ekd_record_blob *r = &image->record.blobs[blob];

	source->place = r->direct ? EKD_PLACE_STORE : EKD_PLACE_DOOR;
	snprintf(source->name, sizeof(source->name), "%s", r->name);
}

/* Whether the kernel has an overlay on top of what is mounted. */
static bool has_overlay(const struct image *image)
{
	return image->record.rw || image->record.n_parts > 1;
}

static void part_id(const struct image *image, uint32_t i, char id[EKD_ID])
{
	if (has_overlay(image))
		snprintf(id, EKD_ID, "%s.%u", image->id, i);
	else
		snprintf(id, EKD_ID, "%s", image->id);
}

static ek_status mount_part(struct ekd_service *s, const struct image *image,
			    uint32_t i, struct ekd_mount *m, struct ek_err *err)
{
	const struct ekd_record_part *part = &image->record.parts[i];

	*m = (struct ekd_mount){0};
	part_id(image, i, m->id);
	if (has_overlay(image))
		m->flags |= EKD_MOUNT_LAYER;
	else
		text_put(m->target, sizeof(m->target), image->record.target);
	m->flags |= image->record.suid ? EKD_MOUNT_SUID : 0;
	m->flags |= image->record.loop ? EKD_MOUNT_LOOP : 0;
	if (part->whole) {
		put_source(image, part->primary, &m->primary);
	} else {
		m->primary.place = EKD_PLACE_STATE;
		snprintf(m->primary.name, sizeof(m->primary.name),
			 "%s/" INDEX_NAME, image->id);
	}
	m->n_devices = part->n_devices;
	for (uint32_t k = 0; k < part->n_devices; k++)
		put_source(image, part->devices[k], &m->devices[k]);
	return ekd_holder_mount(s->holder, m, err);
}

static ek_status mount_overlay(struct ekd_service *s, const struct image *image,
			       struct ek_err *err)
{
	struct ekd_overlay *o = calloc(1, sizeof(*o));
	ek_status status;

	if (!o)
		return ek_fail(err, EK_NOMEM, "no memory for an overlay");
	text_put(o->id, sizeof(o->id), image->id);
	text_put(o->target, sizeof(o->target), image->record.target);
	o->flags = image->record.rw ? EKD_OVERLAY_RW : 0;
	o->flags |= image->record.suid ? EKD_OVERLAY_SUID : 0;
	o->n_lowers = image->record.n_parts;
	for (uint32_t i = 0; i < o->n_lowers; i++)
		part_id(image, o->n_lowers - 1 - i, o->lowers[i]);
	status = ekd_holder_overlay(s->holder, o, err);
	free(o);
	return status;
}

/* Whether the holder has begun to mount something of image @id. */
struct begun {
	const char *id;
	bool any;
};

static void look(void *arg, const struct ekd_mounted *m)
{
	const char *id = m->is_overlay ? m->overlay.id : m->mount.id;
	struct begun *begun = arg;
	size_t n = strlen(begun->id);

	begun->any |= !m->alive && strncmp(id, begun->id, n) == 0 &&
		      (!id[n] || id[n] == '.');
}

static bool umount_lazily(struct ekd_service *s, const char *id)
{
	ek_status status =
		ekd_holder_umount(s->holder, id, EKD_UMOUNT_LAZY, NULL);

	return status == EK_OK || status == EK_NOTFOUND;
}

/*
 * After a failure of all, or with EK_IO maybe of its reply alone. False: some
 * may be mounted, or be yet by a child that outlives the holder.
 */
static bool undo(struct ekd_service *s, const struct image *image,
		 uint32_t done, bool lost)
{
	struct begun begun = {.id = image->id};
	bool good = true;
	char id[EKD_ID];

	if (lost && ekd_holder_mounts(s->holder, look, &begun, NULL) != EK_OK)
		return false;
	if (begun.any)
		return false;
	if (lost && has_overlay(image))
		good = umount_lazily(s, image->id);
	if (lost && done < image->record.n_parts)
		done++;
	while (good && done-- > 0) {
		part_id(image, done, id);
		good = umount_lazily(s, id);
	}
	return good || !lost;
}

ek_status image_mount(struct ekd_service *s, struct image *image,
		      struct ek_err *err)
{
	struct ekd_mount *m = malloc(sizeof(*m));
	ek_status status = EK_OK;
	uint32_t done;

	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for a mount");
	for (done = 0; done < image->record.n_parts; done++) {
		status = mount_part(s, image, done, m, err);
		if (status != EK_OK)
			break;
	}
	free(m);
	if (status == EK_OK && has_overlay(image))
		status = mount_overlay(s, image, err);
	image->lost = status != EK_OK && !undo(s, image, done, status == EK_IO);
	return status;
}

ek_status image_umount(struct ekd_service *s, const struct image *image,
		       bool lazy, struct ek_err *err)
{
	uint32_t flags = lazy ? EKD_UMOUNT_LAZY : 0;
	ek_status status;
	char id[EKD_ID];

	status = ekd_holder_umount(s->holder, image->id, flags, err);
	if (status != EK_OK && status != EK_NOTFOUND)
		return status;
	for (uint32_t i = image->record.n_parts;
	     has_overlay(image) && i-- > 0;) {
		part_id(image, i, id);
		status = ekd_holder_umount(s->holder, id, flags, err);
		if (status != EK_OK && status != EK_NOTFOUND)
			return status;
	}
	return EK_OK;
}
