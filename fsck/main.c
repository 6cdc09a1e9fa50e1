/* SPDX-License-Identifier: Apache-2.0 */

/* fsck.erofs: check an image, compare it with evidence, extract it. */

#include "cli/message.h"
#include "cli/options.h"
#include "fsck/beside.h"
#include "fsck/evidence.h"
#include "fsck/opts.h"
#include "fsck/report.h"
#include "fsck/restore.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Set by a signal: the library stops where it can. */
static volatile int stop;

static void on_signal(int sig)
{
	stop = sig;
}

static void catch_signals(void)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};
	size_t i;

	/* A second one kills. */
	sa.sa_flags = (int)SA_RESETHAND;
	for (i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaction(caught[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

struct opened {
	struct ek_source *image;
	struct ek_source **devices;
	size_t n;
};

static void close_all(struct opened *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		ek_source_free(s->devices[i]);
	free(s->devices);
	ek_source_free(s->image);
}

static ek_status open_all(const struct fsck_options *o, struct opened *s,
			  struct ek_err *err)
{
	ek_status status;

	status = ek_source_open_file(o->image, o->offset, &s->image, err);
	if (status != EK_OK)
		return status;
	s->devices = calloc(o->n_devices + 1, sizeof(*s->devices));
	if (!s->devices)
		return ek_fail(err, EK_NOMEM, "no memory");
	for (; s->n < o->n_devices; s->n++) {
		status = ek_source_open_file(o->devices[s->n], 0,
					     &s->devices[s->n], err);
		if (status != EK_OK)
			return status;
	}
	return EK_OK;
}

/* The budget of the check holds for what is written too. */
static void set_budget(struct fsck_options *o, const struct opened *s)
{
	uint64_t bytes = s->image->size;
	size_t i;

	for (i = 0; i < s->n; i++)
		bytes += s->devices[i]->size;
	o->extract.max_bytes = o->check.max_decode;
	if (!o->extract.max_bytes)
		o->extract.max_bytes =
			bytes > UINT64_MAX / 1000 ? UINT64_MAX : bytes * 1000;
}

struct work {
	struct fsck_report r;
	const struct opened *s;
	struct ek_image_options io;
	struct fsck_beside *beside; /* NULL: not started */
};

static void restore(struct work *w)
{
	struct fsck_report *r = &w->r;
	struct ek_image *image = NULL;
	struct ek_err err;

	/* Whoever gives evidence does not want other contents. */
	if (r->evidence_failed || !r->check.opened) {
		cli_error("%s: not extracted", r->options->image);
		return;
	}
	if (ek_image_open(w->s->image, &w->io, &image, &err) != EK_OK) {
		cli_error("%s: %s", r->options->image, err.text);
		r->unchecked++;
		return;
	}
	r->have_extract = true;
	fsck_restore(r->options, image, &r->extract, fsck_restore_tell, r);
	ek_image_free(image);
}

/* Whether extraction must wait for what evidence says. */
static bool has_evidence(const struct fsck_options *o)
{
	return o->digest || o->verity_root || o->verity_tree ||
	       o->make_verity || o->manifest;
}

/* The check has opened the image. */
static void opened(void *arg)
{
	struct work *w = arg;
	const struct fsck_options *o = w->r.options;

	if (o->extract_dir && !has_evidence(o) && o->extract.workers != 1)
		w->beside = fsck_beside_start(&w->r, w->s->image, &w->io);
}

/* False when the check could not be made at all; told. */
static bool check(struct work *w)
{
	const struct fsck_options *o = w->r.options;
	struct ek_check_options co = o->check;
	struct ek_err err;

	co.devices = w->s->devices;
	co.n_devices = w->s->n;
	co.finding = fsck_report_finding;
	co.finding_arg = &w->r;
	co.opened = opened;
	co.opened_arg = w;
	co.cancel = &stop;
	/* Extraction decodes everything itself. */
	if (o->extract_dir || o->tar)
		co.metadata_only = true;
	if (ek_check(w->s->image, &co, &w->r.check, &err) == EK_OK)
		return true;
	cli_error("%s: %s", o->image, err.text);
	w->r.unchecked++;
	return false;
}

static int run(struct fsck_options *o, const struct opened *s)
{
	struct work w = {.r.options = o, .s = s};
	int status;

	w.io.size = sizeof(w.io);
	w.io.devices = s->devices;
	w.io.n_devices = s->n;
	w.io.ignore_checksum = true;
	set_budget(o, s);
	o->extract.cancel = &stop;
	fsck_report_start(&w.r);
	if (check(&w)) {
		fsck_evidence(&w.r, s->image, s->devices, s->n);
		if (w.beside)
			fsck_beside_end(w.beside, &w.r);
		else if (o->extract_dir || o->tar)
			restore(&w);
	} else if (w.beside) {
		stop = SIGTERM;
		fsck_beside_end(w.beside, NULL);
	}
	status = fsck_report_end(&w.r);
	return cli_finish() && status == FSCK_CLEAN ? FSCK_UNCHECKED : status;
}

int main(int argc, char **argv)
{
	struct fsck_options o = {0};
	struct opened s = {0};
	struct ek_err err;
	int status;

	status = fsck_parse(argc, argv, &o);
	if (status == CLI_GO_ON) {
		catch_signals();
		if (open_all(&o, &s, &err) == EK_OK) {
			status = run(&o, &s);
		} else {
			cli_error("%s", err.text);
			status = FSCK_UNCHECKED;
		}
		close_all(&s);
	}
	fsck_options_free(&o);
	return status;
}
