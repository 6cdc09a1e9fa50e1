/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/opts.h"
#include "mkfs/report.h"

#include "cli/message.h"

#include <erofskit/outfile.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a signal handler may touch. */
static volatile int caught;
static struct ek_outfile *volatile output;
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
	if (output)
		ek_outfile_remove(output);
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

static ek_status check_source(const char *source, struct ek_err *err)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return ek_fail_sys(err, errno, "%s", source);
	if (S_ISDIR(st.st_mode))
		return EK_OK;
	if (S_ISREG(st.st_mode))
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: not a directory; images and archives as "
			       "source are not supported by this version",
			       source);
	return ek_fail(err, EK_INVALID, "%s: not a directory", source);
}

/* The absolute path that @image has or will have; NULL: cannot be told. */
static char *resolve_image(const char *image)
{
	char *path = realpath(image, NULL), *dir = NULL, *real;
	const char *slash = strrchr(image, '/');

	if (path)
		return path;
	if (slash == image)
		return strdup(image);
	dir = slash ? strndup(image, (size_t)(slash - image)) : strdup(".");
	real = dir ? realpath(dir, NULL) : NULL;
	if (real &&
	    asprintf(&path, "%s/%s", real, slash ? slash + 1 : image) < 0)
		path = NULL;
	free(real);
	free(dir);
	return path;
}

/*
 * An old image inside the source is no part of the tree, or a second run with
 * the same arguments would give another image.
 */
static ek_status leave_out_image(struct mkfs_options *o, struct ek_err *err)
{
	char *image = resolve_image(o->image);
	char *source = realpath(o->source, NULL);
	ek_status s = EK_OK;

	if (image && source) {
		size_t n = strcmp(source, "/") ? strlen(source) : 0;

		if (strncmp(image, source, n) == 0 && image[n] == '/')
			s = mkfs_exclude(o, image + n + 1, err);
	}
	free(image);
	free(source);
	return s;
}

static ek_status build(struct mkfs_options *o, struct ek_build_stats *stats,
		       uint64_t *finish_ns, struct ek_err *err)
{
	const struct ek_outfile_options how = {
		.size = sizeof(how),
		.no_sync = o->no_sync,
	};
	struct progress progress = {0};
	struct ek_outfile *out;
	uint64_t start;
	ek_status s;

	CLI_TRY(check_source(o->source, err));
	CLI_TRY(leave_out_image(o, err));
	CLI_TRY(ek_outfile_open(o->image, &how, &out, err));
	output = out;
	o->build.cancel = &caught;
	if (progress_wanted(o)) {
		o->build.progress = progress_step;
		o->build.progress_arg = &progress;
	}
	s = ek_build_directory(o->source, &o->walk, &o->build,
			       ek_outfile_fd(out), o->image, stats, err);
	progress_end(&progress);
	if (s == EK_OK && caught)
		s = ek_fail(err, EK_CANCELLED, "cancelled");
	committing = s == EK_OK;
	output = NULL;
	if (s != EK_OK) {
		ek_outfile_abort(out);
		return s;
	}
	start = now_ns();
	s = ek_outfile_commit(out, err);
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
