/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define DOCUMENTS 4

/* Documents of an archive, one behind another in a file in memory. */
struct parts {
	char *text;
	size_t at[DOCUMENTS], n[DOCUMENTS], count;
};

/*
 * Put the digest of document @of where the ones before it have a digest of 64
 * times the digit @of: what a fuzzer could not find by itself.
 */
static void put_digest(struct parts *p, size_t of)
{
	uint8_t sha[EK_DIGEST_SIZE];
	char mark[65], hex[65];

	memset(mark, '0' + (int)of, 64);
	mark[64] = 0;
	if (tarfs_sha256(p->text + p->at[of], p->n[of], sha, NULL) != EK_OK)
		abort();
	ek_digest_hex(sha, hex);
	for (size_t i = 0; i + 64 <= p->at[of]; i++)
		if (memcmp(p->text + i, mark, 64) == 0)
			memcpy(p->text + i, hex, 64);
}

/* Documents are apart by a NUL. */
static void split(struct parts *p, const uint8_t *data, size_t n)
{
	p->count = 1;
	for (size_t i = 0; i < n; i++) {
		if (data[i] || p->count == DOCUMENTS) {
			p->n[p->count - 1]++;
			continue;
		}
		p->at[p->count++] = i + 1;
	}
	for (size_t i = p->count; i-- > 1;)
		put_digest(p, i);
}

static void name_of(const struct parts *p, size_t i, bool docker, char to[96])
{
	static const char *const names[] = {"manifest.json", "config", "layer",
					    "other"};
	uint8_t sha[EK_DIGEST_SIZE];

	if (docker || i == 0) {
		strcpy(to, docker ? names[i] : "index.json");
		return;
	}
	if (tarfs_sha256(p->text + p->at[i], p->n[i], sha, NULL) != EK_OK)
		abort();
	strcpy(to, "blobs/sha256/");
	ek_digest_hex(sha, to + strlen(to));
}

static void open_image(const struct parts *p, int fd, size_t n, bool docker)
{
	struct archive_member members[DOCUMENTS] = {{0}};
	char names[DOCUMENTS][96];
	const struct tarfs_options o = {.platform = "linux/amd64"};
	struct archive a = {
		.kind = docker ? ARCHIVE_DOCKER : ARCHIVE_OCI,
		.input = "input",
		.dir = -1,
		.whole = {.fd = fd,
			  .path = "input",
			  .bytes = n,
			  .file_bytes = n},
		.members = members,
		.n_members = p->count,
	};
	struct image image;
	struct ek_err err;

	for (size_t i = 0; i < p->count; i++) {
		name_of(p, i, docker, names[i]);
		members[i].name = names[i];
		members[i].offset = p->at[i];
		members[i].bytes = p->n[i];
	}
	if (image_open(&image, &a, &o, &err) == EK_OK) {
		/* Nothing else may become a part of a path. */
		for (size_t i = 0; i < image.n; i++)
			if (!image.layers[i].diff_id ||
			    tarfs_digest_check(image.layers[i].diff_id, NULL) !=
				    EK_OK ||
			    image.layers[i].same > i)
				abort();
	}
	image_free(&image);
}

/* First byte: the kind of archive. Then its documents. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct parts p = {0};
	int fd;

	if (n < 2 || n > 1 << 20)
		return 0;
	p.text = malloc(n - 1);
	fd = memfd_create("input", MFD_CLOEXEC);
	if (!p.text || fd < 0)
		abort();
	memcpy(p.text, data + 1, n - 1);
	split(&p, data + 1, n - 1);
	if (write(fd, p.text, n - 1) != (ssize_t)(n - 1))
		abort();
	open_image(&p, fd, n - 1, data[0] & 1);
	close(fd);
	free(p.text);
	return 0;
}
