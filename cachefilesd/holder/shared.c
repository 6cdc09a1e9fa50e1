/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The memory that holder and workers share. It has the host's byte order and
 * atomic words: it never leaves the host. A worker may die at any instruction;
 * a successor, perhaps of a later version, finds each part whole.
 */

#include "cachefilesd/holder/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	       "EKDSHR1"
#define SHARED_VERSION 1u

struct slot {
	uint64_t seq; /* 0: not whole */
	uint32_t version, n;
	uint8_t bytes[EKD_STATE];
};

struct ekd_shared {
	char magic[8];
	uint32_t version, generation;
	uint64_t beats;
	struct ekd_door_kept door;
	struct ekd_door_gauge gauge;
	uint8_t spare[3984];
	struct slot slots[2];
};

_Static_assert(offsetof(struct ekd_shared, beats) == 16, "as documented");
_Static_assert(offsetof(struct ekd_shared, door) == 24, "as documented");
_Static_assert(offsetof(struct ekd_shared, gauge) == 56, "as documented");
_Static_assert(offsetof(struct ekd_shared, slots) == 4064, "as documented");

ek_status ekd_shared_make(int *fd, struct ek_err *err)
{
	struct ekd_shared *shared;
	int made;

	made = memfd_create("erofs-cachefilesd",
			    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return ek_fail_sys(err, errno, "shared memory");
	if (ftruncate(made, sizeof(*shared)) != 0 ||
	    fcntl(made, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		goto failed;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		      made, 0);
	if (shared == MAP_FAILED)
		goto failed;
	shared->version = SHARED_VERSION;
	memcpy(shared->magic, MAGIC, sizeof(shared->magic));
	munmap(shared, sizeof(*shared));
	*fd = made;
	return EK_OK;
failed:
	ek_fail_sys(err, errno, "shared memory");
	close(made);
	return EK_IO;
}

ek_status ekd_shared_map(int fd, struct ekd_shared **shared, struct ek_err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct ekd_shared *map;
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 ||
	    st.st_size != (off_t)sizeof(*map))
		return ek_fail(err, EK_INVALID, "not the shared memory");
	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	if (map == MAP_FAILED)
		return ek_fail_sys(err, errno, "shared memory");
	if (memcmp(map->magic, MAGIC, sizeof(map->magic)) != 0 ||
	    map->version != SHARED_VERSION) {
		munmap(map, sizeof(*map));
		return ek_fail(err, EK_INVALID,
			       "shared memory of another version");
	}
	*shared = map;
	return EK_OK;
}

void ekd_shared_unmap(struct ekd_shared *shared)
{
	if (shared)
		munmap(shared, sizeof(*shared));
}

struct ekd_door_kept *ekd_shared_door(struct ekd_shared *shared)
{
	return &shared->door;
}

struct ekd_door_gauge *ekd_shared_gauge(struct ekd_shared *shared)
{
	return &shared->gauge;
}

void ekd_shared_beat(struct ekd_shared *shared)
{
	__atomic_fetch_add(&shared->beats, 1, __ATOMIC_RELAXED);
}

uint64_t ekd_shared_beats(const struct ekd_shared *shared)
{
	return __atomic_load_n(&shared->beats, __ATOMIC_RELAXED);
}

uint32_t ekd_shared_generation(const struct ekd_shared *shared)
{
	return __atomic_load_n(&shared->generation, __ATOMIC_RELAXED);
}

void ekd_shared_next(struct ekd_shared *shared)
{
	__atomic_fetch_add(&shared->generation, 1, __ATOMIC_RELAXED);
	/* What the dead one had taken comes again and is counted again. */
	__atomic_store_n(&shared->gauge.waiting, 0, __ATOMIC_RELAXED);
}

static uint64_t slot_seq(const struct slot *slot)
{
	return __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
}

ek_status ekd_shared_put(struct ekd_shared *shared, uint32_t version,
			 const void *bytes, size_t n, struct ek_err *err)
{
	uint64_t first = slot_seq(&shared->slots[0]);
	uint64_t second = slot_seq(&shared->slots[1]);
	struct slot *slot = &shared->slots[first > second];

	if (n > EKD_STATE)
		return ek_fail(err, EK_LIMIT,
			       "a state record of %zu bytes: over %u", n,
			       EKD_STATE);
	/* Death in between leaves the other slot, whole. */
	__atomic_store_n(&slot->seq, 0, __ATOMIC_SEQ_CST);
	slot->version = version;
	slot->n = (uint32_t)n;
	memcpy(slot->bytes, bytes, n);
	__atomic_store_n(&slot->seq, (first > second ? first : second) + 1,
			 __ATOMIC_SEQ_CST);
	return EK_OK;
}

void ekd_shared_get(const struct ekd_shared *shared, uint32_t *version,
		    void *to, size_t *n)
{
	const struct slot *slot = &shared->slots[0];

	if (slot_seq(&shared->slots[1]) > slot_seq(slot))
		slot = &shared->slots[1];
	*n = 0;
	*version = 0;
	if (slot_seq(slot) == 0 || slot->n > EKD_STATE)
		return;
	*version = slot->version;
	*n = slot->n;
	memcpy(to, slot->bytes, slot->n);
}
