/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_OPTS_H
#define DUMP_OPTS_H

/* The command line of dump.erofs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* device_id of the format has 16 bits; nobody mounts anywhere near as many. */
#define DUMP_DEVICES_MAX 4096

struct dump_options {
	bool super, stats, extents, ls, cat, blkid, json;
	bool have_nid;
	uint64_t nid;
	const char *path; /* wins over nid */
	const char **devices;
	size_t n_devices;
	uint64_t offset;
	const char *image;
};

/* CLI_GO_ON, or the status to exit with. Free with dump_options_free(). */
int dump_parse(int argc, char **argv, struct dump_options *o);
void dump_options_free(struct dump_options *o);

#endif
