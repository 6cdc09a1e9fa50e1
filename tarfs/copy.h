/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_COPY_H
#define TARFS_COPY_H

/* Bytes on their way through: decompressed, digested, written, in one pass. */

#include <erofskit/leaf.h>
#include <erofskit/stream.h>
#include <erofskit/trust.h>

#include <stdatomic.h>
#include <stdbool.h>

struct tarfs_meter;

/* What ends a copy early: a signal, or the failure of another one. */
struct tarfs_stop {
	const volatile int *signal; /* or NULL */
	atomic_int failed;
};

/* How bytes go. */
struct tarfs_copy_how {
	const char *name; /* of what is read, for errors */
	int fd;		  /* to append to, or -1: nowhere */
	const char *to;	  /* name of fd */
	bool leaves;	  /* make leaf digests of what is written */
	struct tarfs_stop *stop;
	struct tarfs_meter *meter; /* told of what was read; or NULL */
};

struct tarfs_copy {
	uint8_t digest[EK_DIGEST_SIZE]; /* of what was read */
	uint8_t plain[EK_DIGEST_SIZE];	/* of what it decompressed to */
	uint64_t bytes_in, bytes_out;
	enum ek_stream_kind kind;
	struct ek_leaves *leaves; /* the caller's to free; or NULL */
};

/*
 * Read @in (borrowed) to its end, decompress what is compressed, and append
 * the result to where @how says.
 */
ek_status tarfs_copy(struct ek_tar_input *in, const struct tarfs_copy_how *how,
		     struct tarfs_copy *copy, struct ek_err *err);

/* SHA-256 of @n bytes. */
ek_status tarfs_sha256(const void *bytes, size_t n,
		       uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err);

/* SHA-256 of all of the file @fd (borrowed), which is called @name. */
ek_status tarfs_digest_fd(int fd, const char *name, const volatile int *cancel,
			  uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err);

#define TARFS_DIGEST_TEXT (7 + 64 + 1)

/* "sha256:HEX" */
void tarfs_digest_text(const uint8_t digest[EK_DIGEST_SIZE],
		       char text[TARFS_DIGEST_TEXT]);

/*
 * Whether @text is "sha256:" and 64 lower-case digits: nothing else may become
 * a part of a path. EK_UNSUPPORTED for other algorithms, EK_CORRUPT else.
 */
ek_status tarfs_digest_check(const char *text, struct ek_err *err);

/* A line of progress on a terminal; threads may step it at once. */
struct tarfs_meter *tarfs_meter_new(const char *what, uint64_t total);
void tarfs_meter_step(struct tarfs_meter *meter, uint64_t bytes);
/* Wipe the line; NULL allowed. */
void tarfs_meter_free(struct tarfs_meter *meter);

#endif
