/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_DOOR_OPS_H
#define EKD_DOOR_OPS_H

/*
 * What a kind of door is made of: the calls of door.h, whose contracts hold
 * for each member. A new kind is a file with such a table, a line in probe.c
 * and whatever its mounts need of the holder, which does them all.
 */

#include "cachefilesd/kernel/door.h"

struct ekd_door_ops {
	/* Fill works, served and why; the rest is zero. Needs root. */
	void (*probe)(struct ekd_door_report *report);
	ek_status (*open)(int fd, const struct ekd_door_kept *kept,
			  struct ekd_door_gauge *gauge,
			  const struct ekd_door_hooks *hooks, unsigned threads,
			  struct ekd_door **door, struct ek_err *err);
	ek_status (*add)(struct ekd_door *door, const char *name, uint64_t size,
			 void *cookie, struct ek_err *err);
	ek_status (*remove)(struct ekd_door *door, const char *name,
			    struct ek_err *err);
	ek_status (*start)(struct ekd_door *door, struct ek_err *err);
	void (*stop)(struct ekd_door *door);
	void (*close)(struct ekd_door *door); /* not NULL; stops */
	void (*answer)(struct ekd_door_request *request, int error);
	void (*abandon)(struct ekd_door_request *request);
	void (*stats)(struct ekd_door *door, struct ekd_door_stats *stats);
	bool (*broken)(const struct ekd_door *door);
};

/* The first member of each kind's own struct; the kind fills it. */
struct ekd_door {
	const struct ekd_door_ops *ops;
};

/* The same for a read that was given away. */
struct ekd_door_request {
	const struct ekd_door_ops *ops;
	void *cookie; /* of the file */
	uint64_t offset;
	uint32_t size, pid;
	void *buffer;
};

#endif
