/* SPDX-License-Identifier: Apache-2.0 */

/* An overlay over mounts of the holder's, in a child of it. */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Links 0, 1, ... to the layers; "lowerdir=0:1:..." in @options. */
static ek_status link_lowers(struct ekd_state *h,
			     const struct ekd_overlay *overlay, int links,
			     char *options, size_t room, struct ek_err *err)
{
	struct ekd_record *record = calloc(1, sizeof(*record));
	ek_status status = EK_OK;
	size_t n = 0;

	if (!record)
		return ek_fail(err, EK_NOMEM, "no memory for an overlay");
	for (uint32_t i = 0; i < overlay->n_lowers && status == EK_OK; i++) {
		char name[16];
		int fd = -1;

		status = ekd_record_read(h, overlay->lowers[i], record, err);
		if (status == EK_OK && !record->mounted.alive)
			status = ek_fail(err, EK_NOTFOUND,
					 "%s: is not mounted any more",
					 overlay->lowers[i]);
		if (status == EK_OK)
			fd = open(record->target,
				  O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (status == EK_OK && fd < 0)
			status = ek_fail_sys(err, errno, "%s", record->target);
		snprintf(name, sizeof(name), "%u", (unsigned)i);
		if (status == EK_OK)
			status = ekd_link_put(links, name, fd, err);
		n += (size_t)snprintf(options + n, room - n, "%s%s",
				      i ? ":" : "lowerdir=", name);
	}
	free(record);
	return status;
}

/* rw/ID/upper and rw/ID/work, which stay after the umount. */
static ek_status link_upper(struct ekd_state *h,
			    const struct ekd_overlay *overlay, int links,
			    struct ek_err *err)
{
	int dir, upper, work;

	if (h->rw_fd < 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "no directory for writable layers");
	EK_TRY(ekd_path_walk(h->rw_fd, overlay->id, true, &dir, err));
	EK_TRY(ekd_path_walk(dir, "upper", true, &upper, err));
	EK_TRY(ekd_path_walk(dir, "work", true, &work, err));
	EK_TRY(ekd_rw_claim(h, overlay, dir, upper, err));
	EK_TRY(ekd_link_put(links, "upper", upper, err));
	return ekd_link_put(links, "work", work, err);
}

static ek_status mount_overlay(struct ekd_state *h, struct ekd_record *record,
			       int target, const char *options,
			       struct ek_err *err)
{
	bool rw = record->mounted.overlay.flags & EKD_OVERLAY_RW;
	unsigned long flags = MS_NODEV | (rw ? 0 : MS_RDONLY);
	char source[EKD_PATH], type[32], path[40];
	ek_status status;

	if (!(record->mounted.overlay.flags & EKD_OVERLAY_SUID))
		flags |= MS_NOSUID;
	EK_TRY(ekd_record_write(h, record, true, err));
	ekd_holder_step(h, "holder:recorded");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	if (mount(record->source, path, "overlay", flags, options) != 0)
		status = ek_fail_sys(err, errno, "mounting an overlay at %s",
				     record->target);
	else
		status = ekd_mounted_at(record->target, type, source,
					&record->dev, err);
	if (status == EK_OK && strcmp(source, record->source) != 0)
		status = ek_fail(err, EK_DIFFERS, "%s: mounted from %s",
				 record->target, source);
	if (status != EK_OK) {
		ekd_record_remove(h, record->mounted.overlay.id);
		return status;
	}
	ekd_holder_step(h, "holder:mounted");
	return ekd_record_write(h, record, false, err);
}

static ek_status overlay_it(struct ekd_state *h, struct ekd_record *record,
			    int target, int links, struct ek_err *err)
{
	const struct ekd_overlay *overlay = &record->mounted.overlay;
	char options[64 + 4 * EKD_LOWERS];

	EK_TRY(link_lowers(h, overlay, links, options, sizeof(options), err));
	if (overlay->flags & EKD_OVERLAY_RW) {
		size_t n = strlen(options);

		EK_TRY(link_upper(h, overlay, links, err));
		snprintf(options + n, sizeof(options) - n,
			 ",upperdir=upper,workdir=work");
	} else if (overlay->n_lowers < 2) {
		return ek_fail(err, EK_INVALID,
			       "an overlay of one layer that is read only");
	}
	if (fchdir(links) != 0) /* layers are named from there */
		return ek_fail_sys(err, errno, "links");
	return mount_overlay(h, record, target, options, err);
}

ek_status ekd_do_overlay(struct ekd_state *h, struct ekd_result *result,
			 struct ek_err *err)
{
	struct ekd_record *record = calloc(1, sizeof(*record));
	const struct ekd_overlay *overlay = &h->in.overlay;
	ek_status status;
	int target, links;

	(void)result;
	if (!record)
		return ek_fail(err, EK_NOMEM, "no memory for an overlay");
	if ((overlay->flags & EKD_OVERLAY_SUID) && !h->options->allow_suid) {
		free(record);
		return ek_fail(err, EK_INVALID,
			       "setuid is not allowed by the configuration");
	}
	record->mounted.is_overlay = true;
	record->mounted.overlay = *overlay;
	snprintf(record->source, EKD_PATH, "erofskit-%s", overlay->id);
	status = ekd_path_beneath(h->options->mount_roots, overlay->target,
				  &target, err);
	if (status == EK_OK)
		status = ekd_path_empty(target, overlay->target, err);
	if (status == EK_OK)
		status = ekd_path_real(target, record->target, err);
	if (status == EK_OK)
		status = ekd_links_make(h, overlay->id, &links, err);
	if (status == EK_OK) {
		status = overlay_it(h, record, target, links, err);
		ekd_links_remove(h, overlay->id);
	}
	free(record);
	return status;
}
