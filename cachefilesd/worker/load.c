/* SPDX-License-Identifier: Apache-2.0 */

/*
 * After a start: what is mounted is served again before the door reads, what
 * is to be mounted anew is mounted after, and what is left of images that
 * were not mounted goes.
 */

#include "cachefilesd/worker/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ids of what the kernel has. */
struct mounts {
	size_t n;
	char (*ids)[EKD_ID];
	bool failed;
};

static void note(void *arg, const struct ekd_mounted *m)
{
	struct mounts *mounts = arg;
	char(*ids)[EKD_ID];

	if (!m->alive)
		return;
	ids = reallocarray(mounts->ids, mounts->n + 1, sizeof(*ids));
	if (!ids) {
		mounts->failed = true;
		return;
	}
	mounts->ids = ids;
	text_put(ids[mounts->n++], EKD_ID,
		 m->is_overlay ? m->overlay.id : m->mount.id);
}

static bool is_mounted(const struct mounts *mounts, const char *id)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (strcmp(mounts->ids[i], id) == 0)
			return true;
	return false;
}

static ek_status read_record(struct ekd_service *s, struct image *image,
			     struct ek_err *err)
{
	ek_status status;
	char *bytes;
	size_t n;
	int dir;

	EK_TRY(files_open(s, image->id, &dir, err));
	status = files_get(dir, "image.json", EKD_RECORD_MAX, &bytes, &n, err);
	close(dir);
	if (status != EK_OK)
		return status;
	status = ekd_record_parse(bytes, n, &image->record, err);
	free(bytes);
	return status;
}

static void complain(struct ekd_service *s, struct image *image,
		     const struct ek_err *err)
{
	image->state = EKD_IMAGE_BROKEN;
	snprintf(image->problem, sizeof(image->problem), "%.255s", err->text);
	ekd_log_event(s->o.log, EKD_LOG_ERROR, "image-broken", "image",
		      image->id, "target", image->record.target, "why",
		      err->text, NULL);
}

/* What is direct but not whole has readers that see holes: make it whole. */
static void mend(struct ekd_service *s, struct image *image)
{
	struct blob **blobs = image->blobs ? image->blobs : image->some;

	for (uint32_t i = 0; blobs && i < image->record.n_blobs; i++) {
		struct blob *blob = blobs[i];

		if (!blob || !image->record.blobs[i].direct ||
		    ekd_blob_complete(blob->stored))
			continue;
		ekd_log_event(s->o.log, EKD_LOG_ERROR, "blob-incomplete",
			      "blob", blob->name, "image", image->id, NULL);
		blob_complete(blob, true);
	}
}

static ek_status load_one(struct ekd_service *s, const char *id, bool mounted,
			  struct ek_err *err)
{
	struct image *image = calloc(1, sizeof(*image));
	struct ek_err why;
	ek_status status;

	if (!image)
		return ek_fail(err, EK_NOMEM, "no memory for an image");
	text_put(image->id, sizeof(image->id), id);
	status = read_record(s, image, &why);
	if (!mounted && (status != EK_OK || !image->record.persist)) {
		image_free(image);
		files_remove(s, id);
		return EK_OK;
	}
	image->state = mounted ? EKD_IMAGE_MOUNTED : EKD_IMAGE_MOUNTING;
	if (status == EK_OK)
		status = image_open_blobs(s, image, !mounted, &why);
	if (status != EK_OK)
		complain(s, image, &why);
	image->next = s->images;
	s->images = image;
	return EK_OK;
}

static void *mount_again(void *arg)
{
	struct ekd_service *s = arg;
	struct image *image;
	struct ek_err err;
	ek_status status;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		for (image = s->images; image && !s->stopping;
		     image = image->next)
			if (image->state == EKD_IMAGE_MOUNTING && image->again)
				break;
		if (s->stopping)
			image = NULL;
		pthread_mutex_unlock(&s->lock);
		if (!image)
			return NULL;
		image->again = false;
		status = image_mount(s, image, &err);
		if (status == EK_OK) {
			image_set(s, image, EKD_IMAGE_MOUNTED, "");
			ekd_log_event(s->o.log, EKD_LOG_INFO, "mounted-again",
				      "image", image->id, "target",
				      image->record.target, NULL);
			continue;
		}
		image_set(s, image, EKD_IMAGE_BROKEN, err.text);
		ekd_log_event(s->o.log, EKD_LOG_ERROR, "image-broken", "image",
			      image->id, "target", image->record.target, "why",
			      err.text, NULL);
	}
}

/* All images of which is_mounted() is @mounted. */
static ek_status load_those(struct ekd_service *s, const struct mounts *mounts,
			    bool mounted, struct ek_err *err)
{
	int fd = openat(s->images_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	ek_status status = EK_OK;

	if (!dir) {
		ek_fail_sys(err, errno, "images");
		if (fd >= 0)
			close(fd);
		return EK_IO;
	}
	while (status == EK_OK && (entry = readdir(dir)))
		if (*entry->d_name != '.' &&
		    strlen(entry->d_name) < EKD_IMAGE_ID &&
		    is_mounted(mounts, entry->d_name) == mounted)
			status = load_one(s, entry->d_name, mounted, err);
	closedir(dir);
	return status;
}

/*
 * What kernels read is open and pinned before anything is fetched, for what is
 * fetched may push out what nobody has open.
 */
static ek_status load_all(struct ekd_service *s, const struct mounts *mounts,
			  struct ek_err *err)
{
	EK_TRY(load_those(s, mounts, true, err));
	EK_TRY(load_those(s, mounts, false, err));
	for (struct image *i = s->images; i; i = i->next) {
		if (i->record.complete)
			image_complete(i, true);
		if (is_mounted(mounts, i->id))
			mend(s, i);
	}
	return EK_OK;
}

static bool has_image(const struct ekd_service *s, const char *id)
{
	size_t n = strcspn(id, ".");

	for (const struct image *i = s->images; i; i = i->next)
		if (strncmp(i->id, id, n) == 0 && !i->id[n])
			return true;
	return false;
}

/*
 * What is mounted of images that nobody knows: a predecessor died while it was
 * asked for, and it became alive since we looked. It can be served no more.
 * Overlays are asked for first, for what is beneath one may not go.
 */
static void drop_unknown(struct ekd_service *s)
{
	struct mounts mounts = {0};
	struct ek_err err;

	if (ekd_holder_mounts(s->holder, note, &mounts, NULL) != EK_OK)
		mounts.n = 0;
	for (int parts = 0; parts < 2; parts++) {
		for (size_t i = 0; i < mounts.n; i++) {
			const char *id = mounts.ids[i];

			if (has_image(s, id) || !strchr(id, '.') != !parts)
				continue;
			if (ekd_holder_umount(s->holder, id, EKD_UMOUNT_LAZY,
					      &err) == EK_OK)
				text_put(err.text, sizeof(err.text), "");
			ekd_log_event(s->o.log, EKD_LOG_WARNING,
				      "unknown-mount", "id", id, "problem",
				      err.text, NULL);
		}
	}
	free(mounts.ids);
}

ek_status load_images(struct ekd_service *s, struct ek_err *err)
{
	struct mounts mounts = {0};
	ek_status status;

	status = ekd_holder_mounts(s->holder, note, &mounts, err);
	if (status == EK_OK && mounts.failed)
		status = ek_fail(err, EK_NOMEM, "no memory for mounts");
	if (status == EK_OK)
		status = load_all(s, &mounts, err);
	if (status == EK_OK)
		drop_unknown(s);
	free(mounts.ids);
	return status;
}

ek_status load_mount_again(struct ekd_service *s, struct ek_err *err)
{
	bool any = false;
	int sys;

	for (struct image *i = s->images; i; i = i->next) {
		i->again = i->state == EKD_IMAGE_MOUNTING;
		any |= i->again;
	}
	if (!any)
		return EK_OK;
	sys = pthread_create(&s->mounter, NULL, mount_again, s);
	if (sys)
		return ek_fail_sys(err, sys, "cannot start a thread");
	s->has_mounter = true;
	return EK_OK;
}
