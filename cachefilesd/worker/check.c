/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata is held against the rules of fsck before the kernel parses it with
 * root's rights. Data is not read: it is verified when it comes.
 */

#include "cachefilesd/worker/priv.h"

#include <erofskit/check.h>

#include <stdio.h>
#include <stdlib.h>

/* A device of whose bytes none is to be read. */
static ek_status no_read(struct ek_source *src, uint64_t offset, void *to,
			 size_t n, struct ek_err *err)
{
	(void)offset;
	(void)to;
	(void)n;
	return ek_fail(err, EK_IO, "%s: data is not read here",
		       src->name ? src->name : "device");
}

static void no_free(struct ek_source *src)
{
	(void)src;
}

static const struct ek_source_ops sized = {no_read, no_free};

struct seen {
	char first[512];
};

static void see(void *arg, const struct ek_finding *f)
{
	struct seen *seen = arg;

	if (!*seen->first && f->severity == EK_SEVERITY_ERROR)
		snprintf(seen->first, sizeof(seen->first), "%s: %s%s%s",
			 f->code, f->path ? f->path : "", f->path ? ": " : "",
			 f->words);
}

static ek_status run(struct ek_source *image, struct ek_source *const *devices,
		     size_t n, const char *what, struct ek_err *err)
{
	struct seen seen = {""};
	const struct ek_check_options options = {
		.size = sizeof(options),
		.devices = devices,
		.n_devices = n,
		.metadata_only = true,
		.workers = 1,
		.finding = see,
		.finding_arg = &seen,
	};
	struct ek_check_result result;

	EK_TRY(ek_check(image, &options, &result, err));
	if (!result.opened || result.errors)
		return ek_fail(err, EK_CORRUPT,
			       "%s: not fit for the kernel: %s", what,
			       *seen.first ? seen.first : "not an EROFS");
	return EK_OK;
}

ek_status check_metadata(struct ek_source *image, const uint64_t *sizes,
			 size_t n, const char *what, struct ek_err *err)
{
	struct ek_source *made = calloc(n ? n : 1, sizeof(*made));
	struct ek_source **devices = calloc(n ? n : 1, sizeof(*devices));
	ek_status s = EK_OK;

	if (!made || !devices)
		s = ek_fail(err, EK_NOMEM, "no memory for a check");
	for (size_t i = 0; s == EK_OK && i < n; i++) {
		made[i] = (struct ek_source){&sized, sizes[i], "device"};
		devices[i] = &made[i];
	}
	if (s == EK_OK)
		s = run(image, devices, n, what, err);
	free(devices);
	free(made);
	return s;
}

struct blob_source {
	struct ek_source base;
	struct blob *blob;
};

static ek_status read_blob(struct ek_source *src, uint64_t offset, void *to,
			   size_t n, struct ek_err *err)
{
	struct ekd_served *served = ((struct blob_source *)src)->blob->served;

	return ekd_served_pread(served, offset, to, n, err);
}

static void free_blob(struct ek_source *src)
{
	free(src);
}

static const struct ek_source_ops blob_ops = {read_blob, free_blob};

ek_status source_of_blob(struct blob *blob, struct ek_source **src,
			 struct ek_err *err)
{
	struct blob_source *made = malloc(sizeof(*made));

	if (!made)
		return ek_fail(err, EK_NOMEM, "no memory for a blob");
	*made = (struct blob_source){{&blob_ops, blob->size, blob->name}, blob};
	*src = &made->base;
	return EK_OK;
}
