/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/listing.h"
#include "base/try.h"
#include "reader/reader.h"

#include <string.h>

/* One directory's names; 2^26 of them with 255 bytes each is beyond reason. */
#define LISTING_NAMES_MAX  ((size_t)1 << 26)
#define LISTING_BYTES_MAX  ((size_t)1 << 30)
#define LISTING_BUDGET_MIN (UINT64_C(1) << 20)

uint64_t ek_listing_budget(const struct ek_image *image)
{
	uint64_t bytes = image->src->size;
	unsigned i;

	for (i = 0; i < image->sb.extra_devices; i++)
		if (image->devices && image->devices[i] &&
		    !ek_add(bytes, image->devices[i]->size, &bytes))
			return UINT64_MAX;
	return ek_add(bytes, LISTING_BUDGET_MIN, &bytes) ? bytes : UINT64_MAX;
}

ek_status ek_listing_check_name(const struct ek_node *node, const char *name,
				struct ek_err *err)
{
	if (!name && !S_ISDIR(node->mode))
		return ek_fail(err, EK_INVALID,
			       "a file that is no directory needs a name");
	if (name && (!*name || strchr(name, '/') || strlen(name) > 255 ||
		     !strcmp(name, ".") || !strcmp(name, "..")))
		return ek_fail(err, EK_INVALID, "%s is no file name", name);
	return EK_OK;
}

static ek_status add(void *arg, const struct ek_dirent *entry,
		     struct ek_err *err)
{
	struct ek_listing *l = arg;
	struct ek_listed listed = {entry->nid, l->names.len};
	const char *name = entry->name;
	size_t n = entry->name_len;

	if ((n == 1 && name[0] == '.') ||
	    (n == 2 && name[0] == '.' && name[1] == '.'))
		return EK_OK;
	if (n == 0 || n > 255 || memchr(name, '/', n) || memchr(name, 0, n))
		return ek_fail(err, EK_CORRUPT,
			       "a directory entry is no file name");
	if (*l->budget == 0)
		return ek_fail(err, EK_LIMIT,
			       "more names than the image has room for");
	--*l->budget;
	EK_TRY(ek_buf_append(&l->names, name, n, err));
	EK_TRY(ek_buf_append_zeros(&l->names, 1, err));
	return ek_vec_push(&l->entries, listed, LISTING_NAMES_MAX, err);
}

ek_status ek_listing_read(struct ek_listing *l, struct ek_image *image,
			  const struct ek_node *dir, struct ek_err *err)
{
	l->names.limit = LISTING_BYTES_MAX;
	l->names.len = 0;
	l->entries.n = 0;
	return ek_image_readdir(image, dir, add, l, err);
}

void ek_listing_free(struct ek_listing *l)
{
	ek_buf_free(&l->names);
	ek_vec_free(&l->entries);
}
