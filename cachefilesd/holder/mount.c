/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Mounting an EROFS image, in a child of the holder: it may wait for reads
 * that the worker answers. Every file is opened and checked first; the kernel
 * opens it again through a link to the descriptor, so that nobody can put
 * another in its place. The link's path is what mountinfo shows.
 */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"
#include "cachefilesd/kernel/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

ek_status ekd_links_make(struct ekd_state *h, const char *id, int *dir,
			 struct ek_err *err)
{
	int images;
	ek_status status;

	EK_TRY(ekd_path_walk(h->run_fd, "images", true, &images, err));
	ekd_links_remove(h, id);
	status = ekd_path_walk(images, id, true, dir, err);
	close(images);
	return status;
}

ek_status ekd_link_put(int dir, const char *name, int fd, struct ek_err *err)
{
	char to[40];

	snprintf(to, sizeof(to), "/proc/self/fd/%d", fd);
	if (symlinkat(to, dir, name) != 0)
		return ek_fail_sys(err, errno, "link %s", name);
	return EK_OK;
}

void ekd_links_remove(struct ekd_state *h, const char *id)
{
	static const char *const names[] = {"primary", "upper", "work"};
	char name[EKD_ID + 32];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "images/%s/%s", id, names[i]);
		unlinkat(h->run_fd, name, 0);
	}
	for (unsigned i = 0; i < EKD_DEVICES; i++) {
		snprintf(name, sizeof(name), "images/%s/%u", id, i);
		if (unlinkat(h->run_fd, name, 0) != 0)
			break; /* they are numbered without gaps */
	}
	snprintf(name, sizeof(name), "images/%s", id);
	unlinkat(h->run_fd, name, AT_REMOVEDIR);
}

/* The target directory: where nothing is mounted yet. */
static ek_status open_target(struct ekd_state *h, const struct ekd_mount *mount,
			     int *fd, struct ek_err *err)
{
	char layer[EKD_ID + 16];
	struct statx stx;
	ek_status status;

	if (mount->flags & EKD_MOUNT_LAYER) {
		snprintf(layer, sizeof(layer), "layers/%s", mount->id);
		EK_TRY(ekd_path_walk(h->run_fd, layer, true, fd, err));
	} else {
		EK_TRY(ekd_path_beneath(h->options->mount_roots, mount->target,
					fd, err));
	}
	if (statx(*fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) == 0 &&
	    (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT)) {
		close(*fd);
		return ek_fail(err, EK_EXISTS,
			       "%s: something is mounted there already",
			       mount->target);
	}
	/*
	 * A worker that was taken over writes what it mounts: what programs
	 * find at /etc or /usr/bin must stay what it is.
	 */
	status = ekd_path_empty(*fd, mount->target, err);
	if (status != EK_OK)
		close(*fd);
	return status;
}

/* What is being mounted. The process ends afterwards and closes all. */
struct task {
	struct ekd_record record;
	int links, target;
	bool loops;
	char source[EKD_PATH];
	char devices[EKD_DEVICES][96];
	int fds[1 + EKD_DEVICES];
};

static ek_status open_sources(struct ekd_state *h, struct task *task,
			      struct ek_err *err)
{
	const struct ekd_mount *mount = &task->record.mounted.mount;
	char name[16];

	EK_TRY(ekd_path_source(h, &mount->primary, &task->fds[0], err));
	EK_TRY(ekd_link_put(task->links, "primary", task->fds[0], err));
	for (uint32_t i = 0; i < mount->n_devices; i++) {
		EK_TRY(ekd_path_source(h, &mount->devices[i], &task->fds[1 + i],
				       err));
		snprintf(name, sizeof(name), "%u", (unsigned)i);
		EK_TRY(ekd_link_put(task->links, name, task->fds[1 + i], err));
	}
	return EK_OK;
}

static ek_status attach_loops(struct task *task, struct ek_err *err)
{
	const struct ekd_mount *mount = &task->record.mounted.mount;
	char name[32];
	int loop;

	EK_TRY(ekd_loop_attach(task->fds[0], name, &loop, err));
	snprintf(task->source, sizeof(task->source), "%s", name);
	for (uint32_t i = 0; i < mount->n_devices; i++) {
		EK_TRY(ekd_loop_attach(task->fds[1 + i], name, &loop, err));
		snprintf(task->devices[i], sizeof(task->devices[i]), "%s",
			 name);
	}
	return EK_OK;
}

/* The kernel's own words about a mount that failed. */
static ek_status fail_fs(int fs, int sys, const char *what, struct ek_err *err)
{
	char text[200];
	ssize_t n = read(fs, text, sizeof(text) - 1);

	if (n <= 2)
		return ek_fail_sys(err, sys, "mounting EROFS: %s", what);
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return ek_fail_sys(err, sys, "mounting EROFS: %s: %s", what, text + 2);
}

static ek_status configure(int fs, const struct task *task, struct ek_err *err)
{
	const struct ekd_mount *mount = &task->record.mounted.mount;

	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", task->source, 0) != 0)
		return fail_fs(fs, errno, "source", err);
	for (uint32_t i = 0; i < mount->n_devices; i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, "device",
			     task->devices[i], 0) != 0)
			return fail_fs(fs, errno, "device", err);
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0)
		return fail_fs(fs, errno, "ro", err);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
		if (errno == ENOTBLK)
			return ek_fail(err, EK_UNSUPPORTED,
				       "this kernel's EROFS mounts block "
				       "devices alone");
		return fail_fs(fs, errno, "the image", err);
	}
	return EK_OK;
}

static ek_status attach(int fs, const struct task *task, struct ek_err *err)
{
	unsigned attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
	int mnt, sys;

	if (!(task->record.mounted.mount.flags & EKD_MOUNT_SUID))
		attr |= MOUNT_ATTR_NOSUID;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	if (mnt < 0)
		return fail_fs(fs, errno, "fsmount", err);
	if (move_mount(mnt, "", task->target, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
	    0) {
		sys = errno;
		close(mnt);
		return ek_fail_sys(err, sys, "%s", task->record.target);
	}
	close(mnt);
	return EK_OK;
}

static ek_status mount_task(const struct task *task, struct ek_err *err)
{
	int fs = fsopen("erofs", FSOPEN_CLOEXEC);
	ek_status status;

	if (fs < 0)
		return ek_fail_sys(err, errno, "this kernel has no EROFS");
	status = configure(fs, task, err);
	if (status == EK_OK)
		status = attach(fs, task, err);
	close(fs);
	return status;
}

/* It is ours, and what the kernel reads is what we gave it. */
static ek_status check_mounted(struct task *task, struct ek_err *err)
{
	char source[EKD_PATH], type[32];

	EK_TRY(ekd_mounted_at(task->record.target, type, source,
			      &task->record.dev, err));
	if (strcmp(type, "erofs") != 0 || strcmp(source, task->source) != 0) {
		umount2(task->record.target, MNT_DETACH | UMOUNT_NOFOLLOW);
		return ek_fail(err, EK_DIFFERS,
			       "%s: mounted from %s instead of %s",
			       task->record.target, source, task->source);
	}
	return EK_OK;
}

static ek_status mount_it(struct ekd_state *h, struct task *task,
			  struct ek_err *err)
{
	const struct ekd_mount *mount = &task->record.mounted.mount;
	ek_status status;

	EK_TRY(open_sources(h, task, err));
	snprintf(task->source, sizeof(task->source), "%.100s/images/%s/primary",
		 h->run, mount->id); /* its length was checked */
	for (uint32_t i = 0; i < mount->n_devices; i++)
		snprintf(task->devices[i], sizeof(task->devices[i]), "%u",
			 (unsigned)i);
	if (fchdir(task->links) != 0) /* devices are named from there */
		return ek_fail_sys(err, errno, "links");
	memcpy(task->record.source, task->source, EKD_PATH);
	task->loops = mount->flags & EKD_MOUNT_LOOP;
	if (task->loops)
		EK_TRY(attach_loops(task, err));
	EK_TRY(ekd_record_write(h, &task->record, true, err));
	ekd_holder_step(h, "holder:recorded");
	status = mount_task(task, err);
	if (status == EK_UNSUPPORTED && !task->loops) {
		task->loops = true;
		EK_TRY(attach_loops(task, err));
		status = mount_task(task, err);
	}
	if (status == EK_OK)
		status = check_mounted(task, err);
	if (status != EK_OK) {
		ekd_record_remove(h, mount->id);
		return status;
	}
	ekd_holder_step(h, "holder:mounted");
	memcpy(task->record.source, task->source, EKD_PATH);
	return ekd_record_write(h, &task->record, false, err);
}

ek_status ekd_do_mount(struct ekd_state *h, struct ekd_result *result,
		       struct ek_err *err)
{
	struct task *task = calloc(1, sizeof(*task));
	const struct ekd_mount *mount = &h->in.mount;
	ek_status status;

	(void)result;
	if (!task)
		return ek_fail(err, EK_NOMEM, "no memory to mount");
	if ((mount->flags & EKD_MOUNT_SUID) && !h->options->allow_suid) {
		free(task);
		return ek_fail(err, EK_INVALID,
			       "setuid is not allowed by the configuration");
	}
	task->record.mounted.mount = *mount;
	status = open_target(h, mount, &task->target, err);
	if (status == EK_OK)
		status = ekd_path_real(task->target, task->record.target, err);
	if (status == EK_OK)
		status = ekd_links_make(h, mount->id, &task->links, err);
	if (status == EK_OK) {
		status = mount_it(h, task, err);
		ekd_links_remove(h, mount->id);
	}
	free(task);
	return status;
}

ek_status ekd_do_umount(struct ekd_state *h, struct ekd_result *result,
			struct ek_err *err)
{
	struct ekd_record *record = calloc(1, sizeof(*record));
	const char *id = h->in.umount.id;
	int flags = UMOUNT_NOFOLLOW;
	char above[EKD_ID];
	ek_status status;

	(void)result;
	if (!record)
		return ek_fail(err, EK_NOMEM, "no memory to unmount");
	if (h->in.umount.flags & EKD_UMOUNT_LAZY)
		flags |= MNT_DETACH;
	status = ekd_record_read(h, id, record, err);
	/* The kernel would let it go, and the overlay go on using it. */
	if (status == EK_OK && ekd_record_above(h, id, above, NULL) == EK_OK)
		status = ek_fail(err, EK_EXISTS, "%s: overlay %s needs it", id,
				 above);
	if (status == EK_OK && record->mounted.alive) {
		ekd_holder_step(h, "holder:unmounting");
		if (umount2(record->target, flags) != 0)
			status = ek_fail_sys(
				err, errno, "unmounting %s%s", record->target,
				errno == EBUSY ? " (--lazy detaches it)" : "");
	}
	if (status == EK_OK) {
		char layer[EKD_ID + 16];

		snprintf(layer, sizeof(layer), "layers/%s", id);
		unlinkat(h->run_fd, layer, AT_REMOVEDIR);
		ekd_record_remove(h, id);
	}
	free(record);
	return status;
}
