/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include <erofskit/image.h>
#include <erofskit/layer.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct CMUnitTest random_tests[];

/*
 * Random layers, written as archives and merged into an index, must read as
 * the model says that was kept beside: a list of names, each hidden or not.
 */
#define LAYERS	3
#define ROUNDS	150
#define NAMES	512
#define MEMBERS 24

struct name {
	char path[64];
	bool live;
	int layer;
	char type;	/* '0' file, '1' file by a link, '2' symlink, '5' dir */
	uint32_t group; /* number of the inode; of files the content, too */
	size_t size;
};

static struct name names[NAMES];
static size_t n_names;
static uint32_t groups;
static uint64_t seed;
static struct maketar tars[LAYERS];
static struct ek_err err;

static uint32_t dice(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % n;
}

static uint8_t content(uint32_t group, size_t at)
{
	return (uint8_t)(group * 37 + at * 11 + at / 256);
}

static struct name *find(const char *path)
{
	for (size_t i = 0; i < n_names; i++)
		if (names[i].live && strcmp(names[i].path, path) == 0)
			return &names[i];
	return NULL;
}

static struct name *put(const char *path, int layer, char type)
{
	struct name *n = find(path);

	if (!n) {
		assert_true(n_names < NAMES);
		n = &names[n_names++];
	}
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->live = true;
	n->layer = layer;
	n->type = type;
	n->size = 0;
	n->group = ++groups;
	return n;
}

/* A directory of at most three levels, which must be there; "" is the root. */
static void some_dir(char *to, int layer)
{
	uint32_t levels = dice(4);

	*to = 0;
	for (uint32_t i = 0; i < levels; i++) {
		struct name *n;

		sprintf(to + strlen(to), "d%u", dice(3));
		n = find(to);
		if (!n)
			n = put(to, layer, '5');
		/* What is hidden by a whiteout here must be new to the layer */
		n->layer = layer;
		strcat(to, "/");
	}
}

static void add_file(struct maketar *t, const char *path, int layer)
{
	struct name *n = put(path, layer, '0');
	uint8_t data[2048];

	n->size = dice(4) ? dice(1500) : dice(3) * 512;
	for (size_t i = 0; i < n->size; i++)
		data[i] = content(n->group, i);
	maketar_header(t, path, '0', n->size);
	maketar_data(t, data, n->size);
}

static void add_link(struct maketar *t, const char *path, int layer)
{
	struct name *to, *n;
	uint32_t group;
	uint8_t *b;

	if (!n_names)
		return;
	to = &names[dice((uint32_t)n_names)];

	if (!to->live || to->layer != layer || strcmp(to->path, path) == 0 ||
	    (to->type != '0' && to->type != '1'))
		return;
	group = to->group;
	b = maketar_header(t, path, '1', 0);
	strcpy((char *)b + 157, to->path);
	maketar_seal(b);
	n = put(path, layer, '1');
	n->group = group;
	/* put() may have moved nothing, but taken @to itself. */
	n->size = find(to->path)->size;
}

static void add_symlink(struct maketar *t, const char *path, int layer)
{
	struct name *n = put(path, layer, '2');
	uint8_t *b = maketar_header(t, path, '2', 0);

	sprintf((char *)b + 157, "target-%u", n->group);
	maketar_seal(b);
}

static void hide(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n_names; i++)
		if (strncmp(names[i].path, path, len) == 0 &&
		    (names[i].path[len] == 0 || names[i].path[len] == '/'))
			names[i].live = false;
}

/* Whether @layer has @path or anything beneath it. */
static bool touched(const char *path, int layer)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n_names; i++)
		if (names[i].live && names[i].layer == layer &&
		    strncmp(names[i].path, path, len) == 0 &&
		    (names[i].path[len] == 0 || names[i].path[len] == '/'))
			return true;
	return false;
}

/* Hide a name of the layers below, before this layer says anything else. */
static void add_whiteout(struct maketar *t, int layer)
{
	const struct name *n;
	char path[64], mark[80];
	char *slash;

	if (!n_names)
		return;
	n = &names[dice((uint32_t)n_names)];
	if (!n->live || touched(n->path, layer))
		return;
	strcpy(path, n->path);
	slash = strrchr(path, '/');
	if (slash)
		sprintf(mark, "%.*s/.wh.%s", (int)(slash - path), path,
			slash + 1);
	else
		sprintf(mark, ".wh.%s", path);
	maketar_header(t, mark, '0', 0);
	hide(path);
	/* The directories that the mark lies in are this layer's now. */
	while (slash) {
		*slash = 0;
		find(path)->layer = layer;
		slash = strrchr(path, '/');
	}
}

static void make_layer(int layer)
{
	struct maketar *t = &tars[layer];

	memset(t, 0, sizeof(*t));
	for (uint32_t i = dice(4); layer && i; i--)
		add_whiteout(t, layer);
	for (uint32_t i = 1 + dice(MEMBERS); i; i--) {
		char path[64];

		some_dir(path, layer);
		if (*path && dice(4) == 0) {
			maketar_header(t, path, '5', 0);
			continue;
		}
		sprintf(path + strlen(path), "f%u", dice(4));
		switch (dice(5)) {
		case 0:
			add_symlink(t, path, layer);
			break;
		case 1:
			add_link(t, path, layer);
			break;
		default:
			add_file(t, path, layer);
		}
		/* A link that came to nothing still made no directory. */
		if (!find(path) && strrchr(path, '/')) {
			*strrchr(path, '/') = 0;
			maketar_header(t, path, '5', 0);
		} else if (strrchr(path, '/') && find(path)->layer != layer) {
			*strrchr(path, '/') = 0;
			maketar_header(t, path, '5', 0);
		}
	}
	maketar_end(t);
}

static uint32_t links_of(uint32_t group)
{
	uint32_t n = 0;

	for (size_t i = 0; i < n_names; i++)
		n += names[i].live && names[i].group == group;
	return n;
}

static void check_name(struct ek_image *image, const struct name *n)
{
	static const char types[] = "0125";
	static const uint32_t modes[] = {S_IFREG, S_IFREG, S_IFLNK, S_IFDIR};
	struct ek_node node;
	uint8_t data[2048];
	char target[32], *got;

	if (ek_image_lookup(image, n->path, &node, &err) != EK_OK)
		fail_msg("round of '%s': %s", n->path, err.text);
	assert_int_equal(node.mode & S_IFMT,
			 modes[strchr(types, n->type) - types]);
	if (n->type == '5')
		return;
	if (n->type == '2') {
		sprintf(target, "target-%u", n->group);
		assert_int_equal(ek_image_readlink(image, &node, &got, &err),
				 EK_OK);
		assert_string_equal(got, target);
		free(got);
		return;
	}
	assert_true(node.size == n->size);
	assert_int_equal(node.nlink, links_of(n->group));
	assert_int_equal(ek_image_read(image, &node, 0, data, n->size, &err),
			 EK_OK);
	for (size_t i = 0; i < n->size; i++)
		assert_int_equal(data[i], content(n->group, i));
}

static void check_image(struct ek_source *const *archives, FILE *file)
{
	struct ek_image_options o = {
		.size = sizeof(o), .devices = archives, .n_devices = LAYERS};
	struct ek_source *src;
	struct ek_image *image;

	assert_int_equal(
		ek_source_from_fd(fileno(file), "image", 0, &src, &err), EK_OK);
	assert_int_equal(ek_image_open(src, &o, &image, &err), EK_OK);
	for (size_t i = 0; i < n_names; i++)
		if (names[i].live)
			check_name(image, &names[i]);
	ek_image_free(image);
	ek_source_free(src);
}

static void load(int i, struct ek_source **archive, struct ek_layer **layer)
{
	struct ek_layer_options o = {.size = sizeof(o), .aufs = true};
	struct ek_tar_input *in;

	assert_int_equal(
		ek_source_from_memory(tars[i].bytes, tars[i].n, archive, &err),
		EK_OK);
	assert_int_equal(ek_tar_input_from_source(*archive, &in, &err), EK_OK);
	if (ek_layer_from_tar(in, *archive, "t.tar", &o, layer, NULL, &err) !=
	    EK_OK)
		fail_msg("%s", err.text);
	ek_tar_input_free(in);
}

static void one_round(void)
{
	struct ek_build_options o = {
		.size = sizeof(o),
		.index = true,
		.level = EK_LEVEL_DEFAULT,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
	};
	struct ek_source *archives[LAYERS];
	struct ek_layer *layers[LAYERS], *merged;
	struct ek_build_stats stats;
	FILE *file = tmpfile();
	uint64_t live = 0;

	assert_non_null(file);
	n_names = 0;
	for (int i = 0; i < LAYERS; i++) {
		make_layer(i);
		load(i, &archives[i], &layers[i]);
	}
	assert_int_equal(
		ek_layer_merge(layers, LAYERS, true, NULL, &merged, &err),
		EK_OK);
	for (size_t i = 0; i < n_names; i++)
		live += names[i].live;
	assert_int_equal(ek_layer_names(merged), live);
	assert_int_equal(
		ek_build_layer(merged, &o, fileno(file), "image", &stats, &err),
		EK_OK);
	assert_int_equal(stats.copied_files, 0);
	check_image(archives, file);
	ek_layer_free(merged);
	for (int i = 0; i < LAYERS; i++)
		ek_source_free(archives[i]);
	fclose(file);
}

static void merged_layers_read_as_they_were_written(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		seed = i * UINT64_C(0x9e3779b97f4a7c15);
		one_round();
	}
}

const struct CMUnitTest random_tests[] = {
	cmocka_unit_test(merged_layers_read_as_they_were_written),
	UNIT_END,
};
