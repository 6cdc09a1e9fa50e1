/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CHECK_CHECK_H
#define EK_CHECK_CHECK_H

/*
 * One check of one image. A single thread walks the metadata and notes which
 * bytes belong to what (claims) and which streams there are (streams). Then
 * the pool decodes the streams, while links and claims are looked at.
 *
 *	superblock -> open -> walk (inodes, attributes, maps, directories)
 *	-> links -> claims -> streams
 *
 * Functions return a failing status only when the check itself cannot go on
 * (memory, cancelled); what is wrong with the image is a finding.
 */

#include "base/arena.h"
#include "base/buf.h"
#include "base/idmap.h"
#include "base/vec.h"
#include "check/codes.h"
#include "reader/reader.h"

/* Where bytes are: a device number (0: the primary one), or the metabox. */
#define CK_BOX 0x10000u

/* No inode: what a finding or claim is about is not one. */
#define CK_NOBODY UINT32_MAX

#define CK_INODES_MAX ((size_t)UINT32_MAX - 1)

struct ck_inode {
	uint64_t nid;
	const char *name; /* of the first name, in the arena; NUL-terminated */
	uint32_t parent;  /* index; CK_NOBODY for roots */
	uint32_t links;	  /* names met, without "." and ".." */
	uint32_t subdirs;
	uint32_t nlink; /* as stored */
	uint16_t mode;	/* 0: could not be read */
	bool compact, dot_omitted;
};

/* What bytes belong to. */
enum ck_kind {
	CK_META,	/* superblock, tables, inodes, maps, inline data */
	CK_SHARED_ATTR, /* one entry; many inodes may claim the same */
	CK_DATA,	/* may be shared by any number of files */
};

struct ck_claim {
	uint64_t start, end;
	uint32_t space;
	uint32_t owner; /* inode index or CK_NOBODY */
	uint8_t kind;
};

/* A stream to decode. */
struct ck_stream {
	uint64_t pa;
	uint32_t plen;
	uint32_t llen;
	uint32_t space;
	uint32_t owner;
	uint8_t alg;
	bool partial;	 /* decodes to llen bytes or more */
	bool exact_size; /* tail-packed: no padding before it */
};

struct ck {
	struct ek_source *src;
	const struct ek_check_options *options;
	struct ek_check_result *result;
	struct ek_image *image; /* NULL until open */
	uint64_t max_findings, handed_out;
	uint64_t max_decode;
	size_t cfgs_used; /* bytes of the configurations of codecs */
	struct ek_arena *arena;
	EK_VEC(struct ck_inode) inodes; /* in order of discovery */
	struct ek_idmap by_nid;
	uint32_t root, packed, metabox; /* indexes or CK_NOBODY */
	EK_VEC(struct ck_claim) claims;
	size_t claims_compact_at; /* number from which merging pays */
	EK_VEC(struct ck_stream) streams;
	size_t streams_compact_at;
	size_t to_decode;		   /* streams, from the first on */
	struct ck_decoding *decoding;	   /* NULL: nothing is to be decoded */
	uint64_t meta_claimed, meta_limit; /* bytes */
	bool meta_over;
	bool devices_absent; /* their data cannot be looked at */
	uint64_t dir_bytes_left;
	bool dir_over;
	uint8_t *dir_buf;
	struct ek_buf scratch, names;
};

/* report.c */

/*
 * A finding about inode @owner (or CK_NOBODY), or about the name @name in it.
 * @offset: byte in the image, or CK_NO_OFFSET. Returns EK_OK always, so that
 * `return ck_find(...)` reads well.
 */
#define CK_NO_OFFSET UINT64_MAX
ek_status ck_find(struct ck *ck, enum ck_code code, uint32_t owner,
		  const char *name, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/*
 * The finding for a failed call about the image: EK_IO is IMAGE-READ, else
 * @code with the error's words. A status that is no matter of the image
 * (memory, cancelled) is handed back.
 */
ek_status ck_failed(struct ck *ck, enum ck_code code, uint32_t owner,
		    const char *name, uint64_t offset,
		    const struct ek_err *err);

/* Path of @owner and @name, malloc'ed; NULL when there is none or no memory. */
char *ck_path(const struct ck *ck, uint32_t owner, const char *name);

/* EK_CANCELLED when the caller wants it. */
ek_status ck_cancelled(const struct ck *ck, struct ek_err *err);

/* super.c: false in *@go_on when nothing more can be checked. */
ek_status ck_super(struct ck *ck, bool *go_on, struct ek_err *err);
/* What needs the open image: devices, tables, claims of the superblock. */
ek_status ck_super_tables(struct ck *ck, struct ek_err *err);

/* walk.c: everything reachable. */
ek_status ck_walk(struct ck *ck, struct ek_err *err);
/*
 * The inode of @nid, looked at when it is new (*@is_new); *@index is
 * CK_NOBODY when it cannot be one.
 */
ek_status ck_meet(struct ck *ck, uint64_t nid, uint32_t parent,
		  const char *name, uint32_t *index, bool *is_new,
		  struct ek_err *err);
/* Numbers of links and of inodes, when all is walked. */
ek_status ck_links(struct ck *ck, struct ek_err *err);

/* inode.c: one inode and what belongs to it, but not a directory's names. */
ek_status ck_inode(struct ck *ck, uint32_t index, struct ek_err *err);

/* xattr.c: the region of @in at @pos (space of the inode). */
ek_status ck_xattrs(struct ck *ck, uint32_t index, const struct ek_inode *in,
		    uint64_t pos, struct ek_err *err);

/* map.c: data of flat and chunk-based inodes. */
ek_status ck_map(struct ck *ck, uint32_t index, const struct ek_inode *in,
		 uint64_t pos, struct ek_err *err);
/*
 * Resolve @len bytes at byte @pa of device id @id. False in *@ok after a
 * finding. *@space is the device.
 */
ek_status ck_resolve(struct ck *ck, uint32_t index, unsigned id, uint64_t pa,
		     uint64_t len, uint32_t *space, uint64_t *dpa, bool *ok,
		     struct ek_err *err);
/* Whether [pos, pos + n) is inside the metadata space; else a finding. */
bool ck_meta_inside(struct ck *ck, uint32_t index, bool box, uint64_t pos,
		    uint64_t n, const char *what);

/* zmap.c, zindex.c: maps of compressed inodes. */
ek_status ck_zmap(struct ck *ck, uint32_t index, const struct ek_inode *in,
		  uint64_t pos, struct ek_err *err);
/* Every index against its neighbours; false in *@ok when they lie. */
ek_status ck_zindexes(struct ck *ck, uint32_t index, const struct ek_zmap *map,
		      struct ek_zcur *cur, bool *ok, struct ek_err *err);

/* dir.c: the names of directory @index; meets what they lead to. */
ek_status ck_dir(struct ck *ck, uint32_t index, struct ek_err *err);

/* space.c */
ek_status ck_claim(struct ck *ck, enum ck_kind kind, uint32_t owner,
		   uint32_t space, uint64_t start, uint64_t len,
		   struct ek_err *err);
/* Overlaps; with strict also what nothing claims. */
ek_status ck_claims_check(struct ck *ck, struct ek_err *err);
/* unused.c: bytes without a claim; @claims are sorted by space and start. */
ek_status ck_unused(struct ck *ck, struct ek_err *err);

/* sort.c */

/* Where bytes begin; spaces come one after another. */
struct ck_place {
	uint64_t at;
	uint32_t space;
};

/*
 * Sort @n items of @size bytes by place(), those of one place by compare(),
 * which must agree with it.
 */
void ck_sort(void *at, size_t n, size_t size,
	     struct ck_place (*place)(const void *item),
	     int (*compare)(const void *, const void *));

/* streams.c, decode.c */
ek_status ck_stream(struct ck *ck, const struct ck_stream *stream,
		    struct ek_err *err);
/*
 * Sort and unite all streams and start to decode them on the pool, unless
 * not wanted. From now on they do not change.
 */
ek_status ck_streams_start(struct ck *ck, struct ek_err *err);
/* Compare all streams; wait until they are decoded and tell of failures. */
ek_status ck_streams_check(struct ck *ck, struct ek_err *err);
/* Decode the first @n streams, which are sorted and distinct. */
ek_status ck_decode_start(struct ck *ck, size_t n, struct ek_err *err);
ek_status ck_decode_end(struct ck *ck, struct ek_err *err);
/* Stop and free ck->decoding, which may be NULL. */
void ck_decode_free(struct ck *ck);

#endif
