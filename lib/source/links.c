/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/try.h"

#include <xxhash.h>

/* First slot that is (dev, ino)'s or free. */
static struct ek_link *probe(struct ek_link *slots, size_t cap, uint64_t dev,
			     uint64_t ino)
{
	uint64_t key[2] = {dev, ino};
	size_t i = (size_t)XXH3_64bits(key, sizeof(key)) & (cap - 1);

	while (slots[i].inode && (slots[i].ino != ino || slots[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static ek_status grow(struct ek_links *links, struct ek_err *err)
{
	size_t cap = links->cap ? links->cap * 2 : 256;
	struct ek_link *slots;

	if (links->n < links->cap / 2)
		return EK_OK;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return ek_fail(err, EK_NOMEM, "no memory for hard links");
	for (size_t i = 0; i < links->cap; i++) {
		const struct ek_link *l = &links->slots[i];

		if (l->inode)
			*probe(slots, cap, l->dev, l->ino) = *l;
	}
	free(links->slots);
	links->slots = slots;
	links->cap = cap;
	return EK_OK;
}

ek_status ek_links_find(struct ek_links *links, uint64_t dev, uint64_t ino,
			struct ek_link **link, struct ek_err *err)
{
	EK_TRY(grow(links, err));
	*link = probe(links->slots, links->cap, dev, ino);
	if (!(*link)->inode) {
		(*link)->dev = dev;
		(*link)->ino = ino;
		links->n++;
	}
	return EK_OK;
}

void ek_links_free(struct ek_links *links)
{
	free(links->slots);
	*links = (struct ek_links){0};
}
