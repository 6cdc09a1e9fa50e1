/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_IDS_H
#define TARFS_IDS_H

/* Numbers of the options in the table, below 32. */
enum tarfs_option {
	OPT_OUTPUT,
	OPT_FORMAT,
	OPT_IMAGE,
	OPT_PLATFORM,
	OPT_CHECK,
	OPT_LEAVES,
	OPT_SHARE,
	OPT_FORCE,
	OPT_ALGORITHM,
	OPT_PCLUSTER,
	OPT_UUID,
	OPT_TIME,
	OPT_WORKERS,
	OPT_RW,
	OPT_UPPER,
	OPT_NO_SYNC,
	OPT_QUIET,
	OPT_JSON,
	OPT_COUNT,
};

#endif
