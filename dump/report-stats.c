/* SPDX-License-Identifier: Apache-2.0 */

/* Statistics. Words and columns are the peer's, as far as it has them. */

#include "dump/dump.h"

#include "dump/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR 50

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? (double)part * 100.0 / (double)whole : 0.0;
}

static void row(uint64_t n, uint64_t all)
{
	int bar = (int)(percent(n, all) / 100.0 * BAR);

	printf("\t%-14" PRIu64 " %5.2f%% |%.*s%*s|\n", n, percent(n, all), bar,
	       "##################################################", BAR - bar,
	       "");
}

static void head(const char *first)
{
	printf("%-23scount            ratio |%-*s|\n", first, BAR,
	       "distribution");
}

static void histogram(const char *title, const uint64_t sizes[STATS_SIZES],
		      uint64_t all)
{
	unsigned low = 0;

	printf("\n%s file size distribution:\n", title);
	head(">=(KB) .. <(KB) ");
	for (int i = 0; i < STATS_SIZES - 1; i++) {
		printf("%6u .. %-6u", low, 1u << i);
		row(sizes[i], all);
		low = 1u << i;
	}
	printf("%6u ..       ", low);
	row(sizes[STATS_SIZES - 1], all);
}

static void text_counts(const struct stats *s)
{
	static const char *const words[] = {
		"unknown type", "regular file", "directory", "char dev",
		"block dev",	"FIFO file",	"SOCK file", "symlink file",
	};

	printf("Filesystem total file count:\t\t%" PRIu64 "\n", s->inodes);
	for (unsigned i = 0; i < 8; i++)
		printf("Filesystem %s count:\t\t%" PRIu64 "\n", words[i],
		       s->types[i]);
	printf("Filesystem name count:\t\t\t%" PRIu64 "\n", s->names);
	printf("Filesystem xattr count:\t\t\t%" PRIu64 "\n", s->xattrs);
	printf("Filesystem compressed files:            %" PRIu64 "\n",
	       s->compressed);
	printf("Filesystem uncompressed files:          %" PRIu64 "\n",
	       s->inodes - s->compressed);
	printf("Filesystem total original file size:    %" PRIu64 " Bytes\n",
	       s->bytes);
	printf("Filesystem total file size:             %" PRIu64 " Bytes\n",
	       s->stored);
	printf("Filesystem compress rate:               %.2f%%\n",
	       s->bytes ? percent(s->stored, s->bytes) : 100.0);
	printf("Filesystem metadata blocks:             %" PRIu64 "\n",
	       s->meta_blocks);
	printf("Filesystem metadata ranges:            ");
	for (size_t i = 0; i < s->meta.n; i++)
		printf(" %" PRIu64 "..%" PRIu64, s->meta.at[i].start,
		       s->meta.at[i].end);
	printf("\n");
}

static void text(const struct stats *s)
{
	uint64_t files = s->types[1];

	text_counts(s);
	histogram("Original", s->sizes, files);
	histogram("On-disk", s->stored_sizes, files);
	printf("\nFile type distribution:\n");
	head("type");
	for (unsigned i = 0; i < STATS_ENDINGS; i++) {
		printf("%-17s", stats_ending(i));
		row(s->endings[i], files);
	}
}

static void json_list(struct cli_json *j, const char *key, const uint64_t *at,
		      size_t n)
{
	cli_json_open(j, key, '[');
	for (size_t i = 0; i < n; i++)
		cli_json_unsigned(j, NULL, at[i]);
	cli_json_close(j);
}

static void json(struct cli_json *j, const struct stats *s)
{
	static const char *const keys[] = {
		NULL,
		NULL,
		"directories",
		"char_devices",
		"block_devices",
		"fifos",
		"sockets",
		"symlinks",
	};

	cli_json_open(j, "statistics", '{');
	cli_json_unsigned(j, "inodes", s->inodes);
	cli_json_unsigned(j, "names", s->names);
	cli_json_unsigned(j, "files", s->types[1]);
	for (unsigned i = 2; i < 8; i++)
		cli_json_unsigned(j, keys[i], s->types[i]);
	cli_json_unsigned(j, "xattrs", s->xattrs);
	cli_json_unsigned(j, "compressed", s->compressed);
	cli_json_unsigned(j, "bytes", s->bytes);
	cli_json_unsigned(j, "stored", s->stored);
	cli_json_unsigned(j, "metadata_blocks", s->meta_blocks);
	cli_json_open(j, "metadata_ranges", '[');
	for (size_t i = 0; i < s->meta.n; i++) {
		const uint64_t pair[2] = {s->meta.at[i].start,
					  s->meta.at[i].end};

		json_list(j, NULL, pair, 2);
	}
	cli_json_close(j);
	json_list(j, "size_classes", s->sizes, STATS_SIZES);
	json_list(j, "stored_classes", s->stored_sizes, STATS_SIZES);
	cli_json_close(j);
}

ek_status dump_stats(const struct dump *d, struct ek_err *err)
{
	struct stats s;
	ek_status st = stats_collect(d->image, &s, err);

	if (st == EK_OK && d->json)
		json(d->json, &s);
	else if (st == EK_OK)
		text(&s);
	stats_free(&s);
	return st;
}
