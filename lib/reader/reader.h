/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_READER_READER_H
#define EK_READER_READER_H

/*
 * The open image, private to lib/reader, and to lib/check and lib/extract,
 * which look below the public interface. All calls may come from several
 * threads; everything in struct ek_image but the caches is constant once the
 * image is open.
 */

#include <erofskit/image.h>

#include "codec/codec.h"
#include "format/cfgs.h"
#include "format/device.h"
#include "format/inode.h"
#include "format/sb.h"
#include "format/xattr.h"
#include "format/zmap.h"

#include <pthread.h>
#include <sys/stat.h>

/*
 * Metadata is read by pages of this size and kept in a table where a page has
 * one place only: 2 MiB when full.
 */
#define EK_META_PAGE  8192u
#define EK_META_SLOTS 256u
#define EK_META_LOCKS 16u

/* Decoded extents that are kept for small reads. */
#define EK_DECODED_SLOTS 64u
#define EK_DECODED_BYTES ((size_t)32 << 20)

/* Idle decoders and cursors that are kept: enough for as many threads. */
#define EK_IDLE_DECODERS 32u
#define EK_IDLE_CURSORS	 32u

struct ek_meta_page {
	bool valid, box;
	uint64_t page;
	uint32_t len; /* less than a page at the end of the space */
	uint8_t *data;
};

/*
 * Buffers of all pages in one piece, as a malloc for each would be dear. Those
 * beyond the slots are for pages that are being read.
 */
#define EK_META_BUFFERS (EK_META_SLOTS + 32u)

struct ek_meta_cache {
	pthread_mutex_t locks[EK_META_LOCKS];
	struct ek_meta_page slots[EK_META_SLOTS];
	pthread_mutex_t spare_lock; /* of what follows */
	uint8_t *buffers;	    /* NULL: none are needed yet */
	uint8_t *spare[EK_META_BUFFERS];
	unsigned n_spare;
};

/* What tells one decoded extent from all others. */
struct ek_decoded_key {
	uint64_t pa;
	uint64_t llen;
	uint32_t plen;
	uint16_t device;
	uint8_t alg;
	bool partial, inline_, box;
};

struct ek_decoded {
	struct ek_decoded_key key;
	uint8_t *data; /* NULL: the slot is free */
	unsigned users;
	uint64_t tick; /* of the last use */
};

struct ek_decode_ctx {
	struct ek_decode_ctx *next;
	struct ek_decoder *dec;
	uint8_t alg;
	uint8_t *in;
	size_t cap;
};

struct ek_decode_pool {
	pthread_mutex_t lock;
	struct ek_decode_ctx *idle;
	unsigned n_idle;
	struct ek_decoded slots[EK_DECODED_SLOTS];
	size_t bytes;
	uint64_t tick;
};

/* Whose map a cursor reads, and where. */
struct ek_cursor {
	struct ek_cursor *next;
	struct ek_image *image;
	bool box;
	uint64_t nid, size;
	struct ek_zmap map;
	struct ek_zcur cur;
};

struct ek_cursor_pool {
	pthread_mutex_t lock;
	struct ek_cursor *idle; /* the last used one first */
	unsigned n_idle;
};

struct ek_image {
	struct ek_source *src;
	struct ek_source **devices; /* sb.extra_devices, NULL when flattened */
	struct ek_sb sb;
	struct ek_cfgs cfgs;
	struct ek_devslot *slots;
	bool flattened; /* the primary device holds all others */
	struct ek_image_info info;
	bool have_packed, have_metabox;
	struct ek_node packed, metabox;
	struct ek_xattr_long *longs; /* infixes are in long_bytes */
	size_t n_longs;
	uint8_t *long_bytes;
	struct ek_meta_cache meta;
	struct ek_decode_pool decode;
	struct ek_cursor_pool cursors;
};

/* meta.c: bytes of the metadata spaces, through the page cache. */

ek_status ek_meta_init(struct ek_meta_cache *cache, struct ek_err *err);
void ek_meta_destroy(struct ek_meta_cache *cache);

/* Forget the pages, as when @cache was new. Any thread. */
void ek_meta_forget(struct ek_meta_cache *cache);

/*
 * Read exactly @n bytes at @pos of the primary device or, with @box, of the
 * data of the metabox inode. EK_CORRUPT: they do not lie in it.
 */
ek_status ek_meta_read(struct ek_image *image, bool box, uint64_t pos, void *to,
		       size_t n, struct ek_err *err);

/* decode.c: decoders and decoded extents. */

ek_status ek_decode_init(struct ek_decode_pool *pool, struct ek_err *err);
void ek_decode_destroy(struct ek_decode_pool *pool);

/*
 * Decode all of @x to @to, which holds its logical length. @in: its stream,
 * physical_length bytes; NULL: it is read.
 */
ek_status ek_decode_bytes(struct ek_image *image, const struct ek_extent *x,
			  const uint8_t *in, uint8_t *to, struct ek_err *err);

/* Bytes [@skip, @skip + @n) of the compressed extent @x. */
ek_status ek_decode_extent(struct ek_image *image, const struct ek_extent *x,
			   uint64_t skip, void *to, size_t n,
			   struct ek_err *err);

/* map.c, zmap.c: where bytes are. */

/* Inode of the format for @node, as its maps need it. */
void ek_node_inode(const struct ek_node *node, struct ek_inode *in);

static inline bool ek_node_in_box(const struct ek_node *node)
{
	return (node->nid & EK_NID_METABOX) != 0;
}

/* Set device and physical of @x for byte @pa of device id @id. */
ek_status ek_map_device(struct ek_image *image, unsigned int id, uint64_t pa,
			struct ek_extent *x, struct ek_err *err);

ek_status ek_map_compressed(struct ek_image *image, const struct ek_node *node,
			    uint64_t offset, struct ek_extent *x,
			    struct ek_err *err);

/* First byte after the map of a compressed file and its inline tail. */
ek_status ek_map_indexes(struct ek_image *image, const struct ek_node *node,
			 uint64_t *end, struct ek_err *err);

ek_status ek_cursors_init(struct ek_cursor_pool *pool, struct ek_err *err);
void ek_cursors_destroy(struct ek_cursor_pool *pool);

/* read.c */

/* Read @n bytes at @pos of @device (0: the primary one). */
ek_status ek_device_read(struct ek_image *image, unsigned int device,
			 uint64_t pos, void *to, size_t n, struct ek_err *err);

/* xattr.c */

/* Read the table of long prefixes when the image is opened. */
ek_status ek_xattr_load_longs(struct ek_image *image, struct ek_err *err);

#endif
