/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_STREAM_H
#define EROFSKIT_STREAM_H

/**
 * @file stream.h
 * Decompress a sequential input: gzip, xz, lzma (alone), zstd. Several members
 * or frames one after another are one stream, as the tools of these formats
 * have it. The end of a stream is checked (CRC, sizes); a cut one is
 * EK_CORRUPT, never a silent end.
 */

#include <erofskit/status.h>
#include <erofskit/tar.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ek_stream_kind {
	EK_STREAM_PLAIN = 0,
	EK_STREAM_GZIP,
	EK_STREAM_XZ, /**< .xz and .lzma */
	EK_STREAM_ZSTD,
};

/** Memory that a decoder may take for its window, in bytes (xz -9, zstd -22
 * --ultra: 128 MiB). More is EK_LIMIT. */
#define EK_STREAM_WINDOW_MAX (128u << 20)

/** Bytes that ek_stream_detect() wants to see. */
#define EK_STREAM_MAGIC 13

/** Which kind begins with these @p n bytes. */
enum ek_stream_kind ek_stream_detect(const uint8_t *bytes, size_t n);

/** Name for people, "gzip". */
const char *ek_stream_name(enum ek_stream_kind kind);

/**
 * Put a decoder of @p kind over @p in. On success @p in belongs to *out and is
 * freed with it; on failure it stays the caller's. EK_STREAM_PLAIN is
 * EK_INVALID. @p name stands in errors.
 */
ek_status ek_stream_decode(struct ek_tar_input *in, enum ek_stream_kind kind,
			   const char *name, struct ek_tar_input **out,
			   struct ek_err *err);

/**
 * Look at the first bytes of @p in and put the decoder that fits over it, or
 * none. Ownership as ek_stream_decode(); *kind is what was found.
 */
ek_status ek_stream_auto(struct ek_tar_input *in, const char *name,
			 struct ek_tar_input **out, enum ek_stream_kind *kind,
			 struct ek_err *err);

#ifdef __cplusplus
}
#endif

#endif
