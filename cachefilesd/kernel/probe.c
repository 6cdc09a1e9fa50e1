/* SPDX-License-Identifier: Apache-2.0 */

/* What this host can do, found by trying, not by the kernel's version alone. */

#include "cachefilesd/kernel/door-ops.h"
#include "cachefilesd/kernel/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

/* EROFS over files without a loop device; requests delivered again. */
#define KERNEL_FILES  612
#define KERNEL_RESEND 609

static unsigned kernel(char release[65])
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	release[0] = 0;
	if (uname(&name) != 0)
		return 0;
	snprintf(release, 65, "%s", name.release);
	sscanf(release, "%u.%u", &major, &minor);
	return major * 100 + (minor < 100 ? minor : 99);
}

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
	else
		snprintf(why, 128, "%s: %s", path, strerror(errno));
	return false;
}

void ekd_fuse_probe(struct ekd_door_report *r)
{
	char why[128], release[65];
	unsigned version = kernel(release);

	r->served = true;
	if (!opens("/dev/fuse", why) || !has_erofs(why)) {
		say(r, "%s", why);
		return;
	}
	r->works = version >= KERNEL_FILES;
	if (!r->works)
		say(r,
		    "Linux %s mounts EROFS from files by loop devices only "
		    "(6.12)",
		    release);
	else
		say(r, "fails closed; %s",
		    version >= KERNEL_RESEND
			    ? "readers do not see a restart"
			    : "readers get errors at a restart (Linux 6.9)");
}

static void probe_loop(struct ekd_door_report *r)
{
	char why[128], release[65];

	r->name = "loop";
	r->served = true;
	if (!opens("/dev/fuse", why) || !opens("/dev/loop-control", why) ||
	    !has_erofs(why)) {
		say(r, "%s", why);
		return;
	}
	r->works = true;
	say(r, "over files of the fuse door%s",
	    kernel(release) < KERNEL_FILES ? "" : "; with mount --loop alone");
}

static void probe_fanotify(struct ekd_door_report *r)
{
	int fd = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC |
				       FAN_UNLIMITED_QUEUE,
			       O_RDONLY);
	char release[65];

	r->name = "fanotify";
	if (fd < 0) {
		say(r, "fanotify: %s", strerror(errno));
		return;
	}
	close(fd);
	r->works = kernel(release) >= 614;
	if (r->works)
		say(r, "fails open when every process of the daemon dies; this "
		       "version does not serve by it");
	else
		say(r, "Linux %s has no pre-content events (6.14)", release);
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
	say(r, "this version does not serve by it");
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
