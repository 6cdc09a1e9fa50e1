/* SPDX-License-Identifier: Apache-2.0 */

/* The calls of door.h, for whatever kind of door it is. */

#include "cachefilesd/kernel/door-ops.h"

ek_status ekd_door_open(const struct ekd_door_ops *ops, int fd,
			const struct ekd_door_kept *kept,
			struct ekd_door_gauge *gauge,
			const struct ekd_door_hooks *hooks, unsigned threads,
			struct ekd_door **door, struct ek_err *err)
{
	return ops->open(fd, kept, gauge, hooks, threads, door, err);
}

ek_status ekd_door_add(struct ekd_door *door, const char *name, uint64_t size,
		       void *cookie, struct ek_err *err)
{
	return door->ops->add(door, name, size, cookie, err);
}

ek_status ekd_door_remove(struct ekd_door *door, const char *name,
			  struct ek_err *err)
{
	return door->ops->remove(door, name, err);
}

ek_status ekd_door_start(struct ekd_door *door, struct ek_err *err)
{
	return door->ops->start(door, err);
}

void ekd_door_stop(struct ekd_door *door)
{
	door->ops->stop(door);
}

void ekd_door_free(struct ekd_door *door)
{
	if (door)
		door->ops->close(door);
}

void *ekd_door_cookie(const struct ekd_door_request *request)
{
	return request->cookie;
}

uint64_t ekd_door_offset(const struct ekd_door_request *request)
{
	return request->offset;
}

size_t ekd_door_size(const struct ekd_door_request *request)
{
	return request->size;
}

uint32_t ekd_door_pid(const struct ekd_door_request *request)
{
	return request->pid;
}

void *ekd_door_buffer(struct ekd_door_request *request)
{
	return request->buffer;
}

void ekd_door_answer(struct ekd_door_request *request, int error)
{
	request->ops->answer(request, error);
}

void ekd_door_abandon(struct ekd_door_request *request)
{
	request->ops->abandon(request);
}

void ekd_door_stats(struct ekd_door *door, struct ekd_door_stats *stats)
{
	door->ops->stats(door, stats);
}

bool ekd_door_broken(const struct ekd_door *door)
{
	return door->ops->broken(door);
}
