/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_ZMAP_H
#define EK_FORMAT_ZMAP_H

/*
 * Maps of compressed inodes (section 6): map header, full and compact
 * indexes, encoded extents; look-up and encoding. Pure but for the caller's
 * callback. Any thread may call these with its own structs; a struct ek_zmap
 * is constant after ek_zmap_init() and may be shared, a struct ek_zcur not.
 */

#include "format/cfgs.h"
#include "format/inode.h"

#define EK_ZHEAD_SIZE 8u

/* h_advise. */
#define EK_ZADV_COMPACT_2B  0x01u /* layout ZCOMPACT */
#define EK_ZADV_EXTENTS	    0x01u /* layout ZFULL */
#define EK_ZADV_BIG1	    0x02u /* HEAD1 may have several blocks */
#define EK_ZADV_BIG2	    0x04u /* PLAIN and HEAD2 may */
#define EK_ZADV_INLINE	    0x08u
#define EK_ZADV_INTERLACED  0x10u
#define EK_ZADV_FRAGMENT    0x20u
#define EK_ZADV_KNOWN	    0x3fu
#define EK_ZADV_RECSZ_SHIFT 1u /* with EXTENTS: record = 4 << 2 bits here */

/* Types of lclusters. */
#define EK_ZT_PLAIN   0u
#define EK_ZT_HEAD1   1u
#define EK_ZT_NONHEAD 2u
#define EK_ZT_HEAD2   3u

/* delta0 with this bit is a count of blocks, so real ones stop below it. */
#define EK_Z_CBLKCNT   0x800u
#define EK_Z_DELTA_MAX 0x7ffu

/* di_advise of full indexes, beside the type in bits 0-1. */
#define EK_ZDI_HOLE    0x4000u
#define EK_ZDI_PARTIAL 0x8000u

/* plen of encoded extents. */
#define EK_ZX_PLEN_MASK	 0x001fffffu
#define EK_ZX_PARTIAL	 0x08000000u
#define EK_ZX_FMT_SHIFT	 28u
#define EK_ZX_RECORD_MAX 32u

/* The map header, checked and taken apart (6.2). */
struct ek_zhead {
	bool whole_fragment; /* the file is packed[fragoff...]; all else is 0 */
	bool extents;	     /* layout ZFULL with encoded extents */
	uint16_t advise;
	uint8_t alg[2];	       /* of HEAD1 and HEAD2; index layouts */
	uint8_t lclusterbits;  /* not for records of 16 and 32 bytes */
	uint8_t recsz;	       /* of encoded extents: 4, 8, 16, 32; else 0 */
	uint16_t idata_size;   /* bytes of the inline tail, or 0 */
	uint64_t fragoff;      /* FRAGMENT: low 32 bits; whole: all */
	uint64_t extent_count; /* records of 16 and 32 bytes */
	bool reserved_nonzero; /* decode: some reserved bit is not zero */
};

/*
 * Decode 8 bytes for an inode of @layout (EK_LAYOUT_ZFULL or _ZCOMPACT).
 * EK_CORRUPT: BIG bits without the feature, or unequal in ZCOMPACT.
 * EK_UNSUPPORTED: an algorithm number or lcluster size that kernels refuse.
 */
ek_status ek_zhead_decode(const struct ek_sb *sb, uint8_t layout,
			  const uint8_t *p, struct ek_zhead *h,
			  struct ek_err *err);

/*
 * Write 8 bytes. h->advise holds all bits, with EXTENTS and the record size
 * too. EK_INVALID: a value does not fit, or contradicts another.
 */
ek_status ek_zhead_encode(const struct ek_sb *sb, uint8_t layout,
			  const struct ek_zhead *h, uint8_t *p,
			  struct ek_err *err);

/*
 * Where index bytes are: absolute positions in the inode's own space (device
 * or metabox data). The runs are those of 6.4; FULL has n1 = total entries of
 * 8 bytes; encoded extents and whole fragments have no runs.
 */
struct ek_zgeom {
	uint64_t head_pos; /* of the map header */
	uint64_t base;	   /* of the first index, or the extent area */
	uint64_t total;	   /* entries: indexes, or records */
	uint64_t n1;	   /* entries of the first run: 4-byte, or full */
	uint64_t n2;	   /* of the 2-byte run */
	uint64_t n3;	   /* of the last 4-byte run */
	uint64_t end;	   /* first byte after all indexes */
	uint8_t layout;
	uint8_t lclusterbits;
	uint8_t recsz;
};

/*
 * Geometry for a file of @size bytes whose inode core and xattrs end at
 * @body_end. EK_CORRUPT: the positions do not fit 64 bits.
 */
ek_status ek_zgeom_init(const struct ek_sb *sb, uint8_t layout,
			const struct ek_zhead *h, uint64_t size,
			uint64_t body_end, struct ek_zgeom *g,
			struct ek_err *err);

/* Position of the map header for a body end: rounded up to 8. */
static inline uint64_t ek_zhead_pos(uint64_t body_end)
{
	return (body_end + 7) & ~UINT64_C(7);
}

/*
 * The bytes that hold entry @i < g->total: @pos and @len (4..32); for
 * compact indexes a whole pack, and @slot gets the entry's place in it.
 */
void ek_zgeom_entry(const struct ek_zgeom *g, uint64_t i, uint64_t *pos,
		    uint32_t *len, uint32_t *slot);

/* Everything to look up bytes of one inode; constant once made. */
struct ek_zmap {
	struct ek_zhead head;
	struct ek_zgeom geom;
	uint64_t size; /* of the file */
	uint16_t algs; /* that the superblock announces */
	uint8_t blkszbits;
};

/*
 * Make a map from the 8 header bytes at ek_zhead_pos(@iloc +
 * ek_inode_body()). Errors of ek_zhead_decode() and ek_zgeom_init();
 * EK_CORRUPT also when the inode is not compressed.
 */
ek_status ek_zmap_init(const struct ek_sb *sb, const struct ek_cfgs *cfgs,
		       const struct ek_inode *in, uint64_t iloc,
		       const uint8_t *header, struct ek_zmap *m,
		       struct ek_err *err);

/*
 * Read exactly @n (<= EK_Z_READ_MAX) bytes at @pos of the space of the inode.
 * A status other than EK_OK is handed through.
 */
#define EK_Z_READ_MAX 256u
typedef ek_status ek_zread_fn(void *ctx, uint64_t pos, uint8_t *buf, size_t n,
			      struct ek_err *err);

/*
 * One user's cursor: the callback and what it has read last. Set read and
 * ctx, zero the rest, and keep it for one map only.
 */
struct ek_zcur {
	ek_zread_fn *read;
	void *ctx;
	/* Private: a window of index bytes, and the sum of r=4 extents. */
	uint64_t win_pos;
	uint32_t win_len;
	uint64_t r4_next;
	uint64_t r4_pa;
	uint8_t win[EK_Z_READ_MAX];
};

/* One entry of full or compact indexes, decoded. */
struct ek_zentry {
	uint8_t type;	     /* EK_ZT_* */
	bool partial;	     /* heads, FULL */
	bool hole;	     /* heads, FULL */
	uint32_t clusterofs; /* heads; below the lcluster size */
	uint64_t blk;	     /* heads: block of the pcluster, 32 bits */
	bool counted;	     /* NONHEAD: a CBLKCNT */
	uint32_t cblks;	     /* its count; 0 behind the head of a fragment */
	/*
	 * NONHEAD: distance back to the head, or to another NONHEAD when the
	 * stored one is clamped; 0 is possible on a damaged image.
	 */
	uint32_t delta0;
	/*
	 * NONHEAD: a hop forward, 1 at least, that does not pass a head. FULL:
	 * as stored (0 becomes 1); COMPACT: what the pack tells.
	 */
	uint32_t delta1;
};

/*
 * Load entry @lcn of full or compact indexes.
 * EK_CORRUPT: @lcn is beyond the map, clusterofs beyond the lcluster, a
 * CBLKCNT without a BIG bit, or a pack that contradicts itself.
 */
ek_status ek_zentry_load(const struct ek_zmap *m, struct ek_zcur *cur,
			 uint64_t lcn, struct ek_zentry *e, struct ek_err *err);

/* A record of encoded extents, decoded. */
struct ek_zrecord {
	uint32_t plen; /* raw: length, PARTIAL and format bits */
	uint64_t pa;   /* bytes; not for 4-byte records */
	uint64_t la;   /* of 16- and 32-byte records */
};

/* Decode or write @recsz bytes; values that have no field are 0 / ignored. */
void ek_zrecord_decode(uint8_t recsz, const uint8_t *p, struct ek_zrecord *r);
void ek_zrecord_encode(uint8_t recsz, const struct ek_zrecord *r, uint8_t *p);

/* How the bytes of an extent are stored. */
enum ek_zkind {
	EK_Z_HOLE,     /* zeros; no pa, no plen */
	EK_Z_FRAGMENT, /* bytes [pa, pa + llen) of the packed inode */
	EK_Z_PLAIN,    /* the first llen bytes of the pcluster */
	/*
	 * With c = la mod block size and t = block size - c: the first
	 * min(t, llen) bytes begin t bytes before the end of the pcluster,
	 * the others at its start.
	 */
	EK_Z_INTERLACED,
	EK_Z_CODED, /* a stream of alg */
};

struct ek_zextent {
	uint64_t la;   /* first byte in the file */
	uint64_t llen; /* bytes, > 0; la + llen <= size */
	/*
	 * Bytes of the pcluster: a unified device address, or, when inline_ is
	 * set, a position in the space of the inode.
	 */
	uint64_t pa;
	uint32_t plen; /* <= 1 MiB; 0 for holes and fragments */
	uint8_t kind;  /* enum ek_zkind */
	uint8_t alg;   /* of EK_Z_CODED; announced by the superblock */
	bool partial;  /* the stream decodes to more than llen bytes */
	bool inline_;  /* the stream is tail-packed: exact size, no padding */
};

/*
 * The extent that holds byte @la < m->size. Steps and reads are bounded for
 * any bytes: by the largest extent, and for fragments and holes by a small
 * part of the file's lclusters (r=4 records: by the records, once a walk).
 * EK_CORRUPT: a rule of section 6 or 8.2 is broken. EK_UNSUPPORTED: a
 * pcluster beyond 1 MiB or an extent beyond 12 MiB, an unknown format.
 * EK_INVALID: @la >= m->size.
 */
ek_status ek_zmap_lookup(const struct ek_zmap *m, struct ek_zcur *cur,
			 uint64_t la, struct ek_zextent *x, struct ek_err *err);

/*
 * One extent that a builder wants to index: pieces cover [0, size) in order
 * without gaps, so each ends where the next begins.
 */
struct ek_zpiece {
	uint64_t la;  /* first byte */
	uint64_t blk; /* of the pcluster */
	/*
	 * Blocks of the pcluster, 1 at least. Tails without one: 1, or 0 when
	 * a CBLKCNT follows (BIG bit and a second lcluster), as erofs-utils
	 * writes it for fragments.
	 */
	uint32_t blocks;
	uint8_t type; /* EK_ZT_PLAIN, _HEAD1 or _HEAD2 */
	bool partial; /* FULL only */
	/*
	 * The tail is in a fragment or inline: COMPACT puts the running
	 * address and ignores blk; FULL stores blk (the high 32 bits of a
	 * fragment offset, or 0).
	 */
	bool nodata;
};

/*
 * Write the index bytes [g->base, g->end) for @n pieces of a file of @size
 * bytes to @out, which has room for g->end - g->base bytes. lclusters must be
 * as large as blocks. The header, and the 8 zero bytes that FULL has before
 * its indexes, are the caller's.
 * EK_INVALID, and nothing of @out may be used: no pieces for bytes, two
 * pieces begin in one lcluster, an address beyond 32 bits, several blocks
 * where BIG bits or the extent's length allow none, COMPACT with PARTIAL
 * or with blocks that are not consecutive.
 */
ek_status ek_zindex_encode(const struct ek_zgeom *g, uint16_t advise,
			   uint64_t size, const struct ek_zpiece *pieces,
			   size_t n, uint8_t *out, struct ek_err *err);

/*
 * Whether COMPACT can express @pieces: consecutive pclusters, no partial
 * ones, 32-bit addresses.
 */
bool ek_zindex_compact_ok(const struct ek_zpiece *pieces, size_t n);

#endif
