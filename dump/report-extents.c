/* SPDX-License-Identifier: Apache-2.0 */

/* Where the bytes of a file are. */

#include "dump/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct flag {
	uint32_t bit;
	const char *name;
};

static const struct flag flags[] = {
	{EK_EXTENT_MAPPED, "mapped"},
	{EK_EXTENT_COMPRESSED, "compressed"},
	{EK_EXTENT_INLINE, "inline"},
	{EK_EXTENT_FRAGMENT, "fragment"},
	{EK_EXTENT_PARTIAL, "partial"},
	{EK_EXTENT_INTERLACED, "interlaced"},
	{EK_EXTENT_PLAIN_PCLUSTER, "plain_pcluster"},
	{EK_EXTENT_METABOX, "metabox"},
};

/* The peer's columns; what it does not tell stands behind a "#". */
static void text_extent(uint64_t i, const struct ek_extent *x)
{
	printf("%4" PRIu64 ": %8" PRIu64 "..%8" PRIu64 " | %7" PRIu64
	       " : %10" PRIu64 "..%10" PRIu64 " | %7" PRIu64,
	       i, x->logical, x->logical + x->logical_length, x->logical_length,
	       x->physical, x->physical + x->physical_length,
	       x->physical_length);
	if (x->device)
		printf("  # device %u", x->device);
	if (!(x->flags & EK_EXTENT_MAPPED))
		printf("  # hole");
	else if (x->flags & EK_EXTENT_FRAGMENT)
		printf("  # fragment");
	else if (x->flags & EK_EXTENT_METABOX)
		printf("  # metabox");
	putchar('\n');
}

static void json_extent(struct cli_json *j, const struct ek_extent *x)
{
	cli_json_open(j, NULL, '{');
	cli_json_unsigned(j, "logical", x->logical);
	cli_json_unsigned(j, "length", x->logical_length);
	cli_json_unsigned(j, "device", x->device);
	cli_json_unsigned(j, "physical", x->physical);
	cli_json_unsigned(j, "physical_length", x->physical_length);
	if (x->flags & EK_EXTENT_COMPRESSED)
		cli_json_text(j, "algorithm", dump_algorithm(x->algorithm));
	cli_json_open(j, "flags", '[');
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (x->flags & flags[i].bit)
			cli_json_text(j, NULL, flags[i].name);
	cli_json_close(j);
	cli_json_close(j);
}

static bool has_data(const struct ek_node *node)
{
	unsigned type = dump_type_number(node->mode);

	return type == 1 || type == 2 || type == 7;
}

static ek_status each(const struct dump *d, const struct ek_node *node,
		      uint64_t *n, struct ek_err *err)
{
	struct ek_extent x;

	if (!has_data(node))
		return EK_OK;
	for (uint64_t at = 0; at < node->size;) {
		ek_status st = ek_image_map(d->image, node, at, &x, err);

		if (st != EK_OK)
			return st;
		if (d->json)
			json_extent(d->json, &x);
		else
			text_extent(*n, &x);
		(*n)++;
		at = x.logical + x.logical_length;
	}
	return EK_OK;
}

ek_status dump_extents(const struct dump *d, const struct ek_node *node,
		       const char *path, struct ek_err *err)
{
	uint64_t n = 0;
	ek_status st;

	if (d->json) {
		cli_json_open(d->json, "extents", '[');
		st = each(d, node, &n, err);
		cli_json_close(d->json);
		return st;
	}
	printf("\n Ext:   logical offset   |  length :     physical offset    "
	       "|  length\n");
	st = each(d, node, &n, err);
	if (st == EK_OK) {
		dump_put(path, strlen(path));
		printf(": %" PRIu64 " extents found\n", n);
	}
	return st;
}
