/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Room. Blobs that nobody has open go first, whole, the longest unused before
 * others; then the leaves of open blobs that are not pinned and were never
 * lent, the least recently used first, a batch at a time.
 *
 * A leaf goes in this order: busy in memory, with its epoch raised (readers
 * notice); out of the map on disk, synced (a power cut cannot bring its bit
 * back over a hole); out of the data file; absent.
 */

#include "cachefilesd/store/priv.h"

#include <errno.h>
#include <string.h>

#define BUCKETS	      1024u
#define BATCH	      1024u /* leaves that go with one write of a map */
#define BATCH_BYTES   (64u << 20)
#define RESERVE_TRIES 64 /* others may take what was made for us */
#define LOOKS	      64 /* what was chosen may be read again meanwhile */

bool ekd_is_full(ek_status status, const struct ek_err *err)
{
	return status == EK_IO && (err->sys == ENOSPC || err->sys == EDQUOT);
}

/* A leaf that was made busy, to be dropped. */
struct going {
	uint32_t leaf, word;
};

static size_t seize(struct ekd_blob *b, const uint32_t *leaves, size_t n,
		    struct going *going, bool *on_disk)
{
	size_t k = 0;

	*on_disk = false;
	for (size_t j = 0; j < n; j++) {
		uint32_t i = leaves[j], word = atomic_load(&b->words[i]);
		uint32_t epoch = (word & ~(uint32_t)EKD_FLAGS) + EKD_EPOCH;

		if (word & EKD_BUSY || !(word & (EKD_PRESENT | EKD_SUSPECT)) ||
		    !atomic_compare_exchange_strong(&b->words[i], &word,
						    epoch | EKD_BUSY))
			continue;
		going[k++] = (struct going){i, word};
		ekd_leaf_unclaim(b, i);
		*on_disk |= b->disk[i / 8] >> i % 8 & 1;
	}
	return k;
}

/* They stay: nothing of theirs was punched. */
static void give_back(struct ekd_blob *b, const struct going *going, size_t k)
{
	for (size_t j = 0; j < k; j++) {
		uint32_t word = atomic_load(&b->words[going[j].leaf]);
		uint32_t epoch = word & ~(uint32_t)EKD_FLAGS;

		ekd_leaf_release(b, going[j].leaf,
				 epoch | (going[j].word & EKD_FLAGS));
	}
}

/* Out of the map on disk; on failure the bits in memory stay as they were. */
static ek_status unmap(struct ekd_blob *b, const struct going *going, size_t k,
		       struct ek_err *err)
{
	size_t bytes = ekd_map_bytes(b->leaves->n);
	uint8_t *old = malloc(bytes);
	ek_status status;

	if (!old)
		return ek_fail(err, EK_NOMEM, "no memory to evict");
	memcpy(old, b->disk, bytes);
	for (size_t j = 0; j < k; j++)
		b->disk[going[j].leaf / 8] &=
			(uint8_t) ~(1u << going[j].leaf % 8);
	status = ekd_map_write(b, err);
	if (status != EK_OK)
		memcpy(b->disk, old, bytes);
	free(old);
	return status;
}

static void punch_all(struct ekd_blob *b, const struct going *going, size_t k)
{
	for (size_t j = 0; j < k;) {
		uint32_t first = going[j].leaf, n = 0;

		for (; j < k && going[j].leaf == first + n; j++)
			n++;
		/* Should it fail, the room stays taken, and no more. */
		ekd_leaf_punch(b, first, n);
	}
}

static uint64_t let_go(struct ekd_blob *b, const struct going *going, size_t k)
{
	uint64_t bytes = 0;

	for (size_t j = 0; j < k; j++) {
		uint32_t i = going[j].leaf, word = atomic_load(&b->words[i]);

		if (going[j].word & EKD_PRESENT)
			atomic_fetch_sub(&b->present, 1);
		else
			atomic_fetch_sub(&b->suspects, 1);
		bytes += ek_leaf_length(b->leaves, i);
		ekd_leaf_release(b, i, word & ~(uint32_t)EKD_FLAGS);
	}
	return bytes;
}

/* map_lock is held. */
static ek_status drop(struct ekd_blob *b, const uint32_t *leaves, size_t n,
		      struct going *going, uint64_t *freed, struct ek_err *err)
{
	bool on_disk, stays = ekd_stays(b);
	size_t k = seize(b, leaves, n, going, &on_disk);
	ek_status status = EK_OK;

	if (!k)
		return EK_OK;
	ekd_step(b->store, EKD_STEP_EVICT_CLEARED);
	if (on_disk)
		status = unmap(b, going, k, err);
	if (status != EK_OK) {
		give_back(b, going, k);
		return status;
	}
	ekd_step(b->store, EKD_STEP_EVICT_MAPPED);
	/* A kernel that reads the file itself must not find holes. */
	if (!stays)
		punch_all(b, going, k);
	ekd_step(b->store, EKD_STEP_PUNCHED);
	*freed = let_go(b, going, k);
	ekd_account(b->store, 0, *freed);
	ekd_blob_dirty(b, 0);
	return EK_OK;
}

ek_status ekd_drop(struct ekd_blob *b, const uint32_t *leaves, size_t n,
		   bool forced, uint64_t *freed, struct ek_err *err)
{
	struct going *going = malloc((n + 1) * sizeof(*going));
	ek_status status = EK_OK;

	*freed = 0;
	if (!going)
		return ek_fail(err, EK_NOMEM, "no memory to evict");
	pthread_mutex_lock(&b->map_lock);
	if (forced || !ekd_stays(b))
		status = drop(b, leaves, n, going, freed, err);
	pthread_mutex_unlock(&b->map_lock);
	free(going);
	return status;
}

#define FORGET 64u /* leaves that are forgotten at a time */

void ekd_forget_unsynced(struct ekd_blob *b)
{
	struct going going[FORGET];
	uint32_t leaves[FORGET];
	bool on_disk;

	for (uint32_t i = 0; i < b->leaves->n;) {
		size_t n = 0, k;

		for (; i < b->leaves->n && n < FORGET; i++)
			if (!(b->disk[i / 8] >> i % 8 & 1))
				leaves[n++] = i;
		k = seize(b, leaves, n, going, &on_disk);
		if (!ekd_stays(b))
			punch_all(b, going, k);
		ekd_account(b->store, 0, let_go(b, going, k));
	}
}

/* Which leaves go: all older than a bucket, and of that one some. */
struct choice {
	uint32_t now;
	unsigned shift; /* from age to bucket */
	uint32_t bucket;
	uint64_t all;  /* bytes of the buckets above */
	uint64_t some; /* bytes still to go of the bucket itself */
	uint64_t bytes[BUCKETS];
};

static bool can_go(const struct ekd_blob *b, uint32_t i)
{
	uint32_t word = atomic_load(&b->words[i]);

	return word & (EKD_PRESENT | EKD_SUSPECT) && !(word & EKD_BUSY);
}

static uint32_t age(const struct choice *c, const struct ekd_blob *b,
		    uint32_t i)
{
	uint32_t ticks = c->now - atomic_load(&b->used[i]);

	/* Touched since we took the time. */
	return ticks > UINT32_MAX / 2 ? 0 : ticks;
}

static uint32_t bucket(const struct choice *c, const struct ekd_blob *b,
		       uint32_t i)
{
	uint32_t k = age(c, b, i) >> c->shift;

	return k < BUCKETS ? k : BUCKETS - 1;
}

static void survey(struct choice *c, struct ekd_blob **blobs, size_t n,
		   uint64_t want)
{
	uint32_t oldest = 0;

	for (size_t k = 0; k < n; k++)
		for (uint32_t i = 0; i < blobs[k]->leaves->n; i++)
			if (can_go(blobs[k], i) && age(c, blobs[k], i) > oldest)
				oldest = age(c, blobs[k], i);
	while (oldest >> c->shift >= BUCKETS)
		c->shift++;
	for (size_t k = 0; k < n; k++)
		for (uint32_t i = 0; i < blobs[k]->leaves->n; i++)
			if (can_go(blobs[k], i))
				c->bytes[bucket(c, blobs[k], i)] +=
					ek_leaf_length(blobs[k]->leaves, i);
	c->bucket = BUCKETS - 1;
	while (c->bucket > 0 && c->all + c->bytes[c->bucket] < want)
		c->all += c->bytes[c->bucket--];
	c->some = want > c->all ? want - c->all : 0;
}

/* The next chosen leaves of @b from *at on. */
static size_t choose(struct choice *c, const struct ekd_blob *b, uint32_t *at,
		     uint32_t *leaves)
{
	size_t k = 0;

	for (; *at < b->leaves->n && k < BATCH; ++*at) {
		uint32_t i = *at, n = ek_leaf_length(b->leaves, i), in;

		if (!can_go(b, i))
			continue;
		in = bucket(c, b, i);
		if (in < c->bucket || (in == c->bucket && !c->some))
			continue;
		if (in == c->bucket)
			c->some -= c->some < n ? c->some : n;
		leaves[k++] = i;
	}
	return k;
}

static void count_evicted(struct ekd_store *s, uint64_t leaves)
{
	pthread_mutex_lock(&s->lock);
	s->stats.evicted_leaves += leaves;
	pthread_mutex_unlock(&s->lock);
}

static ek_status evict_from(struct ekd_blob *b, struct choice *c,
			    uint32_t *leaves, uint64_t *freed,
			    struct ek_err *err)
{
	uint32_t at = 0, size = b->leaves->leaf_size;
	uint64_t part;
	size_t k;

	while ((k = choose(c, b, &at, leaves))) {
		EKD_TRY(ekd_drop(b, leaves, k, false, &part, err));
		*freed += part;
		/* At most one leaf of a blob is short. */
		count_evicted(b->store, part / size + (part % size != 0));
	}
	return EK_OK;
}

/* *any: there was a leaf that could go, if nobody had read it since. */
static ek_status evict_leaves(struct ekd_store *s, uint64_t want,
			      uint64_t *freed, bool *any, struct ek_err *err)
{
	struct choice *c = calloc(1, sizeof(*c));
	uint32_t *leaves = malloc(BATCH * sizeof(*leaves));
	struct ekd_blob **blobs = NULL;
	size_t n = 0, loose = 0;
	ek_status status = EK_NOMEM;

	if (c && leaves)
		status = ekd_hold_all(s, &blobs, &n, err);
	else
		ek_fail(err, EK_NOMEM, "no memory to evict");
	/* Those that need not stay, to the front. */
	for (size_t k = 0; k < n; k++) {
		struct ekd_blob *b = blobs[k];

		if (ekd_stays(b))
			continue;
		blobs[k] = blobs[loose];
		blobs[loose++] = b;
	}
	if (status == EK_OK) {
		c->now = atomic_load(&s->tick);
		survey(c, blobs, loose, want);
	}
	*any = status == EK_OK && (c->all || c->bytes[c->bucket]);
	for (size_t k = 0; status == EK_OK && k < loose; k++)
		status = evict_from(blobs[k], c, leaves, freed, err);
	for (size_t k = 0; k < n; k++)
		ekd_blob_unhold(blobs[k]);
	free(blobs);
	free(leaves);
	free(c);
	return status;
}

/* evict is held. */
static ek_status free_bytes(struct ekd_store *s, uint64_t want,
			    struct ek_err *err)
{
	uint64_t freed = 0, part;
	struct ekd_entry *e;
	bool any;

	while (freed < want && (e = ekd_entry_oldest(s))) {
		EKD_TRY(ekd_entry_remove(s, e, &part, err));
		freed += part;
	}
	any = freed < want;
	for (int looks = 0; any && looks < LOOKS && (!looks || !freed); looks++)
		EKD_TRY(evict_leaves(s, want - freed, &freed, &any, err));
	if (!freed)
		return ek_fail_sys(err, ENOSPC,
				   "the store is full of blobs in use");
	return EK_OK;
}

/* A little more than is needed: each batch costs a sync of a map. */
static uint64_t batch(const struct ekd_store *s, uint64_t need, uint64_t in_use)
{
	uint64_t base = s->options.quota ? s->options.quota : in_use;
	uint64_t more = base / 32;

	return need + (more < BATCH_BYTES ? more : BATCH_BYTES);
}

ek_status ekd_make_room(struct ekd_store *s, uint64_t bytes, struct ek_err *err)
{
	ek_status status;
	uint64_t in_use;

	pthread_mutex_lock(&s->evict);
	pthread_mutex_lock(&s->lock);
	in_use = s->stats.bytes;
	pthread_mutex_unlock(&s->lock);
	status = free_bytes(s, batch(s, bytes, in_use), err);
	pthread_mutex_unlock(&s->evict);
	return status;
}

/* Count @bytes if the quota has room; else *over is how much it lacks. */
static bool take(struct ekd_store *s, uint64_t bytes, uint64_t *over)
{
	uint64_t quota = s->options.quota;
	bool fits;

	pthread_mutex_lock(&s->lock);
	fits = !quota || (bytes <= quota && s->stats.bytes <= quota - bytes);
	if (fits)
		s->stats.bytes += bytes;
	else
		*over = s->stats.bytes + bytes - quota;
	pthread_mutex_unlock(&s->lock);
	return fits;
}

ek_status ekd_reserve(struct ekd_store *s, uint64_t bytes, struct ek_err *err)
{
	ek_status status = EK_OK;
	uint64_t over;

	if (s->options.quota && bytes > s->options.quota)
		return ek_fail_sys(err, ENOSPC, "a leaf beyond the quota");
	for (int tries = 0; tries < RESERVE_TRIES && status == EK_OK; tries++) {
		bool got;

		if (take(s, bytes, &over))
			return EK_OK;
		pthread_mutex_lock(&s->evict);
		/* Whoever had the lock before may have made the room. */
		got = take(s, bytes, &over);
		if (!got) {
			status = free_bytes(s, batch(s, over, over), err);
			got = status == EK_OK && take(s, bytes, &over);
		}
		pthread_mutex_unlock(&s->evict);
		if (got)
			return EK_OK;
	}
	if (status != EK_OK)
		return status;
	return ek_fail_sys(err, ENOSPC, "the store is full of blobs in use");
}
