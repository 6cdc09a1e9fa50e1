/* SPDX-License-Identifier: Apache-2.0 */

/* What the holder makes on the host: directories, door, sockets. */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define FUSE_MAJOR 10
#define FUSE_MINOR 229

static ek_status make_dir(const char *path, mode_t mode, struct ek_err *err)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s", path);
	return EK_OK;
}

static ek_status open_dir(const char *path, int *fd, struct ek_err *err)
{
	*fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "%s", path);
	return EK_OK;
}

/* Directory @name of @dir, which is @of: the worker's if @own. */
static ek_status sub_dir(struct ekd_state *h, int dir, const char *of,
			 const char *name, mode_t mode, bool own,
			 struct ek_err *err)
{
	if (mkdirat(dir, name, mode) != 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s/%s", of, name);
	if (own && fchownat(dir, name, h->options->uid, h->options->gid,
			    AT_SYMLINK_NOFOLLOW) != 0)
		return ek_fail_sys(err, errno, "%s/%s: changing the owner", of,
				   name);
	return EK_OK;
}

static ek_status resolve(const char *path, char to[EKD_PATH],
			 struct ek_err *err)
{
	int fd;
	ek_status status;

	EK_TRY(make_dir(path, 0755, err));
	EK_TRY(open_dir(path, &fd, err));
	status = ekd_path_real(fd, to, err);
	close(fd);
	return status;
}

ek_status ekd_setup_dirs(struct ekd_state *h, struct ek_err *err)
{
	int state;

	EK_TRY(resolve(h->options->run_dir, h->run, err));
	EK_TRY(resolve(h->options->state_dir, h->state, err));
	/* The names of sockets are short. */
	if (strlen(h->run) + sizeof("/holder.sock") > 100)
		return ek_fail(err, EK_INVALID, "%s: too long for a socket",
			       h->run);
	EK_TRY(open_dir(h->run, &h->run_fd, err));
	EK_TRY(sub_dir(h, h->run_fd, h->run, "door", 0700, false, err));
	EK_TRY(sub_dir(h, h->run_fd, h->run, "layers", 0700, false, err));
	EK_TRY(sub_dir(h, h->run_fd, h->run, "images", 0700, false, err));
	EK_TRY(sub_dir(h, h->run_fd, h->run, "mounts", 0700, false, err));
	EK_TRY(open_dir(h->state, &state, err));
	EK_TRY(sub_dir(h, state, h->state, "images", 0700, true, err));
	EK_TRY(sub_dir(h, state, h->state, "store", 0700, true, err));
	EK_TRY(sub_dir(h, state, h->state, "rw", 0700, false, err));
	EK_TRY(ekd_path_walk(state, "images", false, &h->images_fd, err));
	EK_TRY(ekd_path_walk(state, "rw", false, &h->rw_fd, err));
	/* The store makes blobs/ itself; it is walked to when it is needed. */
	EK_TRY(ekd_path_walk(state, "store", false, &h->store_fd, err));
	close(state);
	return EK_OK;
}

ek_status ekd_setup_lock(struct ekd_state *h, bool *got, struct ek_err *err)
{
	if (h->lock < 0)
		h->lock = openat(h->run_fd, "lock",
				 O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (h->lock < 0)
		return ek_fail_sys(err, errno, "%s/lock", h->run);
	*got = flock(h->lock, LOCK_EX | LOCK_NB) == 0;
	if (!*got && errno != EWOULDBLOCK)
		return ek_fail_sys(err, errno, "%s/lock", h->run);
	return EK_OK;
}

static ek_status open_fuse(int *fd, struct ek_err *err)
{
	struct stat st;

	*fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno,
				   "/dev/fuse: is the fuse module loaded?");
	if (fstat(*fd, &st) != 0 || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR)) {
		close(*fd);
		return ek_fail(err, EK_INVALID, "/dev/fuse is something else");
	}
	return EK_OK;
}

ek_status ekd_setup_door(struct ekd_state *h, struct ek_err *err)
{
	char path[EKD_PATH + 8], options[160];
	ek_status status;

	snprintf(path, sizeof(path), "%s/door", h->run);
	/* One of a service that died; nothing can be read through it. */
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	EK_TRY(open_fuse(&h->door, err));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,"
		 "default_permissions,max_read=%u",
		 h->door, EKD_DOOR_READ);
	if (mount("erofs-cachefilesd", path, "fuse.erofs-cachefilesd",
		  MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, options) != 0) {
		status = ek_fail_sys(err, errno, "mounting the door at %s",
				     path);
	} else {
		ekd_holder_step(h, "holder:door-mounted");
		status = ekd_fuse_handshake(h->door, h->options->no_resend,
					    ekd_shared_door(h->shared), err);
		if (status != EK_OK)
			umount2(path, MNT_DETACH);
	}
	if (status != EK_OK) {
		close(h->door);
		h->door = -1;
		return status;
	}
	h->kept = *ekd_shared_door(h->shared);
	return EK_OK;
}

static ek_status listen_at(struct ekd_state *h, const char *name, int type,
			   int *fd, struct ek_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	mode_t mask;
	int bound;

	snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/%.16s", h->run, name);
	*fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "a socket");
	unlink(at.sun_path);
	mask = umask(0177);
	bound = bind(*fd, (struct sockaddr *)&at, sizeof(at));
	umask(mask);
	if (bound != 0 || listen(*fd, 64) != 0)
		return ek_fail_sys(err, errno, "%s", at.sun_path);
	return EK_OK;
}

ek_status ekd_setup_sockets(struct ekd_state *h, struct ek_err *err)
{
	EK_TRY(listen_at(h, "holder.sock", SOCK_SEQPACKET, &h->listener, err));
	/* It gets its name when there is somebody behind it. */
	unlinkat(h->run_fd, "api.sock", 0);
	return listen_at(h, ".api.sock", SOCK_STREAM, &h->api, err);
}

ek_status ekd_setup_publish(struct ekd_state *h, struct ek_err *err)
{
	if (h->api_public)
		return EK_OK;
	if (renameat(h->run_fd, ".api.sock", h->run_fd, "api.sock") != 0 &&
	    errno != ENOENT)
		return ek_fail_sys(err, errno, "%s/api.sock", h->run);
	h->api_public = true;
	return EK_OK;
}

void ekd_setup_remove(struct ekd_state *h)
{
	char path[EKD_PATH + 8];

	snprintf(path, sizeof(path), "%s/door", h->run);
	unlinkat(h->run_fd, "api.sock", 0);
	unlinkat(h->run_fd, ".api.sock", 0);
	unlinkat(h->run_fd, "holder.sock", 0);
	unlinkat(h->run_fd, "worker", 0);
	if (h->door >= 0)
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
}
