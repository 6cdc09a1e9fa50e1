/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/evidence.h"

#include "cli/message.h"

#include <erofskit/manifest.h>
#include <erofskit/outfile.h>
#include <erofskit/trust.h>

#include <stdio.h>
#include <string.h>

/* Differences that are told one by one; all are counted. */
#define DIFFERENCES_TOLD 1000u

struct evidence {
	struct fsck_report *r;
	const struct fsck_options *o;
	struct ek_source *image;
	struct ek_source *const *devices;
	size_t n_devices;
	uint64_t told;
};

/*
 * What a comparison came to: evidence that does not fit is an error of the
 * image, evidence that could not be compared leaves it unchecked. Neither lets
 * anything be said about the contents.
 */
static void settle(struct evidence *e, const char *code, const char *name,
		   ek_status status, const struct ek_err *err)
{
	if (status == EK_OK) {
		fsck_report_proved(e->r, name);
		return;
	}
	e->r->evidence_failed = true;
	if (status == EK_DIFFERS)
		e->r->evidence_differs = true;
	fsck_report_add(e->r, code,
			status == EK_DIFFERS ? EK_SEVERITY_ERROR
					     : EK_SEVERITY_UNCHECKED,
			NULL, err->text);
}

static ek_status digest(struct evidence *e, struct ek_err *err)
{
	uint8_t wanted[EK_DIGEST_SIZE], got[EK_DIGEST_SIZE];
	char hex[65];
	ek_status status;

	status = ek_digest_parse(e->o->digest, wanted, err);
	if (status == EK_OK)
		status = ek_digest_source(e->image, e->o->extract.cancel, got,
					  err);
	if (status != EK_OK || !memcmp(wanted, got, sizeof(got)))
		return status;
	ek_digest_hex(got, hex);
	return ek_fail(err, EK_DIFFERS, "the digest of the image is sha256:%s",
		       hex);
}

static void params_of_options(const struct fsck_options *o,
			      struct ek_verity_params *p)
{
	*p = (struct ek_verity_params){.size = sizeof(*p)};
	p->data_block_size = p->hash_block_size = (uint32_t)o->verity_block;
	p->no_superblock = o->verity_no_super;
	p->salt_size = o->salt_size;
	memcpy(p->salt, o->salt, o->salt_size);
}

static ek_status verity(struct evidence *e, struct ek_err *err)
{
	const struct fsck_options *o = e->o;
	struct ek_verity_run run = {.size = sizeof(run),
				    .workers = o->check.workers,
				    .cancel = o->extract.cancel};
	struct ek_source *tree = NULL;
	struct ek_verity_params params;
	uint8_t root[EK_DIGEST_SIZE];
	ek_status status;

	params_of_options(o, &params);
	status = ek_digest_parse(o->verity_root, root, err);
	if (status == EK_OK && o->verity_tree)
		status = ek_source_open_file(o->verity_tree, 0, &tree, err);
	if (status == EK_OK && tree && !o->verity_no_super) {
		status = ek_verity_superblock(tree, &params, err);
		/* A tree that does not read as one does not fit either. */
		if (status == EK_CORRUPT)
			err->status = status = EK_DIFFERS;
	}
	/* Data behind the tree's part would not be vouched for. */
	if (status == EK_OK && params.data_blocks &&
	    params.data_blocks * params.data_block_size != e->image->size)
		status = ek_fail(err, EK_DIFFERS,
				 "the tree is over %llu blocks of %u bytes, "
				 "the image has %llu bytes",
				 (unsigned long long)params.data_blocks,
				 params.data_block_size,
				 (unsigned long long)e->image->size);
	if (status == EK_OK)
		status = ek_verity_verify(e->image, &params, tree, root, &run,
					  err);
	ek_source_free(tree);
	return status;
}

static ek_status make_verity(struct evidence *e, struct ek_err *err)
{
	const struct fsck_options *o = e->o;
	struct ek_verity_run run = {.size = sizeof(run),
				    .workers = o->check.workers,
				    .cancel = o->extract.cancel};
	struct ek_verity_params params;
	uint8_t root[EK_DIGEST_SIZE];
	struct ek_outfile *out;
	ek_status status;

	params_of_options(o, &params);
	status = ek_outfile_open(o->make_verity, NULL, &out, err);
	if (status != EK_OK)
		return status;
	status = ek_verity_format(e->image, &params, ek_outfile_fd(out),
				  o->make_verity, 0, &run, root, err);
	if (status != EK_OK) {
		ek_outfile_abort(out);
		return status;
	}
	ek_digest_hex(root, e->r->made_root);
	return ek_outfile_commit(out, err);
}

static ek_status difference(void *arg, const char *path,
			    enum ek_manifest_diff diff, const char *words,
			    struct ek_err *err)
{
	struct evidence *e = arg;

	(void)diff;
	(void)err;
	e->r->evidence_failed = e->r->evidence_differs = true;
	if (e->told++ < DIFFERENCES_TOLD)
		fsck_report_add(e->r, "EVIDENCE-MANIFEST", EK_SEVERITY_ERROR,
				path, words);
	else
		e->r->errors++;
	return EK_OK;
}

static ek_status compare_trees(struct evidence *e, struct ek_image *image,
			       struct ek_manifest *expected, struct ek_err *err)
{
	struct ek_manifest_image_options mo = {
		.size = sizeof(mo),
		.workers = e->o->check.workers,
		.cancel = e->o->extract.cancel,
		.max_bytes = e->o->extract.max_bytes,
	};
	struct ek_manifest_sink *sink;
	uint64_t differences = 0;
	ek_status status;

	status =
		ek_manifest_comparison_new(expected, difference, e, &sink, err);
	if (status != EK_OK)
		return status;
	status = ek_manifest_of_image(image, &mo, sink, err);
	if (status == EK_OK)
		status = ek_manifest_comparison_finish(sink, &differences, err);
	/* A tree that cannot be read is not the one that is told. */
	if (status == EK_CORRUPT)
		err->status = status = EK_DIFFERS;
	ek_manifest_comparison_free(sink);
	if (status == EK_OK && differences)
		return ek_fail(err, EK_DIFFERS,
			       "%llu differences from the manifest",
			       (unsigned long long)differences);
	return status;
}

static ek_status manifest(struct evidence *e, struct ek_err *err)
{
	struct ek_image_options io = {
		.size = sizeof(io),
		.devices = e->devices,
		.n_devices = e->n_devices,
		.ignore_checksum = true,
	};
	struct ek_source *text = NULL;
	struct ek_manifest *expected = NULL;
	struct ek_image *image = NULL;
	ek_status status;

	status = ek_source_open_file(e->o->manifest, 0, &text, err);
	if (status == EK_OK)
		status = ek_manifest_open(text, &expected, err);
	/* A manifest that is damaged says nothing about the image. */
	if (status == EK_OK)
		status = ek_image_open(e->image, &io, &image, err);
	if (status == EK_OK)
		status = compare_trees(e, image, expected, err);
	ek_image_free(image);
	ek_manifest_free(expected);
	ek_source_free(text);
	return status;
}

void fsck_evidence(struct fsck_report *r, struct ek_source *image,
		   struct ek_source *const *devices, size_t n_devices)
{
	struct evidence e = {.r = r,
			     .o = r->options,
			     .image = image,
			     .devices = devices,
			     .n_devices = n_devices};
	struct ek_err err;

	if (e.o->digest)
		settle(&e, "EVIDENCE-DIGEST", "digest", digest(&e, &err), &err);
	if (e.o->verity_root)
		settle(&e, "EVIDENCE-VERITY", "dm-verity root",
		       verity(&e, &err), &err);
	if (e.o->manifest && r->check.opened)
		settle(&e, "EVIDENCE-MANIFEST", "manifest", manifest(&e, &err),
		       &err);
	/* A tree vouches for an image: not for one with errors. */
	if (!e.o->make_verity)
		return;
	if (fsck_report_status(r) != FSCK_CLEAN) {
		cli_error("%s: no tree is made of an image that is not clean",
			  e.o->image);
		return;
	}
	if (make_verity(&e, &err) != EK_OK)
		fsck_report_add(r, "VERITY-NOT-MADE", EK_SEVERITY_UNCHECKED,
				NULL, err.text);
}
