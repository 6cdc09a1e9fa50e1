/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include "source/tar.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct CMUnitTest tar_tests[];

static struct maketar t;
static struct ek_source *archive;
static struct ek_tree_source *src;
static struct ek_layer_notes notes;
static struct ek_err err;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	archive = NULL;
	src = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ek_tree_source_free(src);
	ek_source_free(archive);
	return 0;
}

static ek_status parse(struct ek_source_tar_options o)
{
	struct ek_tar_input *in;
	ek_status status;

	if (!o.spool_fd)
		o.spool_fd = -1;
	assert_int_equal(ek_source_from_memory(t.bytes, t.n, &archive, &err),
			 EK_OK);
	assert_int_equal(ek_tar_input_from_source(archive, &in, &err), EK_OK);
	status = ek_source_tar(in, o.spool_fd >= 0 ? NULL : archive, "t.tar",
			       &o, &src, &notes, &err);
	ek_tar_input_free(in);
	return status;
}

#define PARSE(...) parse((struct ek_source_tar_options){__VA_ARGS__})

static const struct ek_tree_node *at(const char *path)
{
	for (uint32_t i = 0; i < src->tree->n_inodes; i++) {
		const struct ek_tree_node *dir = src->tree->inodes[i]->first;

		for (uint32_t k = 0; k < dir->n_children; k++) {
			char *p = ek_tree_path(dir->children[k]);
			int same = !strcmp(p, path);

			free(p);
			if (same)
				return dir->children[k];
		}
	}
	return NULL;
}

static void link_to(const char *name, char flag, const char *target)
{
	uint8_t *b = maketar_header(&t, name, flag, 0);

	memcpy(b + 157, target, strlen(target));
	maketar_seal(b);
}

static void check_text(const char *path, const char *want)
{
	const struct ek_tree_node *n = at(path);
	struct ek_file *f;
	char text[64] = "";

	assert_non_null(n);
	assert_true(n->inode->size == strlen(want));
	assert_int_equal(src->ops->open(src, n->inode, &f, &err), EK_OK);
	assert_int_equal(src->ops->read(f, 0, text, strlen(want), &err), EK_OK);
	assert_string_equal(text, want);
	assert_int_equal(src->ops->close(f, &err), EK_OK);
}

static void a_tree_with_links_and_parents(void **state)
{
	const struct ek_place *p;
	size_t n;

	(void)state;
	maketar_file(&t, "./a//b/file", "one");
	link_to("early", '1', "a/late");
	link_to("same", '1', "./a/b/file");
	link_to("sym", '2', "somewhere");
	maketar_file(&t, "/a/late", "two");
	maketar_header(&t, "a/", '5', 0);
	maketar_file(&t, "a/b/file2", "x");
	maketar_file(&t, "a/b/file2", "again");
	maketar_end(&t);
	assert_int_equal(PARSE(0), EK_OK);
	check_text("/a/b/file", "one");
	check_text("/same", "one");
	check_text("/early", "two");
	check_text("/a/b/file2", "again");
	assert_ptr_equal(at("/same")->inode, at("/a/b/file")->inode);
	assert_int_equal(at("/same")->inode->nlink, 2);
	assert_string_equal(at("/sym")->inode->target, "somewhere");
	assert_int_equal(at("/a")->inode->uid, 01750);
	assert_int_equal(at("/a/b")->inode->mode, S_IFDIR | 0755);
	assert_int_equal(src->ops->place(src, at("/same")->inode, &p, &n, &err),
			 EK_OK);
	assert_int_equal(n, 1);
	assert_true(p->offset == 512 && p->length == 3 && p->device == 1);
	assert_int_equal(src->n_devices, 1);
	assert_true(src->devices[0].bytes == t.n);
}

static void bad_members_are_named(void **state)
{
	static const struct {
		const char *name;
		char flag;
		const char *link;
		const char *words;
	} rows[] = {
		{"../x", '0', "", "climbs"},
		{"a/../../x", '0', "", "climbs"},
		{"h", '1', "nowhere", "no member"},
		{"h", '1', "../etc/passwd", "climbs"},
		{"h", '1', "dir", "directory"},
		{"file/x", '0', "", "no directory"},
		{".", '0', "", "root"},
		{"s", '2', "", "target"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&t, 0, sizeof(t));
		maketar_header(&t, "dir", '5', 0);
		maketar_file(&t, "file", "f");
		link_to(rows[i].name, rows[i].flag, rows[i].link);
		maketar_end(&t);
		assert_int_equal(PARSE(0), EK_CORRUPT);
		assert_non_null(strstr(err.text, rows[i].words));
		ek_source_free(archive);
		archive = NULL;
	}
}

static void a_link_to_itself_changes_nothing(void **state)
{
	(void)state;
	maketar_file(&t, "f", "text");
	link_to("f", '1', "f");
	maketar_end(&t);
	assert_int_equal(PARSE(0), EK_OK);
	check_text("/f", "text");
	assert_int_equal(at("/f")->inode->nlink, 1);
}

static void whiteouts_become_those_of_overlayfs(void **state)
{
	const struct ek_tree_inode *i;

	(void)state;
	maketar_file(&t, "d/.wh.gone", "");
	maketar_header(&t, "d", '5', 0);
	maketar_file(&t, "o/.wh..wh..opq", "");
	maketar_file(&t, "o/.wh.here", "");
	maketar_file(&t, "o/here", "h");
	maketar_file(&t, ".wh..wh.plnk", "");
	maketar_end(&t);
	assert_int_equal(PARSE(.aufs = true), EK_OK);
	i = at("/d/gone")->inode;
	assert_int_equal(i->mode & S_IFMT, S_IFCHR);
	assert_int_equal(i->rdev_major | i->rdev_minor, 0);
	i = at("/d")->inode;
	assert_int_equal(i->n_xattrs, 1);
	assert_string_equal(i->xattrs[0]->name, "trusted.overlay.origin");
	assert_int_equal(i->uid, 01750);
	i = at("/o")->inode;
	assert_int_equal(i->n_xattrs, 2);
	assert_string_equal(i->xattrs[0]->name, "trusted.overlay.opaque");
	check_text("/o/here", "h");
	assert_int_equal(src->tree->root->n_children, 2);
}

static void a_directory_in_the_place_of_a_whiteout_is_opaque(void **state)
{
	static const char *const dirs[] = {"/after", "/before", "/implied"};

	(void)state;
	maketar_file(&t, ".wh.after", "");
	maketar_header(&t, "after", '5', 0);
	maketar_file(&t, "before/f", "text");
	maketar_file(&t, ".wh.before", "");
	maketar_file(&t, ".wh.implied", "");
	maketar_file(&t, "implied/f", "text");
	maketar_header(&t, "implied", '5', 0);
	maketar_end(&t);
	assert_int_equal(PARSE(.aufs = true), EK_OK);
	for (size_t i = 0; i < 3; i++) {
		const struct ek_tree_inode *inode = at(dirs[i])->inode;

		assert_int_equal(inode->mode & S_IFMT, S_IFDIR);
		assert_int_equal(inode->n_xattrs, 1);
		assert_string_equal(inode->xattrs[0]->name,
				    "trusted.overlay.opaque");
	}
	check_text("/implied/f", "text");
}

static void whiteouts_can_be_kept_or_stripped(void **state)
{
	(void)state;
	maketar_file(&t, "d/.wh.gone", "");
	maketar_header(&t, "d/dev", '3', 0);
	maketar_pax(&t, 'x', "36 SCHILY.xattr.trusted.overlay.x=1\n", 36);
	maketar_header(&t, "e", '5', 0);
	maketar_end(&t);
	assert_int_equal(PARSE(0), EK_OK);
	assert_non_null(at("/d/.wh.gone"));
	assert_int_equal(at("/e")->inode->n_xattrs, 1);
	ek_tree_source_free(src);
	ek_source_free(archive);
	src = NULL;
	assert_int_equal(PARSE(.aufs = true, .strip_overlay = true), EK_OK);
	assert_null(at("/d/.wh.gone"));
	assert_null(at("/d/gone"));
	assert_null(at("/d/dev"));
	assert_int_equal(at("/e")->inode->n_xattrs, 0);
}

static void data_of_a_stream_is_spooled(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	maketar_file(&t, "a", "first");
	maketar_file(&t, "b", "second");
	maketar_end(&t);
	assert_int_equal(PARSE(.spool_fd = fileno(f)), EK_OK);
	check_text("/b", "second");
	check_text("/a", "first");
	fclose(f);
}

#define TAR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

const struct CMUnitTest tar_tests[] = {
	TAR_TEST(a_tree_with_links_and_parents),
	TAR_TEST(bad_members_are_named),
	TAR_TEST(a_link_to_itself_changes_nothing),
	TAR_TEST(whiteouts_become_those_of_overlayfs),
	TAR_TEST(a_directory_in_the_place_of_a_whiteout_is_opaque),
	TAR_TEST(whiteouts_can_be_kept_or_stripped),
	TAR_TEST(data_of_a_stream_is_spooled),
	UNIT_END,
};
