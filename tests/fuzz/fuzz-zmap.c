/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zmap.h"
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* More than a walk needs: lookups that only step on by bytes end here. */
#define LOOKUPS_MAX 256

struct input {
	const uint8_t *p; /* at pos */
	size_t n;
	uint64_t pos;
};

static ek_status read_input(void *ctx, uint64_t pos, uint8_t *buf, size_t n,
			    struct ek_err *err)
{
	const struct input *in = ctx;

	if (pos < in->pos || n > EK_Z_READ_MAX)
		abort();
	if (pos - in->pos > in->n || n > in->n - (pos - in->pos))
		return ek_fail(err, EK_CORRUPT, "end of input");
	memcpy(buf, in->p + (pos - in->pos), n);
	return EK_OK;
}

static void check(const struct ek_zmap *m, const struct ek_zextent *x,
		  uint64_t la)
{
	if (x->la > la || la - x->la >= x->llen || x->llen > m->size - x->la ||
	    x->plen > EK_PCLUSTER_MAX)
		abort();
	if (x->kind == EK_Z_CODED &&
	    (x->plen == 0 || !(m->algs & 1u << x->alg)))
		abort();
	if ((x->kind == EK_Z_PLAIN || x->kind == EK_Z_INTERLACED) &&
	    x->llen > x->plen)
		abort();
}

/*
 * 3 bytes of form (layout and features, block size, place of the inode), 8 of
 * file size, then the map header and what follows it. Extents are looked up
 * in order, each from its first and its last byte.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ek_sb sb = {.incompat = EK_INCOMPAT_48BIT};
	struct ek_cfgs cfgs = {0};
	struct ek_inode inode = {.mode = 0100644};
	struct ek_zcur cur = {.read = read_input};
	struct ek_zextent x;
	struct ek_zmap m;
	struct input in;
	uint64_t la = 0, iloc;

	if (n < 11 + EK_ZHEAD_SIZE)
		return 0;
	inode.layout = data[0] & 1 ? EK_LAYOUT_ZFULL : EK_LAYOUT_ZCOMPACT;
	if (data[0] & 2)
		sb.incompat |= EK_INCOMPAT_BIG_PCLUSTER;
	cfgs.algs = data[0] >> 4;
	sb.blkszbits = 9 + (data[1] & 7);
	iloc = 32u * data[2];
	inode.size = ek_get_le64(data + 3) & INT64_MAX;
	in.p = data + 11;
	in.n = n - 11;
	in.pos = ek_zhead_pos(iloc + ek_inode_body(&inode));
	cur.ctx = &in;
	if (ek_zmap_init(&sb, &cfgs, &inode, iloc, in.p, &m, NULL) != EK_OK)
		return 0;
	for (int i = 0; i < LOOKUPS_MAX && la < m.size; i++) {
		if (ek_zmap_lookup(&m, &cur, la, &x, NULL) != EK_OK)
			break;
		check(&m, &x, la);
		la = x.la + x.llen;
		if (ek_zmap_lookup(&m, &cur, la - 1, &x, NULL) == EK_OK)
			check(&m, &x, la - 1);
	}
	return 0;
}
