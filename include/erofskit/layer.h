/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_LAYER_H
#define EROFSKIT_LAYER_H

/**
 * @file layer.h
 * Trees that come from tar archives and images, to build as they are or to
 * merge as overlayfs would. One thread at a time uses a layer.
 */

#include <erofskit/build.h>
#include <erofskit/source.h>
#include <erofskit/status.h>
#include <erofskit/tar.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A tree with its data, in memory but for the data of files. */
struct ek_layer;

/** Set size to sizeof(struct ek_layer_options), zero the rest. */
struct ek_layer_options {
	size_t size;
	/**
	 * Turn AUFS whiteouts (".wh.NAME", ".wh..wh..opq"), as OCI layers have
	 * them, into those of overlayfs.
	 */
	bool aufs;
	/** Leave out whiteouts and overlayfs's own attributes. */
	bool strip_overlay;
	/** The archive has headers only; files read as holes. */
	bool headers_only;
	/** Keep no extended attributes. */
	bool no_xattrs;
	/**
	 * An open, empty file that the data of files is copied to, when the
	 * input is a stream and the data is wanted: spool_fd is used if
	 * spool is set. Borrowed; must outlive the layer.
	 */
	bool spool;
	int spool_fd;
	/**
	 * For an index: the device is not the archive alone but a longer file,
	 * in which the archive begins at this byte (a multiple of 512).
	 */
	uint64_t device_offset;
	/** Length of that file; 0: of the archive. */
	uint64_t device_bytes;
	/** Identity of the device, at most 64 characters; NULL: none. */
	const char *device_tag;
	/** Non-zero from another thread or a signal handler stops it. */
	const volatile int *cancel;
};

/** What an archive had that a tree cannot keep; told, never silent. */
struct ek_layer_notes {
	uint64_t members;
	uint64_t unknown_members; /**< of a type that is not known */
	uint64_t dropped_acls;	  /**< ACL entries with a name, no number */
	uint64_t dropped_xattrs;  /**< attributes whose names Linux has not */
	bool trailing_bytes;	/**< bytes behind the end that are no member */
	uint64_t archive_bytes; /**< bytes up to the end of the archive */
	char label[256];	/**< of a volume header, or "" */
};

/**
 * The tree of the archive read from @p in (borrowed). @p archive: the same
 * bytes for reading data later (borrowed, must outlive the layer), or NULL.
 * @p notes may be NULL. EK_CORRUPT names the member that is wrong.
 */
ek_status ek_layer_from_tar(struct ek_tar_input *in, struct ek_source *archive,
			    const char *name,
			    const struct ek_layer_options *options,
			    struct ek_layer **layer,
			    struct ek_layer_notes *notes, struct ek_err *err);

/**
 * The tree of the EROFS image in file @p path; @p devices (n_devices paths, may
 * be none) hold data that the image points to.
 */
ek_status ek_layer_from_image(const char *path, const char *const *devices,
			      size_t n_devices, struct ek_layer **layer,
			      struct ek_err *err);

/** Release @p layer; NULL allowed. */
void ek_layer_free(struct ek_layer *layer);

/** Most layers that merge. */
#define EK_LAYERS_MAX 127u

/**
 * Merge @p n layers, bottom to top. Those belong to the result, which also
 * lives while they are needed; on failure they stay the
 * caller's, who can only free them.
 */
ek_status ek_layer_merge(struct ek_layer *const *layers, size_t n,
			 bool strip_overlay, const volatile int *cancel,
			 struct ek_layer **merged, struct ek_err *err);

/**
 * Build @p layer into descriptor @p fd as ek_build_directory() does. A layer
 * may be built several times. An index without a block size in @p options gets
 * ek_layer_block_size().
 */
ek_status ek_build_layer(struct ek_layer *layer,
			 const struct ek_build_options *options, int fd,
			 const char *name, struct ek_build_stats *stats,
			 struct ek_err *err);

/**
 * The largest blocks that can address all data of the layer in place: 512 for
 * a tar, an image's own size, the smallest of merged layers.
 */
uint32_t ek_layer_block_size(const struct ek_layer *layer);

/** Names in the tree, the root not counted. */
uint64_t ek_layer_names(const struct ek_layer *layer);

#ifdef __cplusplus
}
#endif

#endif
