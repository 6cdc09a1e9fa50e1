/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_IMAGE_H
#define EROFSKIT_IMAGE_H

/**
 * @file image.h
 * Read an EROFS image: superblock, inodes, directories, extents, data,
 * extended attributes. Everything that Linux 6.18 can mount can be read.
 *
 * An ek_image may be used by several threads at once; an ek_node is a plain
 * value that any thread may copy. Everything read from the image is checked
 * before use: a hostile image gives EK_CORRUPT, never a crash or a hang.
 */

#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ek_image;

/** Set size to sizeof(struct ek_image_options); zero the rest. */
struct ek_image_options {
	size_t size;
	/** Extra devices in slot order, borrowed; NULL with n_devices 0. */
	struct ek_source *const *devices;
	size_t n_devices;
	/** Do not verify the checksum of the superblock. */
	bool ignore_checksum;
};

/**
 * Open the image in @p src (borrowed; must outlive the image). Validates the
 * superblock, config blobs, device table, prefix table, packed, metabox and
 * root inode. @p options may be NULL.
 *
 * EK_CORRUPT: not EROFS or broken; EK_UNSUPPORTED: a feature or codec that
 * this build cannot read; EK_INVALID: number of devices does not fit.
 */
ek_status ek_image_open(struct ek_source *src,
			const struct ek_image_options *options,
			struct ek_image **image, struct ek_err *err);

/** Release @p image; NULL allowed. Its sources stay. */
void ek_image_free(struct ek_image *image);

/** What the superblock says, in host byte order. */
struct ek_image_info {
	uint32_t block_size;
	uint32_t checksum;
	uint32_t feature_compat, feature_incompat;
	uint64_t root_nid, packed_nid, metabox_nid;
	/** Inodes and blocks as recorded (informational). */
	uint64_t inodes, blocks;
	/** Seconds since 1970 and nanoseconds of the build. */
	int64_t build_time;
	uint32_t fixed_nsec;
	/** Base of compact inodes' times. */
	int64_t epoch;
	uint64_t meta_blkaddr, xattr_blkaddr;
	uint8_t uuid[16];
	/** Volume name, always NUL-terminated. */
	char volume_name[17];
	uint16_t algorithms;
	uint16_t lz4_max_distance;
	/** Largest LZ4 pcluster in blocks (0: one). */
	uint16_t lz4_max_pclusterblks;
	uint16_t n_devices;
	uint8_t n_prefixes;
	uint8_t sb_extslots;
	/** First byte after superblock and codec configurations. */
	uint64_t header_end;
	/** Byte position of the device table (n_devices slots of 128). */
	uint64_t device_table;
	/**
	 * There are extra devices but none were given: they are looked for on
	 * the primary one, at their unified addresses.
	 */
	bool flattened;
};

/** Facts of the superblock; the view lives as long as the image. */
const struct ek_image_info *ek_image_info(const struct ek_image *image);

/** One slot of the device table. */
struct ek_image_device {
	char tag[65];	  /**< identity, NUL-terminated */
	uint64_t blocks;  /**< size in blocks of the file system */
	uint64_t uniaddr; /**< first block in the unified space, 0: none */
};

/** Slot @p slot (from 0). EK_NOTFOUND from ek_image_info()->n_devices on. */
ek_status ek_image_device(const struct ek_image *image, unsigned int slot,
			  struct ek_image_device *device, struct ek_err *err);

/** The oldest Linux that mounts an image. */
struct ek_image_need {
	unsigned int major, minor;
	const char *reason; /**< constant words, e.g. "zstd compression" */
};

/**
 * What the superblock asks of Linux (features and codecs; not what single
 * inodes use), with pages of 4 KiB.
 */
void ek_image_need(const struct ek_image *image, struct ek_image_need *need);

/** Layouts of an inode's data, as on disk. */
enum ek_layout {
	EK_LAYOUT_FLAT_PLAIN = 0,
	EK_LAYOUT_COMPRESSED_FULL = 1,
	EK_LAYOUT_FLAT_INLINE = 2,
	EK_LAYOUT_COMPRESSED_COMPACT = 3,
	EK_LAYOUT_CHUNK_BASED = 4,
};

/** One inode, decoded and checked. Public members are read-only. */
struct ek_node {
	uint64_t nid;
	/** st_mode of stat(2): type and permission bits. */
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid, gid;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t rdev_major, rdev_minor;
	/** Serial number on disk (not the NID). */
	uint32_t ino;
	uint8_t layout; /**< enum ek_layout */
	bool extended;	/**< 64-byte form */
	bool dot_omitted;
	/** Bytes of the inline xattr region, 0 if none. */
	uint32_t xattr_size;
	/** Byte position of the inode in its address space. */
	uint64_t position;
	/** First data block (flat), blocks written (compressed). */
	uint64_t startblk;
	/** Flat: no block address at all (reads as a hole). */
	bool null_address;
	/** Chunk-based: format word. */
	uint16_t chunk_format;
};

/** Read inode @p nid. EK_CORRUPT when it breaks a rule. */
ek_status ek_image_node(struct ek_image *image, uint64_t nid,
			struct ek_node *node, struct ek_err *err);

/** The root directory. */
ek_status ek_image_root(struct ek_image *image, struct ek_node *node,
			struct ek_err *err);

/**
 * Find @p path (absolute or relative to the root; "." and empty components
 * are skipped, ".." is refused with EK_INVALID), not following symlinks.
 * EK_NOTFOUND when a component does not exist or is no directory.
 */
ek_status ek_image_lookup(struct ek_image *image, const char *path,
			  struct ek_node *node, struct ek_err *err);

/** One name of a directory; the name is not NUL-terminated. */
struct ek_dirent {
	uint64_t nid;
	const char *name; /**< valid during the callback */
	size_t name_len;  /**< 1 to 255 */
	uint8_t type;	  /**< file_type of the format, 0 to 7 */
};

/** Return EK_OK to go on; any other status ends the iteration with it. */
typedef ek_status (*ek_dirent_fn)(void *arg, const struct ek_dirent *entry,
				  struct ek_err *err);

/**
 * Call @p fn for each entry of directory @p node in stored order, "." and
 * ".." too when they are stored.
 */
ek_status ek_image_readdir(struct ek_image *image, const struct ek_node *node,
			   ek_dirent_fn fn, void *arg, struct ek_err *err);

/**
 * Find one name in a directory, by binary search as the kernel does. "." is
 * found in every directory. entry->name is @p name. EK_NOTFOUND when it is not
 * there, EK_INVALID when @p dir is no directory.
 */
ek_status ek_image_find(struct ek_image *image, const struct ek_node *dir,
			const char *name, size_t name_len,
			struct ek_dirent *entry, struct ek_err *err);

/**
 * The bytes [start, end) that belong to the metadata of @p node: its core,
 * attributes, map and inline tail. They are in the data of the metabox inode
 * when bit 63 of its NID is set, else on the primary device.
 */
ek_status ek_image_node_range(struct ek_image *image,
			      const struct ek_node *node, uint64_t *start,
			      uint64_t *end, struct ek_err *err);

/** Flags of an extent. */
enum ek_extent_flag {
	EK_EXTENT_MAPPED = 1 << 0,     /**< has data; else a hole of zeros */
	EK_EXTENT_COMPRESSED = 1 << 1, /**< a codec's stream */
	EK_EXTENT_INLINE = 1 << 2,     /**< physical is in metadata space */
	EK_EXTENT_FRAGMENT = 1 << 3,   /**< physical is in the packed inode */
	EK_EXTENT_PARTIAL = 1 << 4,    /**< stream may hold more than logical */
	EK_EXTENT_INTERLACED = 1 << 5, /**< plain data rotated in its block */
	EK_EXTENT_PLAIN_PCLUSTER = 1 << 6, /**< stored bytes in a pcluster */
	EK_EXTENT_METABOX = 1 << 7, /**< inline in the metabox inode's data */
};

/** A run of a file and where its bytes are. */
struct ek_extent {
	uint64_t logical;	 /**< byte offset in the file */
	uint64_t logical_length; /**< bytes, > 0 */
	/** 0 = primary device, k = slot k-1; after unified-space resolution. */
	uint16_t device;
	uint64_t physical;	  /**< byte offset in device/metadata/packed */
	uint64_t physical_length; /**< bytes stored there */
	uint8_t algorithm;	  /**< 0 lz4, 1 lzma, 2 deflate, 3 zstd */
	uint32_t flags;		  /**< enum ek_extent_flag */
};

/**
 * The extent that holds byte @p offset (< node->size) of @p node. The extent
 * begins at its own start, which may be before @p offset. Directories and
 * symlinks too.
 */
ek_status ek_image_map(struct ek_image *image, const struct ek_node *node,
		       uint64_t offset, struct ek_extent *extent,
		       struct ek_err *err);

/**
 * Read exactly @p n bytes at @p offset of the data of @p node; offset + n must
 * not exceed node->size (EK_INVALID, also for data on a device that was not
 * given). Verified lengths: a stream that decodes
 * to another length is EK_CORRUPT.
 */
ek_status ek_image_read(struct ek_image *image, const struct ek_node *node,
			uint64_t offset, void *to, size_t n,
			struct ek_err *err);

/**
 * Read all bytes of extent @p extent (as given by ek_image_map()) into @p to,
 * which holds extent->logical_length bytes (at most EK_EXTENT_MAX when it is
 * compressed; EK_LIMIT otherwise). For callers that walk files in order.
 */
ek_status ek_image_read_extent(struct ek_image *image,
			       const struct ek_node *node,
			       const struct ek_extent *extent, void *to,
			       struct ek_err *err);

/** Largest decoded length of one compressed extent (12 MiB, as Linux). */
#define EK_EXTENT_MAX (12u << 20)

/**
 * Target of symlink @p node, NUL-terminated, malloc'ed, for the caller to
 * free(). EK_CORRUPT when it is empty, longer than 4095 bytes or holds a NUL.
 */
ek_status ek_image_readlink(struct ek_image *image, const struct ek_node *node,
			    char **target, struct ek_err *err);

/** One extended attribute with its full name, e.g. "user.x". */
struct ek_xattr {
	const char *name; /**< NUL-terminated; valid during the callback */
	size_t name_len;
	const uint8_t *value; /**< valid during the callback */
	size_t value_len;
	bool shared; /**< from the shared area */
	/**
	 * Shared only: where the entry is and its bytes; in the data of the
	 * metabox inode when in_metabox is set, else on the primary device.
	 */
	uint64_t position;
	uint32_t stored;
	bool in_metabox;
};

typedef ek_status (*ek_xattr_fn)(void *arg, const struct ek_xattr *xattr,
				 struct ek_err *err);

/** Call @p fn for each attribute: inline ones first, then shared. */
ek_status ek_image_xattrs(struct ek_image *image, const struct ek_node *node,
			  ek_xattr_fn fn, void *arg, struct ek_err *err);

#ifdef __cplusplus
}
#endif

#endif
