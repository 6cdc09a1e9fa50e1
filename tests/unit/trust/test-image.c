/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "unit.h"

#include <erofskit/build.h>

#include "io/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct place {
	char dir[64];
	FILE *file;
	struct ek_source *src;
	struct ek_image *image;
	struct ek_buf built; /* manifest that the build told */
};

static void make_file(int dir, const char *name, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0640);
	uint8_t *bytes = malloc(n + 1);

	assert_true(fd >= 0 && bytes);
	pattern(bytes, n);
	assert_int_equal(write(fd, bytes, n), n);
	free(bytes);
	close(fd);
}

static void make_tree(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	char name[600];

	assert_true(dir >= 0);
	assert_int_equal(mkdirat(dir, "a", 0755), 0);
	assert_int_equal(mkdirat(dir, "a/deep", 0711), 0);
	assert_int_equal(mkdirat(dir, "a-b", 01777), 0);
	make_file(dir, "a/deep/big", 3u << 20);
	make_file(dir, "a/empty", 0);
	make_file(dir, "a.file", 4097);
	make_file(dir, "space =%\n\xff", 5);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "a-b/%d", i);
		make_file(dir, name, (size_t)i * 11);
	}
	/* The first name in path order is the deeper one. */
	assert_int_equal(linkat(dir, "a/deep/big", dir, "big", 0), 0);
	assert_int_equal(linkat(dir, "a/deep/big", dir, "a-b/big", 0), 0);
	assert_int_equal(symlinkat("a /\xc3\xa9", dir, "link"), 0);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	snprintf(name, sizeof(name), "%s/a.file", path);
	/* Not every file system takes attributes. */
	setxattr(name, "user.z", "", 0, 0);
	setxattr(name, "user.a=b", "\0 x", 3, 0);
	close(dir);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void open_place(struct place *p, const char *codec)
{
	struct ek_build_options options = {.size = sizeof(options)};
	struct ek_build_stats stats;
	struct ek_err err = {.text = ""};

	snprintf(p->dir, sizeof(p->dir), "/tmp/erofskit-unit.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	make_tree(p->dir);
	p->file = tmpfile();
	assert_non_null(p->file);
	p->built = EK_BUF_INIT(1 << 20);
	options.codec = codec;
	options.level = EK_LEVEL_DEFAULT;
	options.xattr_share = EK_XATTR_SHARE_DEFAULT;
	assert_int_equal(ek_manifest_writer_new(to_buf, &p->built,
						&options.manifest, &err),
			 EK_OK);
	if (ek_build_directory(p->dir, NULL, &options, fileno(p->file), "image",
			       &stats, &err) != EK_OK) {
		print_message("# %s\n", err.text);
		fail();
	}
	assert_int_equal(ek_manifest_writer_finish(options.manifest, &err),
			 EK_OK);
	ek_manifest_writer_free(options.manifest);
	assert_int_equal(
		ek_source_from_fd(fileno(p->file), "image", 0, &p->src, &err),
		EK_OK);
	assert_int_equal(ek_image_open(p->src, NULL, &p->image, &err), EK_OK);
}

static void close_place(struct place *p)
{
	ek_image_free(p->image);
	ek_source_free(p->src);
	fclose(p->file);
	ek_buf_free(&p->built);
	assert_int_equal(nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void build_and_image_agree(const char *codec)
{
	struct ek_manifest_image_options options = {.size = sizeof(options)};
	struct place p;

	open_place(&p, codec);
	for (options.workers = 1; options.workers < 4; options.workers++) {
		struct ek_buf out = EK_BUF_INIT(1 << 20);
		struct ek_manifest_sink *w;
		struct ek_err err = {.text = ""};

		assert_int_equal(ek_manifest_writer_new(to_buf, &out, &w, NULL),
				 EK_OK);
		assert_int_equal(
			ek_manifest_of_image(p.image, &options, w, &err),
			EK_OK);
		assert_int_equal(ek_manifest_writer_finish(w, NULL), EK_OK);
		ek_manifest_writer_free(w);
		assert_int_equal(out.len, p.built.len);
		assert_memory_equal(out.data, p.built.data, out.len);
		assert_int_equal(ek_buf_append(&out, "", 1, NULL), EK_OK);
		assert_non_null(
			strstr((char *)out.data, "\n/big link=/a/deep/big\n"));
		assert_non_null(strstr((char *)out.data,
				       "\n/space%20%3D%25%0A%FF type=f "));
		ek_buf_free(&out);
	}
	close_place(&p);
}

static void plain_images(void **state)
{
	(void)state;
	build_and_image_agree(NULL);
}

static void compressed_images(void **state)
{
	(void)state;
	build_and_image_agree("lz4");
}

static void damage_is_found(void **state)
{
	struct ek_fault fault = {.flip_mask = 0x10};
	struct ek_buf diffs = EK_BUF_INIT(10000);
	struct ek_manifest_sink *c;
	struct ek_source *bad;
	struct ek_image *image;
	struct ek_extent extent;
	struct ek_node node;
	struct place p;
	struct text t;
	uint64_t n = 0;

	(void)state;
	open_place(&p, NULL);
	assert_int_equal(ek_image_lookup(p.image, "/a/deep/big", &node, NULL),
			 EK_OK);
	assert_int_equal(ek_image_map(p.image, &node, 0, &extent, NULL), EK_OK);
	fault.flip_at = extent.physical + 12345;
	assert_int_equal(ek_fault_source(p.src, &fault, &bad, NULL), EK_OK);
	assert_int_equal(ek_image_open(bad, NULL, &image, NULL), EK_OK);
	open_text(&t, (char *)p.built.data, p.built.len);
	assert_int_equal(
		ek_manifest_comparison_new(t.m, note_diff, &diffs, &c, NULL),
		EK_OK);
	assert_int_equal(ek_manifest_of_image(image, NULL, c, NULL), EK_OK);
	assert_int_equal(ek_manifest_comparison_finish(c, &n, NULL), EK_OK);
	assert_int_equal(n, 1);
	assert_memory_equal(diffs.data, "/a/deep/big|2|sha256 is ", 24);
	ek_manifest_comparison_free(c);
	close_text(&t);
	ek_buf_free(&diffs);
	ek_image_free(image);
	ek_source_free(bad);
	close_place(&p);
}

static ek_status refuse(struct ek_manifest_sink *sink,
			const struct ek_manifest_entry *entry,
			struct ek_err *err)
{
	(void)sink;
	if (strcmp(entry->path, "/a/empty") == 0)
		return ek_fail(err, EK_LIMIT, "no more");
	return EK_OK;
}

static void it_stops_when_told(void **state)
{
	struct ek_manifest_image_options options = {.size = sizeof(options),
						    .workers = 2};
	struct ek_manifest_sink sink = {refuse};
	struct ek_err err;
	struct place p;
	int cancel = 1;

	(void)state;
	open_place(&p, NULL);
	assert_int_equal(ek_manifest_of_image(p.image, &options, &sink, &err),
			 EK_LIMIT);
	assert_string_equal(err.text, "no more");
	options.max_bytes = 1 << 20;
	assert_int_equal(ek_manifest_of_image(p.image, &options, &sink, &err),
			 EK_LIMIT);
	assert_string_equal(err.text, "/a/deep/big: more file data than may be "
				      "decoded");
	options.cancel = &cancel;
	assert_int_equal(ek_manifest_of_image(p.image, &options, &sink, &err),
			 EK_CANCELLED);
	options.size = 1;
	assert_int_equal(ek_manifest_of_image(p.image, &options, &sink, &err),
			 EK_INVALID);
	close_place(&p);
}

static void a_read_error_names_the_path(void **state)
{
	struct ek_fault fault = {.fail_errno = EIO};
	struct ek_manifest_sink sink = {refuse};
	struct ek_source *bad;
	struct ek_image *image;
	struct ek_extent extent;
	struct ek_node node;
	struct ek_err err;
	struct place p;

	(void)state;
	open_place(&p, NULL);
	assert_int_equal(ek_image_lookup(p.image, "/a/deep/big", &node, NULL),
			 EK_OK);
	assert_int_equal(ek_image_map(p.image, &node, 0, &extent, NULL), EK_OK);
	assert_int_equal(ek_fault_source(p.src, &fault, &bad, NULL), EK_OK);
	fault.fail_at = bad->size;
	assert_int_equal(ek_image_open(bad, NULL, &image, NULL), EK_OK);
	fault.fail_at = extent.physical + 5;
	assert_int_not_equal(ek_manifest_of_image(image, NULL, &sink, &err),
			     EK_OK);
	assert_int_equal(err.text[0], '/');
	ek_image_free(image);
	ek_source_free(bad);
	close_place(&p);
}

extern const struct CMUnitTest image_tests[];
const struct CMUnitTest image_tests[] = {
	cmocka_unit_test(plain_images),
	cmocka_unit_test(compressed_images),
	cmocka_unit_test(damage_is_found),
	cmocka_unit_test(it_stops_when_told),
	cmocka_unit_test(a_read_error_names_the_path),
	UNIT_END,
};
