/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount an EROFS image by mount(2), without the help of mount(8), and check
 * that what got mounted is the image that was meant.
 *
 *	mounter mount IMAGE DIR [OPTIONS]	file-backed, no loop device
 *	mounter loop IMAGE DIR [OPTIONS]	through a read-only loop device
 *	mounter umount DIR
 *
 * Debian 12's mount(8) makes a loop device of every regular file, so that a
 * test of file-backed mounts that used it would test something else.
 *
 * Exit status: 0 done; 1 the image was refused, or something else was found
 * at DIR; 2 usage; 3 this host cannot mount in that way at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EROFS_MAGIC   0xE0F5E1E2u
#define LOOP_ATTEMPTS 64

enum { DONE = 0, REFUSED = 1, USAGE = 2, UNABLE = 3 };

static int complain(int status, const char *what, const char *name)
{
	fprintf(stderr, "mounter: %s %s: %s\n", what, name, strerror(errno));
	return status;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned int c;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Split one line of mountinfo; false when it is not for an EROFS. */
static int parse_line(char *line, char **where, char **source)
{
	char *save = NULL, *field = strtok_r(line, " ", &save);
	int i;

	for (i = 0; field && i < 4; i++)
		field = strtok_r(NULL, " ", &save);
	*where = field;
	while (field && strcmp(field, "-") != 0)
		field = strtok_r(NULL, " ", &save);
	field = strtok_r(NULL, " ", &save);
	*source = strtok_r(NULL, " ", &save);
	if (!*where || !field || !*source || strcmp(field, "erofs") != 0)
		return 0;
	unescape(*where);
	unescape(*source);
	return 1;
}

/* The source of the newest EROFS mount at @dir, or NULL; to be freed. */
static char *mounted_source(const char *dir)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *found = NULL, *where, *source;
	size_t room = 0;

	if (!f)
		return NULL;
	while (getline(&line, &room, f) > 0) {
		if (parse_line(line, &where, &source) &&
		    strcmp(where, dir) == 0) {
			free(found);
			found = strdup(source);
		}
	}
	free(line);
	fclose(f);
	return found;
}

static int verify(const char *dir, const char *source)
{
	struct statfs fs;
	char *found;
	int same;

	if (statfs(dir, &fs) != 0)
		return complain(REFUSED, "statfs", dir);
	if ((uint32_t)fs.f_type != EROFS_MAGIC) {
		fprintf(stderr, "mounter: %s: not an EROFS mount\n", dir);
		return REFUSED;
	}
	found = mounted_source(dir);
	same = found && strcmp(found, source) == 0;
	if (!same)
		fprintf(stderr, "mounter: %s: mounted from %s, not from %s\n",
			dir, found ? found : "(nothing)", source);
	free(found);
	return same ? DONE : REFUSED;
}

static int mount_checked(const char *source, const char *dir, const char *opts)
{
	int status;

	if (mount(source, dir, "erofs", MS_RDONLY, opts) != 0) {
		int unable =
			errno == ENODEV || errno == EPERM || errno == ENOTBLK;

		return complain(unable ? UNABLE : REFUSED, "mount", source);
	}
	status = verify(dir, source);
	if (status != DONE)
		umount2(dir, MNT_DETACH);
	return status;
}

/* Bind @image to a free loop device; the fd keeps it until it is mounted. */
static int loop_attach(const char *image, char *device, size_t room)
{
	struct loop_config config = {.block_size = 512};
	int control, file, fd = -1, i;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	file = open(image, O_RDONLY | O_CLOEXEC);
	config.fd = (uint32_t)file;
	config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
	for (i = 0; control >= 0 && file >= 0 && i < LOOP_ATTEMPTS; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			break;
		snprintf(device, room, "/dev/loop%d", number);
		fd = open(device, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			break;
		/* Another process took the device between the two calls. */
		if (fd >= 0)
			close(fd);
		fd = -1;
		if (errno != EBUSY)
			break;
	}
	if (control >= 0)
		close(control);
	if (file >= 0)
		close(file);
	return fd;
}

static int loop_is_of(int fd, const char *image)
{
	struct loop_info64 info;
	struct stat st;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) != 0 || stat(image, &st) != 0)
		return 0;
	return info.lo_device == st.st_dev && info.lo_inode == st.st_ino;
}

static int mount_loop(const char *image, const char *dir, const char *opts)
{
	char device[64] = "";
	int fd = loop_attach(image, device, sizeof(device));
	int status;

	if (fd < 0)
		return complain(UNABLE, "loop device for", image);
	status = mount_checked(device, dir, opts);
	if (status == DONE && !loop_is_of(fd, image)) {
		fprintf(stderr, "mounter: %s is not %s\n", device, image);
		umount2(dir, MNT_DETACH);
		status = REFUSED;
	}
	close(fd);
	return status;
}

static int do_mount(int loop, const char *image, const char *dir,
		    const char *opts)
{
	char *source = realpath(image, NULL), *target = realpath(dir, NULL);
	int status;

	if (!source)
		status = complain(REFUSED, "cannot resolve", image);
	else if (!target)
		status = complain(REFUSED, "cannot resolve", dir);
	else if (loop)
		status = mount_loop(source, target, opts);
	else
		status = mount_checked(source, target, opts);
	free(source);
	free(target);
	return status;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "umount") == 0) {
		if (umount2(argv[2], 0) != 0)
			return complain(REFUSED, "umount", argv[2]);
		return DONE;
	}
	if ((argc == 4 || argc == 5) &&
	    (strcmp(argv[1], "mount") == 0 || strcmp(argv[1], "loop") == 0))
		return do_mount(argv[1][0] == 'l', argv[2], argv[3],
				argc == 5 ? argv[4] : NULL);
	fprintf(stderr, "usage: mounter mount|loop IMAGE DIR [OPTIONS]\n"
			"       mounter umount DIR\n");
	return USAGE;
}
