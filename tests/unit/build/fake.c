/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

#include <sys/stat.h>

struct ek_file {
	struct fake *fake;
	const struct ek_tree_inode *inode;
};

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Eight bytes at a multiple of 8. */
static uint64_t eight(const struct fake_data *d, uint64_t at)
{
	uint64_t noise = mix(at / 8 + ((uint64_t)d->seed << 40));
	/* Words of 24 bytes out of 97. */
	uint64_t word = mix(at / 24 + d->seed) % 97 * 3 + at / 8 % 3;
	uint64_t text = (mix(word) & UINT64_C(0x3f3f3f3f3f3f3f3f)) |
			UINT64_C(0x4040404040404040);

	switch (d->fill) {
	case TEXT:
		return text;
	case RANDOM:
		return noise;
	case MIXED:
		return at / 49152 % 2 ? text : noise;
	case SPARSE:
		return at / 786432 % 5 == 3 ? noise : 0;
	case ZEROS:
		break;
	}
	return 0;
}

void fake_bytes(const struct fake_data *data, uint64_t offset, uint8_t *to,
		size_t n)
{
	if (data->fill == ZEROS) {
		memset(to, 0, n);
		return;
	}
	for (size_t i = 0; i < n;) {
		uint64_t at = offset + i;
		uint64_t v = eight(data, at & ~UINT64_C(7));

		for (unsigned k = at % 8; k < 8 && i < n; k++)
			to[i++] = (uint8_t)(v >> k * 8);
	}
}

static ek_status fake_open(struct ek_tree_source *src,
			   const struct ek_tree_inode *inode,
			   struct ek_file **file, struct ek_err *err)
{
	(void)err;
	*file = malloc(sizeof(**file));
	assert_non_null(*file);
	(*file)->fake = (struct fake *)src;
	(*file)->inode = inode;
	__atomic_add_fetch(&(*file)->fake->open_now, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&(*file)->fake->opened, 1, __ATOMIC_SEQ_CST);
	return EK_OK;
}

static ek_status fake_read(struct ek_file *file, uint64_t offset, void *to,
			   size_t n, struct ek_err *err)
{
	const struct fake_data *data = file->inode->data;

	if (offset + n > file->inode->size)
		return ek_fail(err, EK_INVALID, "read beyond the end");
	if (data->read_status != EK_OK)
		return ek_fail(err, data->read_status, "broken: read");
	fake_bytes(data, offset, to, n);
	return EK_OK;
}

static ek_status fake_close(struct ek_file *file, struct ek_err *err)
{
	const struct fake_data *data = file->inode->data;

	__atomic_sub_fetch(&file->fake->open_now, 1, __ATOMIC_SEQ_CST);
	free(file);
	if (data->close_status != EK_OK)
		return ek_fail(err, data->close_status, "broken: close");
	return EK_OK;
}

static const struct ek_tree_source_ops fake_ops = {
	.open = fake_open,
	.read = fake_read,
	.close = fake_close,
};

struct fake *fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct ek_err err;

	assert_non_null(fake);
	fake->src.ops = &fake_ops;
	assert_int_equal(ek_tree_new(&fake->src.tree, &err), EK_OK);
	fake->src.tree->root->inode->mode = S_IFDIR | 0755;
	fake->src.tree->root->inode->mtime = 1000000;
	return fake;
}

void fake_free(struct fake *fake)
{
	assert_int_equal(fake->open_now, 0);
	ek_tree_free(fake->src.tree);
	free(fake);
}

static struct ek_tree_inode *add(struct fake *fake, struct ek_tree_node *parent,
				 const char *name, uint32_t mode,
				 struct ek_tree_node **node)
{
	struct ek_tree *tree = fake->src.tree;
	struct ek_tree_inode *inode;
	struct ek_err err;

	assert_int_equal(ek_tree_inode(tree, mode, &inode, &err), EK_OK);
	inode->mtime = 1000000;
	assert_int_equal(ek_tree_add(tree, parent ? parent : tree->root, name,
				     strlen(name), inode, node, &err),
			 EK_OK);
	return inode;
}

struct ek_tree_node *fake_dir(struct fake *fake, struct ek_tree_node *parent,
			      const char *name)
{
	struct ek_tree_node *node;

	add(fake, parent, name, S_IFDIR | 0755, &node);
	return node;
}

struct ek_tree_inode *fake_file(struct fake *fake, struct ek_tree_node *parent,
				const char *name, uint64_t size, enum fill fill)
{
	struct ek_tree_inode *inode =
		add(fake, parent, name, S_IFREG | 0644, NULL);
	struct fake_data *data =
		ek_arena_alloc(fake->src.tree->arena, sizeof(*data));

	assert_non_null(data);
	data->fill = fill;
	data->seed = (uint32_t)size;
	inode->data = data;
	inode->size = size;
	return inode;
}

struct ek_tree_inode *fake_node(struct fake *fake, struct ek_tree_node *parent,
				const char *name, uint32_t mode)
{
	return add(fake, parent, name, mode, NULL);
}

struct ek_tree_inode *fake_link(struct fake *fake, struct ek_tree_node *parent,
				const char *name, const char *target)
{
	struct ek_tree_inode *inode =
		add(fake, parent, name, S_IFLNK | 0777, NULL);

	inode->size = strlen(target);
	inode->target =
		ek_arena_copy(fake->src.tree->arena, target, strlen(target));
	assert_non_null(inode->target);
	return inode;
}

void fake_xattrs(struct fake *fake, struct ek_tree_inode *inode,
		 const char *const names[], const char *const values[],
		 size_t n)
{
	const struct ek_tree_xattr **list = calloc(n, sizeof(*list));
	struct ek_err err;

	assert_non_null(list);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ek_tree_xattr(fake->src.tree, names[i],
					       values[i], strlen(values[i]),
					       &list[i], &err),
				 EK_OK);
	assert_int_equal(
		ek_tree_set_xattrs(fake->src.tree, inode, list, n, &err),
		EK_OK);
	free(list);
}

struct ek_build_options fake_options(const char *codec, uint32_t bs,
				     uint32_t max_pcluster)
{
	return (struct ek_build_options){
		.size = sizeof(struct ek_build_options),
		.block_size = bs,
		.codec = codec,
		.level = EK_LEVEL_DEFAULT,
		.max_pcluster = max_pcluster,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
	};
}

static void seal(struct fake *fake)
{
	struct ek_err err;

	if (!fake->src.tree->sealed)
		assert_int_equal(ek_tree_seal(fake->src.tree, &err), EK_OK);
}

void fake_build(struct fake *fake, const struct ek_build_options *o,
		struct built *built)
{
	struct ek_err err = {0};

	memset(built, 0, sizeof(*built));
	seal(fake);
	assert_int_equal(ek_sink_in_memory(1u << 30, &built->sink, &err),
			 EK_OK);
	if (ek_build_tree(&fake->src, o, built->sink, &built->stats, &err) !=
	    EK_OK)
		fail_msg("%s", err.text);
	built->bytes = ek_sink_memory(built->sink, &built->n);
	assert_true(built->n == built->stats.bytes_out);
	assert_int_equal(ek_source_from_memory(built->bytes, built->n,
					       &built->src, &err),
			 EK_OK);
	if (ek_image_open(built->src, NULL, &built->image, &err) != EK_OK)
		fail_msg("%s", err.text);
}

ek_status fake_fail(struct fake *fake, const struct ek_build_options *o,
		    struct ek_err *err)
{
	struct ek_sink *sink;
	ek_status status;

	seal(fake);
	assert_int_equal(ek_sink_in_memory(1u << 30, &sink, err), EK_OK);
	status = ek_build_tree(&fake->src, o, sink, NULL, err);
	ek_sink_free(sink);
	assert_int_not_equal(status, EK_OK);
	return status;
}

void built_free(struct built *built)
{
	ek_image_free(built->image);
	ek_source_free(built->src);
	ek_sink_free(built->sink);
}

struct ek_node built_node(const struct built *built, const char *path)
{
	struct ek_node node;
	struct ek_err err;

	if (ek_image_lookup(built->image, path, &node, &err) != EK_OK)
		fail_msg("%s", err.text);
	return node;
}
