/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_CHECK_H
#define EROFSKIT_CHECK_H

/**
 * @file check.h
 * Check an EROFS image against the rules of its format. A clean check says
 * that the structure is valid and that every stream decodes to its length; it
 * says nothing about whose contents they are: EROFS has no checksum over data.
 */

#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How bad a finding is. */
enum ek_severity {
	/** Odd, yet every kernel reads it. An error when strict. */
	EK_SEVERITY_WARNING,
	/** A rule of the format is broken. */
	EK_SEVERITY_ERROR,
	/** Something could not be looked at, so nothing is known about it. */
	EK_SEVERITY_UNCHECKED,
};

/** One thing found; all of it is valid during the callback only. */
struct ek_finding {
	const char *code; /**< stable, e.g. "SUPER-CHECKSUM"; static text */
	enum ek_severity severity;
	/** Path in the image with a leading '/', or NULL when none fits. */
	const char *path;
	bool has_nid;
	uint64_t nid;
	/** Byte offset in the image (in the device, for a block of one). */
	bool has_offset;
	uint64_t offset;
	const char *words; /**< one line */
};

/** Called from the thread that called ek_check(), in a fixed order. */
typedef void (*ek_finding_fn)(void *arg, const struct ek_finding *finding);

/** Set size to sizeof(struct ek_check_options); zero the rest: defaults. */
struct ek_check_options {
	size_t size;
	/** Extra devices in slot order, borrowed. */
	struct ek_source *const *devices;
	size_t n_devices;
	bool ignore_checksum; /**< of the superblock */
	/** Warnings are errors; nothing unreferenced may be non-zero. */
	bool strict;
	bool metadata_only; /**< decode no file data */
	/** Most bytes to decode; 0: 1,000 times the size of the sources. */
	uint64_t max_decode;
	/** Threads that decode; 0: the CPUs that the process may use. */
	uint32_t workers;
	/** Look at this subtree only; NULL: all. Borrowed. */
	const char *path;
	/** Look at the subtree of this inode only. */
	bool has_nid;
	uint64_t nid;
	/** Most findings to hand out; 0: 10,000. All of them are counted. */
	uint64_t max_findings;
	/** Non-zero from another thread or a signal handler stops it. */
	const volatile int *cancel;
	ek_finding_fn finding; /**< may be NULL */
	void *finding_arg;
	/**
	 * Told on the calling thread when the superblock could be followed and
	 * before anything else is looked at; may be NULL.
	 */
	void (*opened)(void *arg);
	void *opened_arg;
};

/** What was looked at and found. */
struct ek_check_result {
	uint64_t errors, warnings, unchecked;
	/** The superblock is one of EROFS and could be followed. */
	bool opened;
	/** Only a part of the tree was asked for. */
	bool restricted;
	uint64_t inodes, directories, files, symlinks, others, names;
	uint64_t xattrs;
	/** Sum of sizes of regular files, and of the bytes that store them. */
	uint64_t data_bytes, stored_bytes;
	/** Sum of sizes of files with a compressed layout, and as stored. */
	uint64_t compressed_files, compressed_size, compressed_stored;
	/** Distinct compressed clusters, decoded ones, bytes decoded. */
	uint64_t pclusters, decoded_pclusters, decoded_bytes;
};

/**
 * Check the image in @p image (borrowed). What is wrong with the image is told
 * by findings and counted in @p result; EK_OK then too. Sources must allow
 * reads from several threads.
 *
 * EK_INVALID: options; EK_NOTFOUND: the path does not exist; EK_NOMEM;
 * EK_CANCELLED.
 */
ek_status ek_check(struct ek_source *image,
		   const struct ek_check_options *options,
		   struct ek_check_result *result, struct ek_err *err);

/** One row of the table of codes; all static. */
struct ek_check_code {
	const char *code;
	enum ek_severity severity; /**< without strict */
	bool strict_only;
	const char *meaning;
};

/** Row @p i of the table, from 0 on; NULL at its end. Any thread. */
const struct ek_check_code *ek_check_code(size_t i);

/** "warning", "error" or "unchecked". */
const char *ek_severity_name(enum ek_severity severity);

#ifdef __cplusplus
}
#endif

#endif
