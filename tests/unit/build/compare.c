/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

#include <stdio.h>
#include <sys/stat.h>

struct state {
	const struct built *built;
	const struct ek_build_options *o;
};

static void same_data(const struct state *s, const struct ek_tree_inode *inode,
		      const struct ek_node *node)
{
	size_t step = 1u << 20, n;
	uint8_t *got = malloc(step), *want = malloc(step);
	struct ek_err err;

	assert_non_null(got);
	assert_non_null(want);
	for (uint64_t at = 0; at < inode->size; at += n) {
		n = (size_t)(inode->size - at < step ? inode->size - at : step);
		if (ek_image_read(s->built->image, node, at, got, n, &err) !=
		    EK_OK)
			fail_msg("%s", err.text);
		fake_bytes(inode->data, at, want, n);
		assert_memory_equal(got, want, n);
	}
	free(got);
	free(want);
}

struct seen {
	const struct ek_tree_inode *inode;
	size_t n;
};

static ek_status see_xattr(void *arg, const struct ek_xattr *x,
			   struct ek_err *err)
{
	struct seen *seen = arg;

	(void)err;
	for (uint32_t i = 0; i < seen->inode->n_xattrs; i++) {
		const struct ek_tree_xattr *want = seen->inode->xattrs[i];

		if (strcmp(want->name, x->name))
			continue;
		assert_int_equal(x->value_len, want->value_len);
		assert_memory_equal(x->value, want->value, x->value_len);
		seen->n++;
		return EK_OK;
	}
	fail_msg("attribute %s", x->name);
	return EK_OK;
}

static void same_xattrs(const struct state *s,
			const struct ek_tree_inode *inode,
			const struct ek_node *node)
{
	struct seen seen = {.inode = inode};
	struct ek_err err;

	if (ek_image_xattrs(s->built->image, node, see_xattr, &seen, &err) !=
	    EK_OK)
		fail_msg("%s", err.text);
	assert_int_equal(seen.n, s->o->xattr_share < 0 ? 0 : inode->n_xattrs);
}

static void same_meta(const struct ek_tree_inode *inode,
		      const struct ek_node *node)
{
	assert_int_equal(node->mode, inode->mode);
	assert_int_equal(node->nlink, inode->nlink);
	assert_int_equal(node->uid, inode->uid);
	assert_int_equal(node->gid, inode->gid);
	assert_true(node->mtime == inode->mtime);
	assert_int_equal(node->mtime_nsec, inode->mtime_nsec);
	if (!S_ISDIR(inode->mode))
		assert_true(node->size == inode->size);
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
		assert_int_equal(node->rdev_major, inode->rdev_major);
		assert_int_equal(node->rdev_minor, inode->rdev_minor);
	}
}

static ek_status count(void *arg, const struct ek_dirent *e, struct ek_err *err)
{
	(void)e;
	(void)err;
	++*(uint32_t *)arg;
	return EK_OK;
}

static void same(const struct state *s, const struct ek_tree_node *t,
		 const struct ek_node *node);

static void same_children(const struct state *s, const struct ek_tree_node *t,
			  const struct ek_node *node)
{
	struct ek_err err;
	uint32_t n = 0;

	assert_int_equal(
		ek_image_readdir(s->built->image, node, count, &n, &err),
		EK_OK);
	assert_int_equal(n, t->n_children + (s->o->dot_omitted ? 1 : 2));
	for (uint32_t i = 0; i < t->n_children; i++) {
		const struct ek_tree_node *c = t->children[i];
		struct ek_dirent e;
		struct ek_node child;

		/* As the kernel looks names up. */
		if (ek_image_find(s->built->image, node, c->name, c->name_len,
				  &e, &err) != EK_OK)
			fail_msg("%s: %s", c->name, err.text);
		if (ek_image_node(s->built->image, e.nid, &child, &err) !=
		    EK_OK)
			fail_msg("%s", err.text);
		same(s, c, &child);
	}
}

static void same(const struct state *s, const struct ek_tree_node *t,
		 const struct ek_node *node)
{
	struct ek_err err;
	char *target;

	same_meta(t->inode, node);
	same_xattrs(s, t->inode, node);
	if (S_ISDIR(t->inode->mode)) {
		same_children(s, t, node);
	} else if (S_ISREG(t->inode->mode)) {
		same_data(s, t->inode, node);
	} else if (S_ISLNK(t->inode->mode)) {
		assert_int_equal(
			ek_image_readlink(s->built->image, node, &target, &err),
			EK_OK);
		assert_string_equal(target, t->inode->target);
		free(target);
	}
}

void fake_compare(const struct fake *fake, const struct ek_build_options *o,
		  const struct built *built)
{
	struct state s = {.built = built, .o = o};
	struct ek_node root;
	struct ek_err err;

	assert_int_equal(ek_image_root(built->image, &root, &err), EK_OK);
	same(&s, fake->src.tree->root, &root);
}

static void sizes(struct fake *fake, struct ek_tree_node *dir)
{
	static const uint32_t around[] = {0,	1,    511,  512,  513,	4000,
					  4032, 4033, 4064, 4065, 4095, 4096,
					  4097, 8191, 8192, 8193, 40000};
	static const enum fill fills[] = {TEXT, RANDOM, ZEROS};
	char name[32];

	for (size_t f = 0; f < 3; f++)
		for (size_t i = 0; i < sizeof(around) / 4; i++) {
			snprintf(name, sizeof(name), "s%zu-%u", f, around[i]);
			fake_file(fake, dir, name, around[i], fills[f]);
		}
}

static void kinds(struct fake *fake, struct ek_tree_node *dir)
{
	static const uint32_t types[] = {S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
	static const size_t lengths[] = {1, 100, 511, 512, 600, 4040, 4095};
	char target[4096], name[32];
	struct ek_tree_inode *inode;

	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "kind%zu", i);
		inode = fake_node(fake, dir, name, types[i] | 0600);
		inode->rdev_major = i < 2 ? 4095 : 0;
		inode->rdev_minor = i < 2 ? 0xfffff : 0;
	}
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		memset(target, 'x', lengths[i]);
		target[lengths[i]] = 0;
		snprintf(name, sizeof(name), "link%zu", i);
		fake_link(fake, dir, name, target);
	}
}

struct fake *fake_zoo(void)
{
	static const char *const names[] = {"user.one", "trusted.two",
					    "security.three"};
	static const char *const values[] = {"same", "", "same"};
	struct fake *fake = fake_new();
	struct ek_tree_node *sub = fake_dir(fake, NULL, "sub"), *deep = sub;
	struct ek_tree_inode *inode;
	char name[256];
	struct ek_err err;

	/* Before and after "." and "..", and a prefix of another. */
	fake_dir(fake, NULL, "!first");
	fake_dir(fake, NULL, "-");
	fake_dir(fake, NULL, ".a");
	fake_dir(fake, NULL, "...");
	fake_dir(fake, NULL, "\xff");
	sizes(fake, sub);
	kinds(fake, sub);
	for (int i = 0; i < 5; i++)
		deep = fake_dir(fake, deep, "deep");
	memset(name, 'n', 255);
	name[255] = 0;
	inode = fake_file(fake, deep, name, 5000, TEXT);
	assert_int_equal(
		ek_tree_add(fake->src.tree, sub, "hard", 4, inode, NULL, &err),
		EK_OK);
	inode = fake_file(fake, deep, "odd", 100, TEXT);
	inode->uid = 70000;
	inode->gid = UINT32_MAX - 1;
	inode->mtime = -5;
	inode->mtime_nsec = 999999999;
	inode->mode = S_IFREG | 07777;
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		inode = fake_file(fake, deep, name, 3000, TEXT);
		fake_xattrs(fake, inode, names, values, i < 3 ? 3 : 1);
	}
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "entry-%d-with-some-length", i);
		fake_file(fake, sub, name, (uint64_t)i % 7, TEXT);
	}
	return fake;
}
