/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/report.h"

#include "cli/cpu.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

/*
 * Names come from the image: what could forge a line, or a column of one, is
 * written \xNN.
 */
static void put_path(FILE *out, const char *path)
{
	const unsigned char *p = (const unsigned char *)path;

	for (; *p; p++) {
		if (*p <= ' ' || *p == 0x7f || *p == '\\')
			fprintf(out, "\\x%02x", *p);
		else
			fputc(*p, out);
	}
}

static void put_words(FILE *out, const char *words)
{
	const unsigned char *p = (const unsigned char *)words;

	for (; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			fprintf(out, "\\x%02x", *p);
		else
			fputc(*p, out);
	}
}

static void text_finding(FILE *out, const struct ek_finding *f)
{
	fprintf(out, "%s %s ", f->code, ek_severity_name(f->severity));
	if (f->path)
		put_path(out, f->path);
	else
		fputc('-', out);
	if (f->has_nid)
		fprintf(out, " %" PRIu64, f->nid);
	else
		fputs(" -", out);
	if (f->has_offset)
		fprintf(out, " %" PRIu64 " ", f->offset);
	else
		fputs(" - ", out);
	put_words(out, f->words);
	fputc('\n', out);
}

static void json_finding(struct cli_json *j, const struct ek_finding *f)
{
	cli_json_open(j, NULL, '{');
	cli_json_text(j, "code", f->code);
	cli_json_text(j, "severity", ek_severity_name(f->severity));
	if (f->path)
		cli_json_text(j, "path", f->path);
	else
		cli_json_null(j, "path");
	if (f->has_nid)
		cli_json_unsigned(j, "nid", f->nid);
	else
		cli_json_null(j, "nid");
	if (f->has_offset)
		cli_json_unsigned(j, "offset", f->offset);
	else
		cli_json_null(j, "offset");
	cli_json_text(j, "words", f->words);
	cli_json_close(j);
}

void fsck_report_start(struct fsck_report *r)
{
	const struct fsck_options *o = r->options;

	r->out = o->tar && !strcmp(o->tar, "-") ? stderr : stdout;
	if (!o->json)
		return;
	cli_json_start(&r->json, r->out);
	cli_json_open(&r->json, NULL, '{');
	cli_json_text(&r->json, "image", o->image);
	cli_json_open(&r->json, "findings", '[');
}

void fsck_report_finding(void *arg, const struct ek_finding *finding)
{
	struct fsck_report *r = arg;

	if (r->options->json)
		json_finding(&r->json, finding);
	else
		text_finding(r->out, finding);
}

void fsck_report_add(struct fsck_report *r, const char *code,
		     enum ek_severity severity, const char *path,
		     const char *words)
{
	struct ek_finding f = {.code = code,
			       .severity = severity,
			       .path = path,
			       .words = words};

	if (severity == EK_SEVERITY_ERROR)
		r->errors++;
	else if (severity == EK_SEVERITY_UNCHECKED)
		r->unchecked++;
	fsck_report_finding(r, &f);
}

void fsck_report_proved(struct fsck_report *r, const char *what)
{
	size_t n = strlen(r->proved);

	snprintf(r->proved + n, sizeof(r->proved) - n, "%s%s", n ? ", " : "",
		 what);
}

int fsck_report_status(const struct fsck_report *r)
{
	if (r->check.errors || r->errors)
		return FSCK_ERRORS;
	if (r->check.unchecked || r->unchecked)
		return FSCK_UNCHECKED;
	return FSCK_CLEAN;
}

/* What the structure is known to be. */
static const char *structure_words(const struct fsck_report *r)
{
	const struct fsck_options *o = r->options;

	switch (fsck_report_status(r)) {
	case FSCK_ERRORS:
		return r->check.errors || !r->evidence_failed
			       ? "damaged"
			       : "structure valid";
	case FSCK_UNCHECKED:
		/* Evidence that is not there says nothing of the structure. */
		if (!r->check.unchecked && r->evidence_failed)
			break;
		return r->check.opened ? "not fully checked" : "not checked";
	default:
		break;
	}
	if (r->check.restricted)
		return "structure of the part asked for valid";
	if (o->check.metadata_only)
		return "structure of metadata valid, file data not decoded";
	return "structure valid";
}

static void contents_words(const struct fsck_report *r, char *words, size_t n)
{
	if (r->evidence_differs)
		snprintf(words, n, "contents are NOT those of the evidence");
	else if (r->evidence_failed)
		snprintf(
			words, n,
			"contents not authenticated: the evidence could not be "
			"compared");
	else if (*r->proved)
		snprintf(words, n, "contents authenticated by %s", r->proved);
	else
		snprintf(words, n, "contents not authenticated");
}

static double ratio(const struct ek_check_result *c)
{
	return c->compressed_size ? 100.0 * (double)c->compressed_stored /
					    (double)c->compressed_size
				  : 100.0;
}

static void json_summary(struct fsck_report *r, const char *contents)
{
	const struct ek_check_result *c = &r->check;
	struct cli_json *j = &r->json;

	cli_json_open(j, "summary", '{');
	cli_json_unsigned(j, "errors", c->errors + r->errors);
	cli_json_unsigned(j, "warnings", c->warnings);
	cli_json_unsigned(j, "unchecked", c->unchecked + r->unchecked);
	cli_json_unsigned(j, "inodes", c->inodes);
	cli_json_unsigned(j, "directories", c->directories);
	cli_json_unsigned(j, "files", c->files);
	cli_json_unsigned(j, "symlinks", c->symlinks);
	cli_json_unsigned(j, "others", c->others);
	cli_json_unsigned(j, "names", c->names);
	cli_json_unsigned(j, "xattrs", c->xattrs);
	cli_json_unsigned(j, "data_bytes", c->data_bytes);
	cli_json_unsigned(j, "stored_bytes", c->stored_bytes);
	cli_json_unsigned(j, "streams", c->pclusters);
	cli_json_unsigned(j, "decoded_streams", c->decoded_pclusters);
	cli_json_unsigned(j, "decoded_bytes", c->decoded_bytes);
	cli_json_unsigned(j, "compressed_files", c->compressed_files);
	cli_json_real(j, "compressed_percent", ratio(c), 2);
	cli_json_text(j, "structure", structure_words(r));
	cli_json_text(j, "contents", contents);
	cli_json_close(j);
}

/* The two threads that walk bound what workers can save. */
static void json_cpu(struct fsck_report *r)
{
	struct cli_json *j = &r->json;

	cli_json_open(j, "cpu_seconds", '{');
	cli_json_real(j, "checking_thread", cli_cpu_seconds(RUSAGE_THREAD), 6);
	if (r->extract_cpu > 0)
		cli_json_real(j, "extracting_thread", r->extract_cpu, 6);
	cli_json_real(j, "all", cli_cpu_seconds(RUSAGE_SELF), 6);
	cli_json_close(j);
}

static void json_end(struct fsck_report *r, const char *contents)
{
	const struct ek_extract_result *e = &r->extract;
	struct cli_json *j = &r->json;

	cli_json_close(j); /* findings */
	cli_json_open(j, "evidence", '{');
	cli_json_text(j, "held", r->proved);
	cli_json_bool(j, "failed", r->evidence_failed);
	if (*r->made_root)
		cli_json_text(j, "verity_root", r->made_root);
	cli_json_close(j);
	if (r->have_extract) {
		cli_json_open(j, "extraction", '{');
		cli_json_unsigned(j, "directories", e->directories);
		cli_json_unsigned(j, "files", e->files);
		cli_json_unsigned(j, "hard_links", e->hard_links);
		cli_json_unsigned(j, "symlinks", e->symlinks);
		cli_json_unsigned(j, "others", e->others);
		cli_json_unsigned(j, "bytes", e->bytes);
		cli_json_unsigned(j, "failed", e->failed);
		cli_json_unsigned(j, "skipped", e->skipped);
		cli_json_close(j);
	}
	json_summary(r, contents);
	json_cpu(r);
	cli_json_unsigned(j, "status", (uint64_t)fsck_report_status(r));
	cli_json_close(j);
}

static void text_end(struct fsck_report *r, const char *contents)
{
	const struct ek_check_result *c = &r->check;
	const char *image = r->options->image;
	FILE *out = r->out;

	if (*r->made_root)
		fprintf(out, "root hash: %s\n", r->made_root);
	if (r->options->ratio)
		fprintf(out,
			"%s: compression ratio %.2f%% (%" PRIu64 " of %" PRIu64
			" files)\n",
			image, ratio(c), c->compressed_files, c->files);
	if (r->options->quiet)
		return;
	if (c->opened)
		fprintf(out,
			"%s: %" PRIu64 " inodes (%" PRIu64
			" directories, %" PRIu64 " files, %" PRIu64
			" symlinks, %" PRIu64 " others), %" PRIu64
			" bytes of data, %" PRIu64 " of %" PRIu64
			" streams decoded\n",
			image, c->inodes, c->directories, c->files, c->symlinks,
			c->others, c->data_bytes, c->decoded_pclusters,
			c->pclusters);
	if (r->have_extract)
		fprintf(out,
			"%s: extracted %" PRIu64 " directories, %" PRIu64
			" files, %" PRIu64 " hard links, %" PRIu64
			" symlinks, %" PRIu64 " others; %" PRIu64
			" failed, %" PRIu64 " left out\n",
			image, r->extract.directories, r->extract.files,
			r->extract.hard_links, r->extract.symlinks,
			r->extract.others, r->extract.failed,
			r->extract.skipped);
	fprintf(out,
		"%s: %" PRIu64 " errors, %" PRIu64 " warnings, %" PRIu64
		" unchecked: %s; %s\n",
		image, c->errors + r->errors, c->warnings,
		c->unchecked + r->unchecked, structure_words(r), contents);
}

int fsck_report_end(struct fsck_report *r)
{
	char contents[256];

	contents_words(r, contents, sizeof(contents));
	if (r->options->json)
		json_end(r, contents);
	else
		text_end(r, contents);
	return fsck_report_status(r);
}
