/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/priv.h"

#include <string.h>

ek_status ekd_store_gc(struct ekd_store *s, uint64_t *removed, uint64_t *bytes,
		       struct ek_err *err)
{
	ek_status status = EK_OK;
	struct ekd_entry *e;
	uint64_t part;

	*removed = *bytes = 0;
	/* With both held no pass keeps a blob open that its users closed. */
	pthread_mutex_lock(&s->work);
	pthread_mutex_lock(&s->evict);
	while (status == EK_OK && (e = ekd_entry_oldest(s))) {
		status = ekd_entry_remove(s, e, &part, err);
		if (status == EK_OK) {
			++*removed;
			*bytes += part;
		}
	}
	pthread_mutex_unlock(&s->evict);
	pthread_mutex_unlock(&s->work);
	return status;
}

struct verifier {
	void (*tell)(void *arg, const char *blob, uint32_t leaf);
	void *arg;
	uint64_t *wrong;
	uint8_t *bytes;
};

/*
 * Whether leaf @i is here with wrong bytes that were not just evicted, or was
 * said to be here and then dropped because of them.
 */
static bool is_wrong(struct ekd_blob *b, uint32_t i, uint8_t *bytes)
{
	uint32_t word = ekd_leaf_settle(b, i);
	size_t n = ek_leaf_length(b->leaves, i);
	ek_status status;

	if (ekd_leaf_unclaim(b, i))
		return true;
	if (!(word & EKD_PRESENT))
		return false;
	status = ekd_pread(b->fd, "data", ekd_leaf_start(b, i), bytes, n, NULL);
	if (status == EK_OK)
		status = ek_leaf_verify(b->leaves, i, bytes, n, NULL);
	return status != EK_OK && status != EK_NOMEM &&
	       atomic_load(&b->words[i]) == word;
}

static ek_status verify_blob(struct ekd_blob *b, struct verifier *v,
			     struct ek_err *err)
{
	uint64_t freed;

	for (uint32_t i = 0; i < b->leaves->n; i++) {
		if (!is_wrong(b, i, v->bytes))
			continue;
		++*v->wrong;
		if (v->tell)
			v->tell(v->arg, b->entry->name, i);
		EKD_TRY(ekd_drop(b, &i, 1, true, &freed, err));
		pthread_mutex_lock(&b->store->lock);
		b->store->stats.dropped_leaves += freed != 0;
		pthread_mutex_unlock(&b->store->lock);
	}
	return EK_OK;
}

/* Names of all blobs, each with its NUL, closed by an empty one. */
static char *all_names(struct ekd_store *s)
{
	size_t n = 1, at = 0;
	char *names;

	pthread_mutex_lock(&s->lock);
	for (const struct ekd_entry *e = s->list; e; e = e->next)
		n += strlen(e->name) + 1;
	names = malloc(n);
	for (const struct ekd_entry *e = s->list; names && e; e = e->next) {
		size_t size = strlen(e->name) + 1;

		memcpy(names + at, e->name, size);
		at += size;
	}
	if (names)
		names[at] = '\0';
	pthread_mutex_unlock(&s->lock);
	return names;
}

static ek_status verify_all(struct ekd_store *s, const char *names,
			    struct verifier *v, struct ek_err *err)
{
	for (const char *name = names; *name; name += strlen(name) + 1) {
		struct ekd_blob *b;
		ek_status status = ekd_blob_find(s, name, NULL, &b, err);

		if (status == EK_NOTFOUND)
			continue; /* evicted since, or damaged and removed */
		if (status == EK_OK) {
			status = verify_blob(b, v, err);
			ekd_blob_close(b);
		}
		if (status != EK_OK)
			return status;
	}
	return EK_OK;
}

ek_status ekd_store_verify(struct ekd_store *s,
			   void (*tell)(void *arg, const char *blob,
					uint32_t leaf),
			   void *arg, uint64_t *wrong, struct ek_err *err)
{
	struct verifier v = {tell, arg, wrong, malloc(EK_LEAF_SIZE_MAX)};
	char *names = all_names(s);
	ek_status status;

	*wrong = 0;
	if (v.bytes && names)
		status = verify_all(s, names, &v, err);
	else
		status = ek_fail(err, EK_NOMEM, "no memory to verify");
	free(names);
	free(v.bytes);
	return status;
}
