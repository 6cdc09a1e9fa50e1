/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/verbs.h"

#include "cli/json.h"
#include "cli/message.h"
#include "tarfs/leaves.h"
#include "tarfs/record.h"

#include <erofskit/check.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct verify {
	const struct tarfs_options *o;
	struct record r;
	struct ek_source *image, *devices[EK_LAYERS_MAX];
	struct cli_json j; /* with --json: inside the array of findings */
	uint64_t errors, unchecked;
	size_t layers_checked;
	struct ek_check_result check;
};

static void told(struct verify *v, enum ek_severity severity, const char *code,
		 const char *path, const char *words)
{
	const struct tarfs_options *o = v->o;

	if (severity == EK_SEVERITY_ERROR)
		v->errors++;
	if (severity == EK_SEVERITY_UNCHECKED)
		v->unchecked++;
	if (o->json) {
		cli_json_open(&v->j, NULL, '{');
		cli_json_text(&v->j, "code", code);
		cli_json_text(&v->j, "severity", ek_severity_name(severity));
		if (path)
			cli_json_text(&v->j, "path", path);
		cli_json_text(&v->j, "words", words);
		cli_json_close(&v->j);
	} else if (severity != EK_SEVERITY_WARNING || !o->quiet) {
		cli_message(CLI_LEVEL_MAX,
			    severity == EK_SEVERITY_WARNING ? CLI_WARNING
							    : CLI_ERROR,
			    "%s: %s%s%s", code, path ? path : "",
			    path ? ": " : "", words);
	}
}

/* Something failed: damage, or no look at it. */
static void failed(struct verify *v, const char *code, const struct ek_err *err)
{
	bool wrong = err->status == EK_CORRUPT || err->status == EK_DIFFERS ||
		     err->status == EK_CHANGED || err->status == EK_NOTFOUND;

	told(v, wrong ? EK_SEVERITY_ERROR : EK_SEVERITY_UNCHECKED, code, NULL,
	     err->text);
}

static ek_status digest_file(const char *path, uint64_t offset, uint64_t bytes,
			     const volatile int *cancel,
			     char text[TARFS_DIGEST_TEXT], struct ek_err *err)
{
	uint8_t digest[EK_DIGEST_SIZE];
	struct ek_source *file, *slice = NULL;
	ek_status s;

	CLI_TRY(ek_source_open_file(path, 0, &file, err));
	s = ek_source_slice(file, offset, bytes, &slice, err);
	if (s == EK_OK)
		s = ek_digest_source(slice, cancel, digest, err);
	ek_source_free(slice);
	ek_source_free(file);
	if (s == EK_OK)
		tarfs_digest_text(digest, text);
	return s;
}

static bool seen_before(const struct record *r, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(r->devices[k].path, r->devices[i].path) == 0 &&
		    r->devices[k].offset == r->devices[i].offset &&
		    r->layers[k].diff_id && r->layers[i].diff_id &&
		    strcmp(r->layers[k].diff_id, r->layers[i].diff_id) == 0)
			return true;
	return false;
}

static void layer(struct verify *v, size_t i)
{
	const struct record_device *d = &v->r.devices[i];
	const char *want = v->r.layers[i].diff_id;
	char got[TARFS_DIGEST_TEXT];
	struct ek_err err;

	if (!want) {
		told(v, EK_SEVERITY_WARNING, "LAYER-NO-DIGEST", d->path,
		     "no digest is known to compare with");
		return;
	}
	v->layers_checked++;
	if (seen_before(&v->r, i))
		return;
	if (d->leaves.path &&
	    leaves_verify(&d->leaves, d->path, d->offset, d->tar_bytes,
			  v->o->build.cancel, &err) != EK_OK)
		failed(v, "LAYER-LEAVES", &err);
	if (digest_file(d->path, d->offset, d->tar_bytes, v->o->build.cancel,
			got, &err) != EK_OK) {
		failed(v, "LAYER-READ", &err);
		return;
	}
	if (strcmp(got, want) == 0)
		return;
	ek_fail(&err, EK_DIFFERS, "layer %zu: its diff id is %s, not %s", i,
		got, want);
	failed(v, "LAYER-DIGEST", &err);
}

static void config(struct verify *v)
{
	char got[TARFS_DIGEST_TEXT], *path = NULL;
	struct ek_source *src = NULL;
	struct ek_err err;
	ek_status s;

	if (!v->r.config)
		return;
	if (asprintf(&path, "%s/config.json", v->r.dir) < 0) {
		told(v, EK_SEVERITY_UNCHECKED, "CONFIG", NULL, "no memory");
		return;
	}
	s = ek_source_open_file(path, 0, &src, &err);
	if (s == EK_OK)
		s = digest_file(path, 0, src->size, NULL, got, &err);
	if (s == EK_OK && strcmp(got, v->r.config_digest) != 0)
		s = ek_fail(&err, EK_DIFFERS,
			    "config.json: its digest is %s, not %s", got,
			    v->r.config_digest);
	if (s != EK_OK)
		failed(v, "CONFIG", &err);
	ek_source_free(src);
	free(path);
}

static void finding(void *arg, const struct ek_finding *f)
{
	told(arg, f->severity, f->code, f->path, f->words);
}

static ek_status open_sources(struct verify *v, struct ek_err *err)
{
	CLI_TRY(ek_source_open_file(v->r.merged, 0, &v->image, err));
	for (size_t i = 0; i < v->r.n; i++)
		CLI_TRY(ek_source_open_file(v->r.devices[i].path, 0,
					    &v->devices[i], err));
	return EK_OK;
}

static void structure(struct verify *v)
{
	struct ek_check_options co = {
		.size = sizeof(co),
		.devices = v->devices,
		.n_devices = v->r.n,
		.workers = v->o->build.workers,
		.cancel = v->o->build.cancel,
		.finding = finding,
		.finding_arg = v,
	};
	struct ek_err err;

	if (open_sources(v, &err) != EK_OK ||
	    ek_check(v->image, &co, &v->check, &err) != EK_OK)
		failed(v, "MERGED", &err);
	ek_source_free(v->image);
	for (size_t i = 0; i < v->r.n; i++)
		ek_source_free(v->devices[i]);
}

static int finish(struct verify *v)
{
	int status = v->errors	    ? TARFS_ERRORS
		     : v->unchecked ? TARFS_UNCHECKED
				    : TARFS_OK;

	if (v->o->json) {
		cli_json_close(&v->j);
		cli_json_unsigned(&v->j, "layers", v->r.n);
		cli_json_unsigned(&v->j, "layers_checked", v->layers_checked);
		cli_json_unsigned(&v->j, "files", v->check.files);
		cli_json_unsigned(&v->j, "data_bytes", v->check.data_bytes);
		cli_json_unsigned(&v->j, "errors", v->errors);
		cli_json_unsigned(&v->j, "unchecked", v->unchecked);
		cli_json_close(&v->j);
	} else if (!v->o->quiet) {
		printf("%zu layers, %zu of them against their digests; "
		       "%" PRIu64 " files of %" PRIu64 " bytes\n%s\n",
		       v->r.n, v->layers_checked, v->check.files,
		       v->check.data_bytes,
		       status == TARFS_OK ? "No errors found" : "ERRORS");
	}
	return cli_finish() && status == TARFS_OK ? TARFS_UNCHECKED : status;
}

int tarfs_verify(const struct tarfs_options *o)
{
	struct verify v = {.o = o};
	struct ek_err err;
	int status;

	if (record_read(&v.r, o->operands[0], &err) != EK_OK) {
		cli_error("%s", err.text);
		record_free(&v.r);
		return err.status == EK_CORRUPT ? TARFS_ERRORS
						: TARFS_UNCHECKED;
	}
	if (o->json) {
		cli_json_start(&v.j, stdout);
		cli_json_open(&v.j, NULL, '{');
		cli_json_open(&v.j, "findings", '[');
	}
	if (record_check_devices(&v.r, &err) != EK_OK)
		failed(&v, "DEVICE", &err);
	config(&v);
	for (size_t i = 0; i < v.r.n && !*o->build.cancel; i++)
		layer(&v, i);
	structure(&v);
	status = finish(&v);
	record_free(&v.r);
	return status;
}
