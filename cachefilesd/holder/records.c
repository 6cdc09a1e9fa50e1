/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is mounted. A file a mount, mounts/ID of the run directory, written
 * before the kernel is asked: so neither the holder's nor the worker's death
 * loses a mount. Whether it lives, /proc/self/mountinfo says.
 *
 * A record is the reply to MOUNTS as it goes over the socket, then dev (u64),
 * source and target (EKD_PATH bytes each).
 */

#include "base/bytes.h"
#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define TRAILER (8u + 2u * EKD_PATH)

/* Undo the \ooo of mountinfo in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] && text[3]) {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = 0;
}

/* One line of mountinfo; fields point into it. */
struct line {
	uint64_t dev;
	char *target, *type, *source;
};

static bool parse_line(char *text, struct line *line)
{
	char *save = NULL, *dash = strstr(text, " - ");
	unsigned major, minor;
	char *field = NULL;

	if (!dash)
		return false;
	*dash = 0;
	field = strtok_r(text, " ", &save); /* id */
	for (int i = 0; field && i < 4; i++) {
		field = strtok_r(NULL, " ", &save);
		if (i == 1 &&
		    (!field || sscanf(field, "%u:%u", &major, &minor) != 2))
			return false;
		if (i == 3)
			line->target = field;
	}
	line->type = strtok_r(dash + 3, " ", &save);
	line->source = strtok_r(NULL, " ", &save);
	if (!field || !line->type || !line->source)
		return false;
	line->dev = (uint64_t)major << 32 | minor;
	unescape(line->target);
	unescape(line->source);
	return true;
}

/* The last line that @match likes: what lies on top. */
static bool find_line(bool (*match)(const struct line *line, const void *arg),
		      const void *arg,
		      void (*take)(const struct line *line, void *to), void *to)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t room = 0;
	bool found = false;
	struct line line;

	if (!file)
		return false;
	while (getline(&text, &room, file) > 0) {
		text[strcspn(text, "\n")] = 0;
		if (!parse_line(text, &line) || !match(&line, arg))
			continue;
		found = true;
		if (take)
			take(&line, to);
	}
	free(text);
	fclose(file);
	return found;
}

static bool is_at(const struct line *line, const void *arg)
{
	return strcmp(line->target, arg) == 0;
}

struct place {
	char *type, *source;
	uint64_t *dev;
};

static void take_place(const struct line *line, void *to)
{
	struct place *place = to;

	snprintf(place->type, 32, "%s", line->type);
	snprintf(place->source, EKD_PATH, "%s", line->source);
	*place->dev = line->dev;
}

ek_status ekd_mounted_at(const char *target, char type[32],
			 char source[EKD_PATH], uint64_t *dev,
			 struct ek_err *err)
{
	struct place place = {type, source, dev};

	if (!find_line(is_at, target, take_place, &place))
		return ek_fail(err, EK_NOTFOUND, "%s: nothing is mounted there",
			       target);
	return EK_OK;
}

static bool is_record(const struct line *line, const void *arg)
{
	const struct ekd_record *record = arg;

	return strcmp(line->source, record->source) == 0 &&
	       strcmp(line->target, record->target) == 0 &&
	       (record->dev == 0 || record->dev == line->dev);
}

static int open_records(struct ekd_state *h)
{
	return openat(h->run_fd, "mounts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static ek_status decode(const uint8_t *bytes, size_t n,
			struct ekd_record *record, struct ek_err *err)
{
	struct ekd_message *message;
	ek_status status;

	if (n <= TRAILER)
		return ek_fail(err, EK_CORRUPT, "a record of %zu bytes", n);
	message = malloc(sizeof(*message));
	if (!message)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	status = ekd_message_decode(bytes, n - TRAILER, message, err);
	if (status == EK_OK &&
	    (message->op != EKD_OP_MOUNTS || !message->reply))
		status = ek_fail(err, EK_CORRUPT, "not a record of a mount");
	if (status == EK_OK) {
		bytes += n - TRAILER;
		record->mounted = message->mounted;
		record->dev = ek_get_le64(bytes);
		memcpy(record->source, bytes + 8, EKD_PATH);
		memcpy(record->target, bytes + 8 + EKD_PATH, EKD_PATH);
		record->source[EKD_PATH - 1] = 0;
		record->target[EKD_PATH - 1] = 0;
	}
	free(message);
	return status;
}

ek_status ekd_record_read(struct ekd_state *h, const char *id,
			  struct ekd_record *record, struct ek_err *err)
{
	uint8_t *bytes = malloc(EKD_MESSAGE + TRAILER);
	int dir = open_records(h), fd = -1, sys;
	ek_status status;
	ssize_t n = -1;

	if (dir >= 0)
		fd = openat(dir, id, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (bytes && fd >= 0)
		n = read(fd, bytes, EKD_MESSAGE + TRAILER);
	sys = bytes ? errno : ENOMEM;
	if (n < 0)
		status = sys == ENOENT
				 ? ek_fail(err, EK_NOTFOUND,
					   "%s: no such mount", id)
				 : ek_fail_sys(err, sys, "record of %s", id);
	else
		status = decode(bytes, (size_t)n, record, err);
	if (status == EK_OK)
		record->mounted.alive =
			find_line(is_record, record, NULL, NULL);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	free(bytes);
	return status;
}

static const char *record_id(const struct ekd_record *record)
{
	return record->mounted.is_overlay ? record->mounted.overlay.id
					  : record->mounted.mount.id;
}

static ek_status write_bytes(int dir, const char *id, const uint8_t *bytes,
			     size_t n, struct ek_err *err)
{
	char name[EKD_ID + 2];
	ssize_t wrote;
	int fd, sys;

	/* No id begins with a dot. */
	snprintf(name, sizeof(name), ".%s", id);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return ek_fail_sys(err, errno, "record of %s", id);
	wrote = write(fd, bytes, n);
	sys = wrote < 0 ? errno : ENOSPC;
	if (close(fd) != 0 && wrote == (ssize_t)n)
		return ek_fail_sys(err, errno, "record of %s", id);
	if (wrote != (ssize_t)n)
		return ek_fail_sys(err, sys, "record of %s", id);
	if (renameat(dir, name, dir, id) != 0)
		return ek_fail_sys(err, errno, "record of %s", id);
	return EK_OK;
}

ek_status ekd_record_write(struct ekd_state *h, const struct ekd_record *record,
			   bool new, struct ek_err *err)
{
	struct ekd_message *m = calloc(1, sizeof(*m));
	uint8_t *bytes = calloc(1, EKD_MESSAGE + TRAILER);
	struct ekd_record *old = calloc(1, sizeof(*old));
	const char *id = record_id(record);
	int dir = open_records(h);
	ek_status status = EK_OK;
	size_t n = 0;

	if (!m || !bytes || !old)
		status = ek_fail(err, EK_NOMEM, "no memory for a record");
	else if (dir < 0)
		status = ek_fail_sys(err, errno, "records of mounts");
	else if (new &&ekd_record_read(h, id, old, NULL) == EK_OK &&
		 old->mounted.alive)
		status = ek_fail(err, EK_EXISTS, "%s: is mounted at %s", id,
				 old->target);
	if (status == EK_OK) {
		m->op = EKD_OP_MOUNTS;
		m->reply = true;
		m->mounted = record->mounted;
		status = ekd_message_encode(m, bytes, &n, err);
	}
	if (status == EK_OK) {
		ek_put_le64(bytes + n, record->dev);
		memcpy(bytes + n + 8, record->source, EKD_PATH);
		memcpy(bytes + n + 8 + EKD_PATH, record->target, EKD_PATH);
		status = write_bytes(dir, id, bytes, n + TRAILER, err);
	}
	if (dir >= 0)
		close(dir);
	free(old);
	free(bytes);
	free(m);
	return status;
}

void ekd_record_remove(struct ekd_state *h, const char *id)
{
	int dir = open_records(h);

	if (dir < 0)
		return;
	unlinkat(dir, id, 0);
	close(dir);
}

ek_status ekd_record_next(struct ekd_state *h, const char *after,
			  char id[EKD_ID], struct ek_err *err)
{
	int fd = open_records(h);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	id[0] = 0;
	if (!dir) {
		ek_fail_sys(err, errno, "records of mounts");
		if (fd >= 0)
			close(fd);
		return EK_IO;
	}
	while ((entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (ekd_id_ok(name) && strcmp(name, after) > 0 &&
		    (!id[0] || strcmp(name, id) < 0))
			memcpy(id, name, strlen(name) + 1);
	}
	closedir(dir);
	return id[0] ? EK_OK : ek_fail(err, EK_NOTFOUND, "no further mount");
}

/* Reads of it go through the door. */
static bool through_door(const struct ekd_mounted *mounted)
{
	const struct ekd_mount *mount = &mounted->mount;

	if (mounted->is_overlay)
		return false; /* its layers are told apart */
	if (mount->primary.place == EKD_PLACE_DOOR)
		return true;
	for (uint32_t i = 0; i < mount->n_devices; i++)
		if (mount->devices[i].place == EKD_PLACE_DOOR)
			return true;
	return false;
}

static bool is_lazy(const struct ekd_mounted *mounted, const char *arg)
{
	(void)arg;
	return through_door(mounted);
}

static bool is_above(const struct ekd_mounted *mounted, const char *arg)
{
	for (uint32_t i = 0;
	     mounted->is_overlay && i < mounted->overlay.n_lowers; i++)
		if (strcmp(mounted->overlay.lowers[i], arg) == 0)
			return true;
	return false;
}

/* The first living one that @match likes. */
static ek_status
find_record(struct ekd_state *h,
	    bool (*match)(const struct ekd_mounted *mounted, const char *arg),
	    const char *arg, char id[EKD_ID], struct ek_err *err)
{
	struct ekd_record *record = malloc(sizeof(*record));
	char after[EKD_ID] = "";
	ek_status status = EK_OK;

	if (!record)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	while (status == EK_OK) {
		status = ekd_record_next(h, after, id, err);
		if (status == EK_OK &&
		    ekd_record_read(h, id, record, NULL) == EK_OK &&
		    record->mounted.alive && match(&record->mounted, arg))
			break;
		memcpy(after, id, EKD_ID);
	}
	free(record);
	return status;
}

ek_status ekd_record_lazy(struct ekd_state *h, char id[EKD_ID],
			  struct ek_err *err)
{
	return find_record(h, is_lazy, NULL, id, err);
}

ek_status ekd_record_above(struct ekd_state *h, const char *id,
			   char above[EKD_ID], struct ek_err *err)
{
	return find_record(h, is_above, id, above, err);
}

void ekd_records_detach(struct ekd_state *h)
{
	struct ekd_record *record = malloc(sizeof(*record));
	char id[EKD_ID], after[EKD_ID] = "";

	while (record && ekd_record_next(h, after, id, NULL) == EK_OK) {
		memcpy(after, id, EKD_ID);
		if (ekd_record_read(h, id, record, NULL) != EK_OK ||
		    !record->mounted.alive || !through_door(&record->mounted))
			continue;
		ekd_log(h, 1, "event=detached id=%s target=%s reason=no-door",
			id, record->target);
		umount2(record->target, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	free(record);
}
