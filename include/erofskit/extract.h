/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_EXTRACT_H
#define EROFSKIT_EXTRACT_H

/**
 * @file extract.h
 * Write the tree of an image, or a part of it, into a directory or as a tar
 * stream. A hostile image never gets outside the directory.
 */

#include <erofskit/image.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Whether to restore owners or permissions. */
enum ek_preserve {
	EK_PRESERVE_DEFAULT = 0, /**< yes for root, no for others */
	EK_PRESERVE_YES,
	EK_PRESERVE_NO,
};

/**
 * Told when a node could not be restored, or not all of it. @p status is the
 * reason; EK_OK marks a note: something left out on purpose, such as owners
 * without root. Called from the thread that called ek_extract().
 */
typedef void (*ek_extract_note_fn)(void *arg, const char *path,
				   ek_status status, const char *words);

/** Set size to sizeof(struct ek_extract_options); zero the rest: defaults. */
struct ek_extract_options {
	size_t size;
	/** Replace what exists; else each existing file is EK_EXISTS. */
	bool overwrite;
	bool no_xattrs;
	/** Read everything, make nothing; the directory may be -1. */
	bool dry_run;
	enum ek_preserve owner, perms;
	/** Most bytes of file data to write; 0: no limit. Else EK_LIMIT. */
	uint64_t max_bytes;
	uint32_t workers; /**< 0: the CPUs that the process may use */
	/** Non-zero from another thread or a signal handler stops it. */
	const volatile int *cancel;
	ek_extract_note_fn note; /**< may be NULL */
	void *note_arg;
};

/** What was restored. */
struct ek_extract_result {
	uint64_t directories, files, hard_links, symlinks, others;
	/** Nodes that failed, and that were left out on purpose. */
	uint64_t failed, skipped;
	/** Bytes of file data written; holes and zeros are not. */
	uint64_t bytes;
};

/**
 * Restore @p node (NULL: the root of the image) beneath the open directory
 * @p dirfd. With @p name the node becomes that name in the directory (one
 * component); without, it must be a directory, whose entries go straight into
 * @p dirfd and whose attributes @p dirfd gets.
 *
 * A node that fails does not stop the rest. When any failed the call fails in
 * the end with the first one's status; EK_CANCELLED, EK_LIMIT (max_bytes, or
 * more names than the image has room for) and EK_NOMEM stop it at once.
 */
ek_status ek_extract(struct ek_image *image, const struct ek_node *node,
		     int dirfd, const char *name,
		     const struct ek_extract_options *options,
		     struct ek_extract_result *result, struct ek_err *err);

/** Takes the next @p n bytes of a stream; a failure ends the writing. */
typedef ek_status (*ek_write_fn)(void *arg, const void *bytes, size_t n,
				 struct ek_err *err);

/**
 * Write @p node (NULL: the root) as a PAX tar stream, under the name @p name
 * (one component; NULL only for a directory, whose member is "./"), extended
 * attributes as SCHILY.xattr records, members in the order of the directories.
 * Sockets have no form in tar and are noted. The first failure ends it: a
 * damaged stream is never completed. Of the options, no_xattrs, max_bytes (file
 * data, with holes), cancel and note count.
 */
ek_status ek_extract_tar(struct ek_image *image, const struct ek_node *node,
			 const char *name, ek_write_fn write, void *arg,
			 const struct ek_extract_options *options,
			 struct ek_extract_result *result, struct ek_err *err);

#ifdef __cplusplus
}
#endif

#endif
