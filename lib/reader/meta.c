/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata is read in pieces of a few bytes all over an image. Whole pages
 * are kept in a table with one place for each page, so memory is bounded and
 * nothing has to be searched. A page is filled outside of the locks: filling
 * one of the metabox reads pages of the device.
 */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* From this on a copy through pages costs more than a read. */
#define META_DIRECT (4 * EK_META_PAGE)

ek_status ek_meta_init(struct ek_meta_cache *cache, struct ek_err *err)
{
	int sys = pthread_mutex_init(&cache->spare_lock, NULL);
	unsigned i;

	for (i = 0; i < EK_META_LOCKS && !sys; i++)
		sys = pthread_mutex_init(&cache->locks[i], NULL);
	if (!sys)
		return EK_OK;
	/* The last one could not be made. */
	while (i > 1)
		pthread_mutex_destroy(&cache->locks[--i - 1]);
	if (i)
		pthread_mutex_destroy(&cache->spare_lock);
	return ek_fail_sys(err, sys, "mutex");
}

/* A buffer for a page; NULL: without memory or when many are in use. */
static uint8_t *buffer_take(struct ek_meta_cache *cache)
{
	uint8_t *buffer = NULL;

	pthread_mutex_lock(&cache->spare_lock);
	if (!cache->buffers) {
		cache->buffers = malloc((size_t)EK_META_BUFFERS * EK_META_PAGE);
		while (cache->buffers && cache->n_spare < EK_META_BUFFERS) {
			cache->spare[cache->n_spare] =
				cache->buffers +
				(size_t)cache->n_spare * EK_META_PAGE;
			cache->n_spare++;
		}
	}
	if (cache->n_spare)
		buffer = cache->spare[--cache->n_spare];
	pthread_mutex_unlock(&cache->spare_lock);
	return buffer;
}

static void buffer_give(struct ek_meta_cache *cache, uint8_t *buffer)
{
	if (!buffer)
		return;
	pthread_mutex_lock(&cache->spare_lock);
	cache->spare[cache->n_spare++] = buffer;
	pthread_mutex_unlock(&cache->spare_lock);
}

void ek_meta_forget(struct ek_meta_cache *cache)
{
	for (unsigned i = 0; i < EK_META_SLOTS; i++) {
		pthread_mutex_t *lock = &cache->locks[i % EK_META_LOCKS];
		uint8_t *buffer;

		pthread_mutex_lock(lock);
		buffer = cache->slots[i].data;
		cache->slots[i] = (struct ek_meta_page){0};
		pthread_mutex_unlock(lock);
		buffer_give(cache, buffer);
	}
	pthread_mutex_lock(&cache->spare_lock);
	/* Else someone is reading into one. */
	if (cache->n_spare == EK_META_BUFFERS) {
		free(cache->buffers);
		cache->buffers = NULL;
		cache->n_spare = 0;
	}
	pthread_mutex_unlock(&cache->spare_lock);
}

void ek_meta_destroy(struct ek_meta_cache *cache)
{
	ek_meta_forget(cache);
	for (unsigned i = 0; i < EK_META_LOCKS; i++)
		pthread_mutex_destroy(&cache->locks[i]);
	pthread_mutex_destroy(&cache->spare_lock);
}

static ek_status space_read(struct ek_image *image, bool box, uint64_t pos,
			    void *to, size_t n, struct ek_err *err)
{
	if (box)
		return ek_image_read(image, &image->metabox, pos, to, n, err);
	return ek_source_read(image->src, pos, to, n, err);
}

/* Copy from a page that is in the table; false when it is not. */
static bool page_get(struct ek_meta_cache *cache, unsigned slot, bool box,
		     uint64_t page, uint32_t at, void *to, size_t n)
{
	struct ek_meta_page *p = &cache->slots[slot];
	pthread_mutex_t *lock = &cache->locks[slot % EK_META_LOCKS];
	bool hit;

	pthread_mutex_lock(lock);
	hit = p->valid && p->box == box && p->page == page && at + n <= p->len;
	if (hit)
		memcpy(to, p->data + at, n);
	pthread_mutex_unlock(lock);
	return hit;
}

/* Put the page @data into the table; the buffer that was there comes out. */
static uint8_t *page_put(struct ek_meta_cache *cache, unsigned slot, bool box,
			 uint64_t page, uint8_t *data, uint32_t len)
{
	struct ek_meta_page *p = &cache->slots[slot];
	pthread_mutex_t *lock = &cache->locks[slot % EK_META_LOCKS];
	uint8_t *old;

	pthread_mutex_lock(lock);
	old = p->data;
	*p = (struct ek_meta_page){true, box, page, len, data};
	pthread_mutex_unlock(lock);
	return old;
}

/* @n bytes of one page, which are known to be inside the space. */
static ek_status page_read(struct ek_image *image, bool box, uint64_t size,
			   uint64_t pos, void *to, size_t n, struct ek_err *err)
{
	uint64_t page = pos / EK_META_PAGE;
	uint32_t at = (uint32_t)(pos % EK_META_PAGE);
	unsigned slot = (unsigned)((page + (box ? EK_META_SLOTS / 2 : 0)) %
				   EK_META_SLOTS);
	uint8_t *data;
	uint32_t len;

	if (page_get(&image->meta, slot, box, page, at, to, n))
		return EK_OK;
	data = buffer_take(&image->meta);
	len = (uint32_t)ek_min(EK_META_PAGE, size - page * EK_META_PAGE);
	/* Bytes around those wanted may be damaged: that is not our matter. */
	if (!data || space_read(image, box, page * EK_META_PAGE, data, len,
				NULL) != EK_OK) {
		buffer_give(&image->meta, data);
		return space_read(image, box, pos, to, n, err);
	}
	memcpy(to, data + at, n);
	buffer_give(&image->meta,
		    page_put(&image->meta, slot, box, page, data, len));
	return EK_OK;
}

ek_status ek_meta_read(struct ek_image *image, bool box, uint64_t pos, void *to,
		       size_t n, struct ek_err *err)
{
	uint64_t size, end;
	uint8_t *out = to;

	if (box && !image->have_metabox)
		return ek_fail(err, EK_CORRUPT,
			       "metadata in a metabox that does not exist");
	size = box ? image->metabox.size : image->src->size;
	if (!ek_add(pos, n, &end) || end > size)
		return ek_fail(err, EK_CORRUPT,
			       "metadata at byte %llu (%zu bytes) lies beyond "
			       "the end of the %s",
			       (unsigned long long)pos, n,
			       box ? "metabox" : "image");
	if (n >= META_DIRECT)
		return space_read(image, box, pos, to, n, err);
	while (n > 0) {
		size_t take =
			(size_t)ek_min(n, EK_META_PAGE - pos % EK_META_PAGE);

		EK_TRY(page_read(image, box, size, pos, out, take, err));
		pos += take;
		out += take;
		n -= take;
	}
	return EK_OK;
}
