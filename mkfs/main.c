/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/input.h"
#include "mkfs/leaves.h"
#include "mkfs/opts.h"
#include "mkfs/outputs.h"
#include "mkfs/report.h"
#include "mkfs/verify.h"

#include "cli/message.h"

#include <erofskit/outfile.h>

#include <signal.h>

/* What a signal handler may touch. */
static volatile int caught;
static volatile sig_atomic_t committing;

/*
 * The first signal asks the build to stop, so that everything is undone in
 * order. A second one finds a build that does not come back, say from a read
 * of a dead network: remove the temporary file and go. While the image is
 * published there is nothing to stop any more.
 */
static void on_signal(int sig)
{
	if (!caught) {
		caught = sig;
		return;
	}
	if (committing)
		return;
	outputs_remove();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void watch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction act = {.sa_handler = on_signal};
	struct sigaction old;

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* nohup(1) and shells say what is to be ignored. */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
	/* A reader that went away is an error of writing, not our end. */
	signal(SIGPIPE, SIG_IGN);
}

/* End as the signal would have ended us: the caller's shell looks at that. */
static void end_by_signal(void)
{
	int sig = caught;
	sigset_t set;

	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
}

/* Build from what @o names into the open outputs. */
static ek_status build_image(struct mkfs_options *o, enum input_kind kind,
			     const struct outputs *out,
			     struct ek_build_stats *stats, struct ek_err *err)
{
	int fd = ek_outfile_fd(out->file[OUT_IMAGE]);
	uint64_t start = now_ns(), read;
	struct input in;
	ek_status s;

	if (kind == INPUT_DIRECTORY)
		return ek_build_directory(o->sources[0], &o->walk, &o->build,
					  fd, o->image, stats, err);
	CLI_TRY(input_open(&in, kind, o, out, err));
	read = now_ns();
	s = ek_build_layer(in.layer, &o->build, fd, o->image, stats, err);
	stats->ns_walk = read - start;
	input_close(&in);
	return s;
}

static ek_status build(struct mkfs_options *o, struct ek_build_stats *stats,
		       uint64_t *finish_ns, struct ek_err *err)
{
	struct progress progress = {0};
	struct mkfs_verify verify;
	enum input_kind kind;
	struct outputs out;
	uint64_t start;
	ek_status s;

	CLI_TRY(input_kind(o, &kind, err));
	mkfs_warn_unused(o, kind == INPUT_DIRECTORY);
	CLI_TRY(outputs_open(&out, o, err));
	o->build.cancel = &caught;
	if (o->blob)
		o->build.blob_fd = ek_outfile_fd(out.file[OUT_BLOB]);
	if (progress_wanted(o)) {
		o->build.progress = progress_step;
		o->build.progress_arg = &progress;
	}
	s = mkfs_verify_begin(&verify, o, &out, err);
	o->build.manifest = verify.sink;
	if (s == EK_OK)
		s = build_image(o, kind, &out, stats, err);
	progress_end(&progress);
	if (s == EK_OK)
		s = mkfs_verify_finish(&verify, o, &out, err);
	mkfs_verify_end(&verify);
	if (s == EK_OK)
		s = leaves_write(o, &out, stats, err);
	if (s == EK_OK && caught)
		s = ek_fail(err, EK_CANCELLED, "cancelled");
	if (s != EK_OK) {
		outputs_abort(&out);
		return s;
	}
	committing = 1;
	start = now_ns();
	s = outputs_commit(&out, err);
	committing = 0;
	*finish_ns = now_ns() - start;
	return s;
}

int main(int argc, char **argv)
{
	uint64_t start = now_ns(), finish = 0;
	struct ek_build_stats stats = {0};
	struct mkfs_options o;
	struct ek_err err;
	int status = mkfs_parse(&o, argc, argv);

	if (status == CLI_GO_ON) {
		watch_signals();
		report_start(&o);
		if (build(&o, &stats, &finish, &err) == EK_OK) {
			report_done(&o, &stats, now_ns() - start, finish);
			status = cli_finish();
		} else {
			status = 1;
			if (!caught)
				cli_error("%s", err.text);
		}
	}
	mkfs_options_free(&o);
	if (caught && status)
		end_by_signal();
	return status;
}
