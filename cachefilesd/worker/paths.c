/* SPDX-License-Identifier: Apache-2.0 */

/* Which bytes of which blobs are the data of a file, or of a directory. */

#include "cachefilesd/worker/priv.h"

#include <erofskit/image.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories inside each other, inodes looked at, in one call. */
#define DEPTH  256
#define INODES 1000000

struct walk {
	const struct image *image;
	const struct ekd_record_part *part;
	struct ek_image *fs;
	uint64_t *bytes;
	unsigned depth;
	uint32_t inodes;
};

static ek_status extent(struct walk *w, const struct ek_extent *e,
			struct ek_err *err)
{
	struct ekd_served *served = NULL;

	/* Inline data and fragments lie with the metadata. */
	if (!(e->flags & EK_EXTENT_MAPPED) ||
	    e->flags & (EK_EXTENT_INLINE | EK_EXTENT_FRAGMENT))
		return EK_OK;
	if (e->device == 0 && w->part->whole)
		served = w->image->blobs[w->part->primary]->served;
	else if (e->device > 0 && e->device <= w->part->n_devices)
		served = w->image->blobs[w->part->devices[e->device - 1]]
				 ->served;
	if (!served)
		return EK_OK;
	*w->bytes += e->physical_length;
	return ekd_served_prefetch(served, e->physical, e->physical_length,
				   err);
}

static ek_status node(struct walk *w, uint64_t nid, struct ek_err *err);

static ek_status entry(void *arg, const struct ek_dirent *e, struct ek_err *err)
{
	if ((e->name_len == 1 && e->name[0] == '.') ||
	    (e->name_len == 2 && memcmp(e->name, "..", 2) == 0))
		return EK_OK;
	return node(arg, e->nid, err);
}

static ek_status node(struct walk *w, uint64_t nid, struct ek_err *err)
{
	struct ek_extent e;
	struct ek_node n;
	ek_status s;

	if (w->depth == DEPTH || ++w->inodes > INODES)
		return ek_fail(err, EK_LIMIT, "too many files in one call");
	EK_TRY(ek_image_node(w->fs, nid, &n, err));
	if (S_ISDIR(n.mode)) {
		w->depth++;
		s = ek_image_readdir(w->fs, &n, entry, w, err);
		w->depth--;
		return s;
	}
	if (!S_ISREG(n.mode))
		return EK_OK;
	for (uint64_t at = 0; at < n.size;) {
		EK_TRY(ek_image_map(w->fs, &n, at, &e, err));
		EK_TRY(extent(w, &e, err));
		at = e.logical + e.logical_length;
	}
	return EK_OK;
}

static ek_status walk_part(struct walk *w, struct ek_source *src,
			   const char *path, bool *found, struct ek_err *err)
{
	struct ek_source *devices[EKD_DEVICES];
	const struct ek_image_options options = {
		.size = sizeof(options),
		.devices = devices,
		.n_devices = w->part->n_devices,
	};
	struct ek_node n;
	ek_status s = EK_OK;
	uint32_t made = 0;

	while (s == EK_OK && made < w->part->n_devices) {
		s = source_of_blob(w->image->blobs[w->part->devices[made]],
				   &devices[made], err);
		made += s == EK_OK;
	}
	if (s == EK_OK)
		s = ek_image_open(src, &options, &w->fs, err);
	if (s == EK_OK) {
		s = ek_image_lookup(w->fs, path, &n, err);
		*found |= s == EK_OK;
		if (s == EK_OK)
			s = node(w, n.nid, err);
		else if (s == EK_NOTFOUND)
			s = EK_OK;
		ek_image_free(w->fs);
	}
	while (made-- > 0)
		ek_source_free(devices[made]);
	return s;
}

static ek_status open_part(struct ekd_service *s, const struct walk *w, int *fd,
			   struct ek_source **src, struct ek_err *err)
{
	char name[EKD_IMAGE_ID + 32];

	*fd = -1;
	if (w->part->whole)
		return source_of_blob(w->image->blobs[w->part->primary], src,
				      err);
	snprintf(name, sizeof(name), "%s/" INDEX_NAME, w->image->id);
	*fd = openat(s->images_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "%s", name);
	return ek_source_from_fd(*fd, name, 0, src, err);
}

ek_status prefetch_path(struct ekd_service *s, const struct image *image,
			const char *path, uint64_t *bytes, struct ek_err *err)
{
	bool found = false;

	for (uint32_t i = 0; i < image->record.n_parts; i++) {
		struct walk w = {.image = image,
				 .part = &image->record.parts[i],
				 .bytes = bytes};
		struct ek_source *src = NULL;
		ek_status status;
		int fd;

		status = open_part(s, &w, &fd, &src, err);
		if (status == EK_OK)
			status = walk_part(&w, src, path, &found, err);
		ek_source_free(src);
		if (fd >= 0)
			close(fd);
		if (status != EK_OK)
			return status;
	}
	if (found)
		return EK_OK;
	return ek_fail(err, EK_NOTFOUND, "%s: not in the image", path);
}
