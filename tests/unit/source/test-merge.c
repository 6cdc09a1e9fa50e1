/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include "source/merge.h"
#include "source/tar.h"

#include <stdio.h>
#include <sys/stat.h>

extern const struct CMUnitTest merge_tests[];

#define LAYERS 4

static struct maketar tars[LAYERS];
static struct ek_source *archives[LAYERS];
static struct ek_tree_source *layers[LAYERS], *merged;
static struct ek_err err;

static int setup(void **state)
{
	(void)state;
	memset(tars, 0, sizeof(tars));
	memset(archives, 0, sizeof(archives));
	merged = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ek_tree_source_free(merged);
	for (int i = 0; i < LAYERS; i++)
		ek_source_free(archives[i]);
	return 0;
}

static void dir(int layer, const char *name, unsigned mode)
{
	uint8_t *b = maketar_header(&tars[layer], name, '5', 0);

	snprintf((char *)b + 100, 8, "%07o", mode);
	maketar_seal(b);
}

static void parse(int i)
{
	struct ek_source_tar_options o = {.aufs = true, .spool_fd = -1};
	struct ek_layer_notes notes;
	struct ek_tar_input *in;

	maketar_end(&tars[i]);
	assert_int_equal(ek_source_from_memory(tars[i].bytes, tars[i].n,
					       &archives[i], &err),
			 EK_OK);
	assert_int_equal(ek_tar_input_from_source(archives[i], &in, &err),
			 EK_OK);
	assert_int_equal(ek_source_tar(in, archives[i], "layer", &o, &layers[i],
				       &notes, &err),
			 EK_OK);
	ek_tar_input_free(in);
}

/* Paths of all nodes of the merged tree, each with its device. */
static const char *merge(int n, bool strip)
{
	static char all[4096];
	struct ek_merge_options o = {.strip_overlay = strip};
	size_t len = 0;

	for (int i = 0; i < n; i++)
		parse(i);
	assert_int_equal(ek_source_merge(layers, (size_t)n, &o, &merged, &err),
			 EK_OK);
	all[0] = 0;
	for (uint32_t i = 0; i < merged->tree->n_inodes; i++) {
		const struct ek_tree_node *d = merged->tree->inodes[i]->first;

		for (uint32_t k = 0; k < d->n_children; k++) {
			const struct ek_tree_inode *c = d->children[k]->inode;
			char *p = ek_tree_path(d->children[k]);
			const struct ek_place *places = NULL;
			size_t got = 0;

			if (S_ISREG(c->mode))
				assert_int_equal(merged->ops->place(merged, c,
								    &places,
								    &got, &err),
						 EK_OK);
			len += (size_t)snprintf(all + len, sizeof(all) - len,
						"%s%s%s", len ? " " : "", p,
						S_ISCHR(c->mode) ? "!" : "");
			if (got)
				len += (size_t)snprintf(
					all + len, sizeof(all) - len, "@%u",
					places[0].device);
			free(p);
		}
	}
	return all;
}

static void upper_names_win_and_directories_merge(void **state)
{
	(void)state;
	dir(0, "d", 0700);
	maketar_file(&tars[0], "d/a", "0");
	maketar_file(&tars[0], "d/b", "0");
	maketar_file(&tars[1], "d/b", "1");
	maketar_file(&tars[1], "e", "1");
	dir(2, "d", 0711);
	maketar_file(&tars[2], "e/f", "2");
	assert_string_equal(merge(3, false), "/d /e /d/a@1 /d/b@2 /e/f@3");
	assert_int_equal(merged->n_devices, 3);
	assert_int_equal(merged->tree->root->children[0]->inode->mode,
			 S_IFDIR | 0711);
}

static void implied_parents_keep_what_is_below(void **state)
{
	(void)state;
	dir(0, "d", 01777);
	maketar_file(&tars[1], "d/a", "1");
	assert_string_equal(merge(2, false), "/d /d/a@2");
	assert_int_equal(merged->tree->root->children[0]->inode->mode,
			 S_IFDIR | 01777);
}

static void whiteouts_hide_and_can_be_kept(void **state)
{
	(void)state;
	maketar_file(&tars[0], "a", "0");
	maketar_file(&tars[0], "d/x", "0");
	maketar_file(&tars[0], "o/x", "0");
	maketar_file(&tars[1], ".wh.a", "");
	maketar_file(&tars[1], ".wh.d", "");
	maketar_file(&tars[1], "o/.wh..wh..opq", "");
	maketar_file(&tars[1], "o/y", "1");
	maketar_file(&tars[2], "d/z", "2");
	assert_string_equal(merge(3, false), "/a! /d /o /d/z@3 /o/y@2");
	teardown(NULL);
	setup(NULL);
	maketar_file(&tars[0], "a", "0");
	maketar_file(&tars[1], ".wh.a", "");
	maketar_file(&tars[1], "b", "1");
	assert_string_equal(merge(2, true), "/b@2");
	assert_int_equal(merged->tree->root->inode->n_xattrs, 0);
}

static void hard_links_hold_within_a_layer(void **state)
{
	uint8_t *b;
	const struct ek_tree_inode *i;

	(void)state;
	for (int l = 0; l < 2; l++) {
		maketar_file(&tars[l], l ? "c" : "a", "0");
		b = maketar_header(&tars[l], l ? "d" : "b", '1', 0);
		b[157] = l ? 'c' : 'a';
		maketar_seal(b);
	}
	maketar_file(&tars[1], "b", "1");
	assert_string_equal(merge(2, false), "/a@1 /b@2 /c@2 /d@2");
	i = merged->tree->root->children[0]->inode;
	assert_int_equal(i->nlink, 1);
	i = merged->tree->root->children[2]->inode;
	assert_int_equal(i->nlink, 2);
	assert_ptr_equal(i, merged->tree->root->children[3]->inode);
}

static void empty_layers_count_as_devices(void **state)
{
	(void)state;
	dir(1, "only", 0755);
	maketar_file(&tars[2], "f", "2");
	dir(0, "z", 0755);
	assert_string_equal(merge(3, false), "/f@3 /only /z");
	assert_int_equal(merged->n_devices, 3);
}

static void data_comes_from_its_layer(void **state)
{
	struct ek_file *f;
	char c = 0;
	const struct ek_tree_node *n;

	(void)state;
	maketar_file(&tars[0], "a", "0");
	maketar_file(&tars[1], "b", "1");
	merge(2, false);
	n = merged->tree->root->children[0];
	assert_int_equal(merged->ops->open(merged, n->inode, &f, &err), EK_OK);
	assert_int_equal(merged->ops->read(f, 0, &c, 1, &err), EK_OK);
	assert_int_equal(c, '0');
	assert_int_equal(merged->ops->close(f, &err), EK_OK);
}

static void the_number_of_layers_is_bounded(void **state)
{
	struct ek_merge_options o = {0};

	(void)state;
	assert_int_equal(ek_source_merge(NULL, 0, &o, &merged, &err), EK_LIMIT);
	assert_int_equal(ek_source_merge(NULL, EK_MERGE_LAYERS_MAX + 1, &o,
					 &merged, &err),
			 EK_LIMIT);
}

#define MERGE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

const struct CMUnitTest merge_tests[] = {
	MERGE_TEST(upper_names_win_and_directories_merge),
	MERGE_TEST(implied_parents_keep_what_is_below),
	MERGE_TEST(whiteouts_hide_and_can_be_kept),
	MERGE_TEST(hard_links_hold_within_a_layer),
	MERGE_TEST(empty_layers_count_as_devices),
	MERGE_TEST(data_comes_from_its_layer),
	MERGE_TEST(the_number_of_layers_is_bounded),
	UNIT_END,
};
