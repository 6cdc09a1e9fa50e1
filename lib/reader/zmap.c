/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the bytes of a compressed file are. The look-up is the format's; here
 * its cursors are kept, since one that has just mapped a byte of a file knows
 * the header and the neighbourhood that the next call wants.
 */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"

ek_status ek_cursors_init(struct ek_cursor_pool *pool, struct ek_err *err)
{
	int sys = pthread_mutex_init(&pool->lock, NULL);

	return sys ? ek_fail_sys(err, sys, "mutex") : EK_OK;
}

void ek_cursors_destroy(struct ek_cursor_pool *pool)
{
	while (pool->idle) {
		struct ek_cursor *c = pool->idle;

		pool->idle = c->next;
		free(c);
	}
	pthread_mutex_destroy(&pool->lock);
}

static ek_status cursor_read(void *ctx, uint64_t pos, uint8_t *buf, size_t n,
			     struct ek_err *err)
{
	struct ek_cursor *c = ctx;

	return ek_meta_read(c->image, c->box, pos, buf, n, err);
}

static ek_status cursor_new(struct ek_image *image, const struct ek_node *node,
			    struct ek_cursor **out, struct ek_err *err)
{
	uint8_t header[EK_ZHEAD_SIZE];
	struct ek_inode in;
	struct ek_cursor *c;
	uint64_t pos;
	ek_status st;

	ek_node_inode(node, &in);
	if (!ek_add(node->position, ek_inode_body(&in) + UINT64_C(7), &pos))
		return ek_fail(err, EK_CORRUPT, "map header does not fit");
	pos = ek_zhead_pos(node->position + ek_inode_body(&in));
	EK_TRY(ek_meta_read(image, ek_node_in_box(node), pos, header,
			    sizeof(header), err));
	c = calloc(1, sizeof(*c));
	if (!c)
		return ek_fail(err, EK_NOMEM, "no memory for a map");
	st = ek_zmap_init(&image->sb, &image->cfgs, &in, node->position, header,
			  &c->map, err);
	if (st != EK_OK) {
		free(c);
		return st;
	}
	c->image = image;
	c->box = ek_node_in_box(node);
	c->nid = node->nid;
	c->size = node->size;
	c->cur.read = cursor_read;
	c->cur.ctx = c;
	*out = c;
	return EK_OK;
}

static ek_status cursor_take(struct ek_image *image, const struct ek_node *node,
			     struct ek_cursor **out, struct ek_err *err)
{
	struct ek_cursor_pool *pool = &image->cursors;
	struct ek_cursor **p;

	pthread_mutex_lock(&pool->lock);
	for (p = &pool->idle; *p; p = &(*p)->next) {
		if ((*p)->nid != node->nid || (*p)->size != node->size)
			continue;
		*out = *p;
		*p = (*p)->next;
		pool->n_idle--;
		pthread_mutex_unlock(&pool->lock);
		return EK_OK;
	}
	pthread_mutex_unlock(&pool->lock);
	return cursor_new(image, node, out, err);
}

static void cursor_give(struct ek_cursor_pool *pool, struct ek_cursor *c)
{
	struct ek_cursor *old = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->n_idle == EK_IDLE_CURSORS) {
		struct ek_cursor **p = &pool->idle;

		while ((*p)->next)
			p = &(*p)->next;
		old = *p;
		*p = NULL;
		pool->n_idle--;
	}
	c->next = pool->idle;
	pool->idle = c;
	pool->n_idle++;
	pthread_mutex_unlock(&pool->lock);
	free(old);
}

static ek_status fragment(struct ek_image *image, const struct ek_node *node,
			  const struct ek_zextent *z, struct ek_extent *x,
			  struct ek_err *err)
{
	uint64_t end;

	if (!image->have_packed)
		return ek_fail(err, EK_CORRUPT,
			       "a fragment, but there is no packed inode");
	/* This is also what keeps reading from going round in circles. */
	if (node->nid == image->packed.nid)
		return ek_fail(err, EK_CORRUPT,
			       "the packed inode has a fragment");
	if (!ek_add(z->pa, z->llen, &end) || end > image->packed.size)
		return ek_fail(err, EK_CORRUPT,
			       "a fragment at %llu (%llu bytes) lies beyond "
			       "the packed inode",
			       (unsigned long long)z->pa,
			       (unsigned long long)z->llen);
	x->flags = EK_EXTENT_MAPPED | EK_EXTENT_FRAGMENT;
	x->physical = z->pa;
	x->physical_length = z->llen;
	return EK_OK;
}

static ek_status convert(struct ek_image *image, const struct ek_node *node,
			 const struct ek_zextent *z, struct ek_extent *x,
			 struct ek_err *err)
{
	x->logical = z->la;
	x->logical_length = z->llen;
	if (z->kind == EK_Z_HOLE)
		return EK_OK;
	if (z->kind == EK_Z_FRAGMENT)
		return fragment(image, node, z, x, err);
	x->flags = EK_EXTENT_MAPPED;
	x->physical_length = z->plen;
	if (z->kind == EK_Z_CODED) {
		x->flags |= EK_EXTENT_COMPRESSED;
		x->algorithm = z->alg;
		if (z->partial)
			x->flags |= EK_EXTENT_PARTIAL;
	} else {
		x->flags |= EK_EXTENT_PLAIN_PCLUSTER;
		if (z->kind == EK_Z_INTERLACED)
			x->flags |= EK_EXTENT_INTERLACED;
		if (z->llen > z->plen)
			return ek_fail(err, EK_CORRUPT,
				       "a plain extent is longer than its "
				       "pcluster");
	}
	if (!z->inline_)
		return ek_map_device(image, 0, z->pa, x, err);
	x->flags |= EK_EXTENT_INLINE;
	if (ek_node_in_box(node))
		x->flags |= EK_EXTENT_METABOX;
	x->physical = z->pa;
	return EK_OK;
}

ek_status ek_map_compressed(struct ek_image *image, const struct ek_node *node,
			    uint64_t offset, struct ek_extent *x,
			    struct ek_err *err)
{
	struct ek_cursor *c = NULL;
	struct ek_zextent z;
	ek_status st;

	EK_TRY(cursor_take(image, node, &c, err));
	st = ek_zmap_lookup(&c->map, &c->cur, offset, &z, err);
	if (st != EK_OK) {
		free(c);
		return st;
	}
	cursor_give(&image->cursors, c);
	return convert(image, node, &z, x, err);
}

ek_status ek_map_indexes(struct ek_image *image, const struct ek_node *node,
			 uint64_t *end, struct ek_err *err)
{
	struct ek_cursor *c = NULL;

	EK_TRY(cursor_take(image, node, &c, err));
	*end = c->map.geom.end;
	if (c->map.head.advise & EK_ZADV_INLINE)
		*end += c->map.head.idata_size;
	cursor_give(&image->cursors, c);
	return EK_OK;
}
