/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/try.h"

static ek_status zmem_read(void *ctx, uint64_t pos, uint8_t *buf, size_t n,
			   struct ek_err *err)
{
	struct zmem *z = ctx;

	z->reads++;
	if (n == 0 || n > EK_Z_READ_MAX)
		return ek_fail(err, EK_INVALID, "read of %zu bytes", n);
	if (pos < z->pos || pos - z->pos > z->n || n > z->n - (pos - z->pos))
		return ek_fail(err, EK_CORRUPT, "read beyond the metadata");
	memcpy(buf, z->bytes + (pos - z->pos), n);
	return EK_OK;
}

void zmem_init(struct zmem *z, uint8_t layout, uint8_t blkszbits, uint64_t iloc,
	       uint64_t size)
{
	memset(z, 0, sizeof(*z));
	z->sb.blkszbits = blkszbits;
	z->sb.incompat = EK_INCOMPAT_48BIT | EK_INCOMPAT_COMPR_CFGS;
	z->cfgs.algs = 15;
	z->in.layout = layout;
	z->in.mode = 0100644;
	z->in.size = size;
	z->iloc = iloc;
	z->pos = ek_zhead_pos(iloc + ek_inode_body(&z->in));
}

ek_status zmem_bytes(struct zmem *z, const uint8_t *p, size_t n,
		     struct ek_err *err)
{
	free(z->bytes);
	z->bytes = malloc(n ? n : 1);
	assert_non_null(z->bytes);
	memcpy(z->bytes, p, n);
	z->n = n;
	memset(&z->cur, 0, sizeof(z->cur));
	z->cur.read = zmem_read;
	z->cur.ctx = z;
	return ek_zmap_init(&z->sb, &z->cfgs, &z->in, z->iloc, z->bytes,
			    &z->map, err);
}

ek_status zmem_pieces(struct zmem *z, const struct ek_zhead *head,
		      const struct ek_zpiece *pieces, size_t n,
		      struct ek_err *err)
{
	struct ek_zgeom g;
	uint8_t *p;
	size_t len;
	ek_status st;

	EK_TRY(ek_zgeom_init(&z->sb, z->in.layout, head, z->in.size,
			     z->iloc + ek_inode_body(&z->in), &g, err));
	len = (size_t)(g.end - g.head_pos) + head->idata_size;
	p = calloc(1, len);
	assert_non_null(p);
	st = ek_zhead_encode(&z->sb, z->in.layout, head, p, err);
	if (st == EK_OK)
		st = ek_zindex_encode(&g, head->advise, z->in.size, pieces, n,
				      p + (g.base - g.head_pos), err);
	if (st == EK_OK)
		st = zmem_bytes(z, p, len, err);
	free(p);
	return st;
}

void zmem_free(struct zmem *z)
{
	free(z->bytes);
	z->bytes = NULL;
}
