/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/report.h"

#include "cli/cpu.h"
#include "cli/leaves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_EVERY_NS 100000000u

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool progress_wanted(const struct mkfs_options *o)
{
	return !o->quiet && !o->json && isatty(STDOUT_FILENO);
}

static unsigned terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
		return size.ws_col;
	return 80;
}

/* The end of @path in @room columns; what could steer a terminal is a '?'. */
static void put_path(const char *path, size_t room)
{
	size_t n = strlen(path);

	if (n > room) {
		fputs("...", stdout);
		path += n - (room - 3);
	}
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		putchar(c < 0x20 || c >= 0x7f ? '?' : c);
	}
}

void progress_step(void *arg, const char *path, uint64_t done, uint64_t total)
{
	struct progress *p = arg;
	uint64_t now = now_ns();
	char head[32];
	int n;

	if (now < p->next_ns)
		return;
	p->next_ns = now + PROGRESS_EVERY_NS;
	if (!p->width)
		p->width = terminal_width();
	n = snprintf(head, sizeof(head), "Processing %3u%% ",
		     total ? (unsigned)((double)done * 100 / (double)total)
			   : 0);
	printf("\r\033[K%s", head);
	if (path)
		put_path(path, p->width - 1 - (unsigned)n);
	fflush(stdout);
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stdout);
	fflush(stdout);
	p->shown = false;
}

void report_start(const struct mkfs_options *o)
{
	if (o->quiet || o->json)
		return;
	printf("%s %s\n", mkfs_program.name, CLI_PEER_VERSION);
	fflush(stdout);
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double percent(const struct ek_build_stats *s)
{
	return s->bytes_in ? 100.0 * (double)s->bytes_out / (double)s->bytes_in
			   : 0;
}

/* The first lines are the peer's: scripts read them. */
static void text(const struct ek_build_stats *s, uint64_t total_ns,
		 uint64_t finish_ns)
{
	char uuid[37];

	cli_uuid_text(s->uuid, uuid);
	printf("Build completed.\n"
	       "------\n"
	       "Filesystem UUID: %s\n"
	       "Filesystem total blocks: %" PRIu64 " (of %" PRIu32
	       "-byte blocks)\n"
	       "Filesystem total inodes: %" PRIu64 "\n"
	       "Filesystem total metadata blocks: %" PRIu64 "\n"
	       "Filesystem total deduplicated bytes (of source files): %" PRIu64
	       "\n",
	       uuid, s->blocks, s->block_size, s->inodes, s->meta_blocks,
	       s->deduplicated_bytes);
	printf("Files: %" PRIu64 " regular, %" PRIu64 " directories, %" PRIu64
	       " symbolic links, %" PRIu64 " others\n",
	       s->files, s->directories, s->symlinks, s->others);
	printf("Bytes: %" PRIu64 " in files, %" PRIu64 " in the image",
	       s->bytes_in, s->bytes_out);
	if (s->bytes_in)
		printf(" (%.1f%%)", percent(s));
	if (s->blob_bytes)
		printf(", %" PRIu64 " on a device", s->blob_bytes);
	if (s->copied_files)
		printf("\nCopied into the index: %" PRIu64 " files, %" PRIu64
		       " bytes",
		       s->copied_files, s->copied_bytes);
	if (s->devices)
		printf("\nDevices that it needs when mounted: %u", s->devices);
	printf("\nTime: %.2f s (walk %.2f, data %.2f, metadata %.2f, "
	       "flush %.2f)\n",
	       seconds(total_ns), seconds(s->ns_walk), seconds(s->ns_data),
	       seconds(s->ns_meta), seconds(finish_ns));
	printf("Oldest kernel that mounts it: Linux %s\n", s->oldest_kernel);
}

static void json_counts(struct cli_json *j, const struct ek_build_stats *s)
{
	cli_json_uuid(j, "uuid", s->uuid);
	cli_json_signed(j, "build_time", s->build_time);
	cli_json_unsigned(j, "block_size", s->block_size);
	cli_json_unsigned(j, "blocks", s->blocks);
	cli_json_unsigned(j, "metadata_blocks", s->meta_blocks);
	cli_json_unsigned(j, "inodes", s->inodes);
	cli_json_unsigned(j, "files", s->files);
	cli_json_unsigned(j, "directories", s->directories);
	cli_json_unsigned(j, "symlinks", s->symlinks);
	cli_json_unsigned(j, "others", s->others);
	cli_json_unsigned(j, "bytes_in", s->bytes_in);
	cli_json_unsigned(j, "bytes_out", s->bytes_out);
	if (s->bytes_in)
		cli_json_real(j, "ratio", percent(s) / 100, 6);
	else
		cli_json_null(j, "ratio");
	cli_json_unsigned(j, "codec_bytes_in", s->codec_bytes_in);
	cli_json_unsigned(j, "deduplicated_bytes", s->deduplicated_bytes);
	cli_json_unsigned(j, "devices", s->devices);
	cli_json_unsigned(j, "blob_bytes", s->blob_bytes);
	cli_json_unsigned(j, "copied_files", s->copied_files);
	cli_json_unsigned(j, "copied_bytes", s->copied_bytes);
	cli_json_text(j, "oldest_kernel", s->oldest_kernel);
}

static void json_leaves(struct cli_json *j, const char *key,
			const struct mkfs_leaves *l)
{
	cli_json_leaves(j, key, l->path, l->size, l->count, l->root);
}

static void json(const struct mkfs_options *o, const struct ek_build_stats *s,
		 uint64_t total_ns, uint64_t finish_ns)
{
	const char *name, *version;
	struct cli_json j;

	cli_json_start(&j, stdout);
	cli_json_open(&j, NULL, '{');
	cli_json_text(&j, "program", mkfs_program.name);
	cli_json_text(&j, "version", PACKAGE_VERSION);
	cli_json_text(&j, "compatible_with", CLI_PEER_VERSION);
	cli_json_open(&j, "codecs", '{');
	for (size_t i = 0; (version = ek_build_codec(i, &name)); i++)
		cli_json_text(&j, name, version);
	cli_json_close(&j);
	cli_json_text(&j, "image", o->image);
	if (o->n_sources)
		cli_json_text(&j, "source", o->sources[0]);
	else
		cli_json_null(&j, "source");
	cli_json_open(&j, "sources", '[');
	for (size_t i = 0; i < o->n_sources; i++)
		cli_json_text(&j, NULL, o->sources[i]);
	cli_json_close(&j);
	if (o->build.codec)
		cli_json_text(&j, "codec", o->build.codec);
	else
		cli_json_null(&j, "codec");
	json_counts(&j, s);
	json_leaves(&j, "leaf_digests", &o->leaves);
	json_leaves(&j, "blob_leaf_digests", &o->blob_leaves);
	cli_json_open(&j, "seconds", '{');
	cli_json_real(&j, "total", seconds(total_ns), 6);
	cli_json_real(&j, "walk", seconds(s->ns_walk), 6);
	cli_json_real(&j, "data", seconds(s->ns_data), 6);
	cli_json_real(&j, "metadata", seconds(s->ns_meta), 6);
	cli_json_real(&j, "flush", seconds(finish_ns), 6);
	cli_json_close(&j);
	/* The thread that puts all in order bounds what workers can save. */
	cli_json_open(&j, "cpu_seconds", '{');
	cli_json_real(&j, "ordering_thread", cli_cpu_seconds(RUSAGE_THREAD), 6);
	cli_json_real(&j, "all", cli_cpu_seconds(RUSAGE_SELF), 6);
	cli_json_close(&j);
	cli_json_close(&j);
}

void report_done(const struct mkfs_options *o,
		 const struct ek_build_stats *stats, uint64_t total_ns,
		 uint64_t finish_ns)
{
	if (o->quiet)
		return;
	if (o->json)
		json(o, stats, total_ns, finish_ns);
	else
		text(stats, total_ns, finish_ns);
}
