/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A path of the record is absolute and, when it was not, inside @dir. */
static void inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (*path != '/')
		abort();
	/* Only what begins so can come of a relative path. */
	if (strncmp(path, dir, n) == 0 && path[n] == '/' &&
	    strncmp(path + n, "/../", 4) == 0)
		abort();
}

static void look_at(const struct record *r)
{
	if (!r->n || r->n > EK_LAYERS_MAX || !r->kernel || !r->uuid)
		abort();
	inside(r->merged, r->dir);
	for (size_t i = 0; i < r->n; i++) {
		const struct record_device *d = &r->devices[i];

		inside(d->path, r->dir);
		if (d->leaves.path)
			inside(d->leaves.path, r->dir);
		if (d->leaves.count > EK_LEAVES_MAX ||
		    !r->layers[i].compression || !r->layers[i].index)
			abort();
	}
}

/* The input is the image.json of an output directory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char dir[] = "/tmp/fuzz-record-XXXXXX";
	struct record r;
	struct ek_err err;
	int at, fd;

	if (!mkdtemp(dir) || (at = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
		abort();
	fd = openat(at, RECORD_NAME, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	if (record_read(&r, dir, &err) == EK_OK)
		look_at(&r);
	record_free(&r);
	close(fd);
	unlinkat(at, RECORD_NAME, 0);
	close(at);
	rmdir(dir);
	return 0;
}
