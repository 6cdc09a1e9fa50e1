/* SPDX-License-Identifier: Apache-2.0 */

/* What this host can do, found by trying, not by the kernel's version. */

#include "cachefilesd/kernel/door-ops.h"
#include "cachefilesd/kernel/fuse.h"
#include "cachefilesd/kernel/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* A trial takes milliseconds; a host may be busy. */
#define TRIAL_MS 10000

static void say(struct ekd_door_report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct ekd_door_report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
}

/* Whether the kernel has EROFS (a module is loaded by asking), else why not. */
static bool has_erofs(char why[128])
{
	int fd = fsopen("erofs", FSOPEN_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno == EPERM)
		snprintf(why, 128, "needs root to try");
	else if (errno == ENODEV)
		snprintf(why, 128, "this kernel has no EROFS");
	else
		snprintf(why, 128, "EROFS: %s", strerror(errno));
	return false;
}

static bool opens(const char *path, char why[128])
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno == ENOENT)
		snprintf(why, 128, "no %s", path);
	else if (errno == ENODEV || errno == ENXIO)
		snprintf(why, 128, "nothing is behind %s", path);
	else if (geteuid() != 0)
		snprintf(why, 128, "needs root to try");
	else
		snprintf(why, 128, "%s: %s", path, strerror(errno));
	return false;
}

/* By trial: what it found against the door is in r->why. */
static bool tried(struct ekd_door_report *r, enum ekd_trial_door door,
		  bool *resend)
{
	struct ekd_trial trial;
	char why[128];

	if (!has_erofs(why)) {
		say(r, "%s", why);
		return false;
	}
	ekd_trial_run(door, TRIAL_MS, &trial);
	if (trial.status != EK_OK)
		say(r, "%s", trial.text);
	if (resend)
		*resend = trial.resend;
	return trial.status == EK_OK;
}

void ekd_fuse_probe(struct ekd_door_report *r)
{
	char why[128];
	bool resend;

	r->served = true;
	if (!opens("/dev/fuse", why)) {
		say(r, "%s", why);
		return;
	}
	r->works = tried(r, EKD_TRIAL_FUSE, &resend);
	if (r->works)
		say(r, "an image was mounted and read; fails closed; %s",
		    resend ? "readers do not see a restart"
			   : "readers get errors at a restart before "
			     "Linux 6.9");
}

static void probe_loop(struct ekd_door_report *r)
{
	char why[128];

	r->name = "loop";
	r->served = true;
	if (!opens("/dev/fuse", why) || !opens("/dev/loop-control", why)) {
		say(r, "%s", why);
		return;
	}
	r->works = tried(r, EKD_TRIAL_LOOP, NULL);
	if (r->works)
		say(r, "an image was mounted and read, by loop devices over "
		       "files of the fuse door: mount --loop");
}

static void probe_fanotify(struct ekd_door_report *r)
{
	r->name = "fanotify";
	r->works = tried(r, EKD_TRIAL_FANOTIFY, NULL);
	if (r->works)
		say(r, "an image was mounted and read; fails open when every "
		       "process of the daemon dies; this version does not "
		       "serve by it");
}

static void probe_cachefiles(struct ekd_door_report *r)
{
	char why[128];

	r->name = "cachefiles";
	if (!opens("/dev/cachefiles", why)) {
		say(r, "%s", why);
		return;
	}
	r->works = true;
	say(r, "opens; no image was mounted by it; this version does not "
	       "serve by it");
}

void ekd_doors_probe(struct ekd_door_report reports[EKD_DOORS])
{
	memset(reports, 0, EKD_DOORS * sizeof(*reports));
	reports[0].name = "fuse";
	ekd_door_fuse.probe(&reports[0]);
	probe_loop(&reports[1]);
	probe_fanotify(&reports[2]);
	probe_cachefiles(&reports[3]);
}
