/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* Old GNU headers: places of the first pairs and of what follows them. */
enum {
	AT_PAIRS = 386,
	PAIRS = 4,
	AT_MORE = 482,
	AT_REALSIZE = 483,
	MORE_PAIRS = 21,
	AT_MORE_AGAIN = 504,
};

/*
 * Segments must come in order, apart, inside the file, and hold exactly the
 * stored bytes. Sets each one's place in the archive.
 */
static ek_status settle(struct ek_tar *tar, uint64_t realsize,
			struct ek_err *err)
{
	struct ek_tar_entry *e = &tar->entry;
	uint64_t end = 0, used = 0;

	for (size_t i = 0; i < tar->segments.n; i++) {
		struct ek_tar_segment *s = &tar->segments.at[i];

		if (s->at < end || s->length > UINT64_MAX - s->at ||
		    s->at + s->length > realsize)
			return ek_fail(err, EK_CORRUPT,
				       "sparse map out of order or beyond the "
				       "file");
		s->stored = e->data_offset + used;
		end = s->at + s->length;
		used += s->length;
	}
	if (used != e->stored_size)
		return ek_fail(err, EK_CORRUPT,
			       "sparse map of %llu bytes for %llu stored",
			       (unsigned long long)used,
			       (unsigned long long)e->stored_size);
	e->sparse = true;
	e->size = realsize;
	e->segments = tar->segments.at;
	e->n_segments = tar->segments.n;
	return EK_OK;
}

static ek_status old_pairs(struct ek_tar *tar, const uint8_t *p, unsigned n,
			   struct ek_err *err)
{
	for (unsigned i = 0; i < n; i++, p += 24) {
		struct ek_tar_segment s = {0, 0, 0};

		if (!p[0] && !p[12])
			return EK_OK;
		EK_TRY(ek_tar_count(p, 12, &s.at, err));
		EK_TRY(ek_tar_count(p + 12, 12, &s.length, err));
		EK_TRY(ek_vec_push(&tar->segments, s, EK_TAR_SEGMENTS_MAX,
				   err));
	}
	return EK_OK;
}

ek_status ek_tar_sparse_old(struct ek_tar *tar, const uint8_t *block,
			    struct ek_err *err)
{
	uint8_t more[EK_TAR_BLOCK];
	uint64_t realsize = 0;
	bool again = block[AT_MORE] != 0;

	EK_TRY(ek_tar_count(block + AT_REALSIZE, 12, &realsize, err));
	EK_TRY(old_pairs(tar, block + AT_PAIRS, PAIRS, err));
	while (again) {
		EK_TRY(ek_tar_take(tar, more, sizeof(more), err));
		EK_TRY(old_pairs(tar, more, MORE_PAIRS, err));
		again = more[AT_MORE_AGAIN] != 0;
	}
	tar->entry.data_offset = tar->offset;
	return settle(tar, realsize, err);
}

/* The map of 1.0: decimal lines in blocks before the data. */
struct map_text {
	struct ek_tar *tar;
	uint8_t block[EK_TAR_BLOCK];
	size_t at;
	uint64_t read; /* bytes of map blocks so far */
};

static ek_status map_byte(struct map_text *m, uint8_t *byte, struct ek_err *err)
{
	if (m->at == sizeof(m->block)) {
		if (m->tar->entry.stored_size - m->read < EK_TAR_BLOCK)
			return ek_fail(err, EK_CORRUPT,
				       "sparse map longer than the member");
		EK_TRY(ek_tar_take(m->tar, m->block, sizeof(m->block), err));
		m->read += EK_TAR_BLOCK;
		m->at = 0;
	}
	*byte = m->block[m->at++];
	return EK_OK;
}

static ek_status map_number(struct map_text *m, uint64_t *value,
			    struct ek_err *err)
{
	uint64_t v = 0;
	uint8_t byte = 0;
	unsigned digits = 0;

	for (;;) {
		EK_TRY(map_byte(m, &byte, err));
		if (byte == '\n')
			break;
		if (byte < '0' || byte > '9' || ++digits > 18)
			return ek_fail(err, EK_CORRUPT, "broken sparse map");
		v = v * 10 + (uint64_t)(byte - '0');
	}
	if (!digits)
		return ek_fail(err, EK_CORRUPT, "broken sparse map");
	*value = v;
	return EK_OK;
}

static ek_status map_in_data(struct ek_tar *tar, struct ek_err *err)
{
	struct map_text m = {.tar = tar, .at = EK_TAR_BLOCK};
	uint64_t n = 0;

	EK_TRY(map_number(&m, &n, err));
	for (uint64_t i = 0; i < n; i++) {
		struct ek_tar_segment s = {0, 0, 0};

		EK_TRY(map_number(&m, &s.at, err));
		EK_TRY(map_number(&m, &s.length, err));
		EK_TRY(ek_vec_push(&tar->segments, s, EK_TAR_SEGMENTS_MAX,
				   err));
	}
	tar->entry.stored_size -= m.read;
	return EK_OK;
}

ek_status ek_tar_sparse_pax(struct ek_tar *tar, const struct ek_pax *pax,
			    struct ek_err *err)
{
	if (pax->sparse_size.state != EK_PAX_SET)
		return ek_fail(err, EK_CORRUPT, "sparse member without a size");
	if (pax->sparse_major.state == EK_PAX_SET &&
	    pax->sparse_major.value == 1) {
		if (pax->sparse_minor.value != 0)
			return ek_fail(
				err, EK_UNSUPPORTED, "sparse format 1.%llu",
				(unsigned long long)pax->sparse_minor.value);
		EK_TRY(map_in_data(tar, err));
	} else {
		for (size_t i = 0; i < pax->segments.n; i++)
			EK_TRY(ek_vec_push(&tar->segments, pax->segments.at[i],
					   EK_TAR_SEGMENTS_MAX, err));
	}
	tar->entry.data_offset = tar->offset;
	return settle(tar, pax->sparse_size.value, err);
}
