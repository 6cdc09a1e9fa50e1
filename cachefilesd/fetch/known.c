/* SPDX-License-Identifier: Apache-2.0 */

/* What is remembered of blobs: where redirects led, and who is to blame. */

#include "cachefilesd/fetch/priv.h"

static struct ekd_known *find(struct ekd_fetch *f, const char *digest,
			      const struct ekd_reference *ref)
{
	struct ekd_known *k;

	TAILQ_FOREACH(k, &f->known, link)
	if (strcmp(k->digest, digest) == 0 && strcmp(k->host, ref->host) == 0 &&
	    strcmp(k->repo, ref->repo) == 0)
		return k;
	return NULL;
}

static void drop(struct ekd_fetch *f, struct ekd_known *k)
{
	TAILQ_REMOVE(&f->known, k, link);
	f->n_known--;
	ekd_wipe(k->url);
	free(k);
}

/* A new entry in front; the last used goes when there is no room. */
static struct ekd_known *add(struct ekd_fetch *f, const char *digest,
			     const struct ekd_reference *ref)
{
	struct ekd_known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	memcpy(k->digest, digest, strnlen(digest, sizeof(k->digest) - 1));
	if (ref) {
		memcpy(k->host, ref->host, sizeof(k->host));
		memcpy(k->repo, ref->repo, sizeof(k->repo));
	}
	if (f->n_known >= EKD_PLACES_MAX)
		drop(f, TAILQ_LAST(&f->known, ekd_knowns));
	TAILQ_INSERT_HEAD(&f->known, k, link);
	f->n_known++;
	return k;
}

/* Blame holds for a digest, whatever the repository: host is "" there. */
static struct ekd_known *find_blame(struct ekd_fetch *f, const char *digest)
{
	struct ekd_known *k;

	TAILQ_FOREACH(k, &f->known, link)
	if (k->blamed && strcmp(k->digest, digest) == 0)
		return k;
	return NULL;
}

char *ekd_known_get(struct ekd_fetch *f, const struct ekd_request *rq,
		    bool *blamed)
{
	struct ekd_known *k;
	char *url = NULL;

	pthread_mutex_lock(&f->lock);
	*blamed = find_blame(f, rq->name) != NULL;
	k = find(f, rq->name, &rq->ref);
	if (k && k->url) {
		url = strdup(k->url);
		TAILQ_REMOVE(&f->known, k, link);
		TAILQ_INSERT_HEAD(&f->known, k, link);
	}
	pthread_mutex_unlock(&f->lock);
	return url;
}

void ekd_known_set(struct ekd_fetch *f, const struct ekd_request *rq,
		   const char *url)
{
	struct ekd_known *k;

	pthread_mutex_lock(&f->lock);
	k = find(f, rq->name, &rq->ref);
	if (k && !url)
		drop(f, k);
	if (url && !k)
		k = add(f, rq->name, &rq->ref);
	/* Without memory nothing is remembered; nothing else is lost. */
	if (url && k) {
		ekd_wipe(k->url);
		k->url = strdup(url);
	}
	pthread_mutex_unlock(&f->lock);
}

void ekd_fetch_blame(struct ekd_fetch *fetch, const char *digest)
{
	struct ekd_known *k, *next;

	if (!ekd_digest_ok(digest))
		return;
	pthread_mutex_lock(&fetch->lock);
	for (k = TAILQ_FIRST(&fetch->known); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (strcmp(k->digest, digest) == 0)
			drop(fetch, k);
	}
	k = add(fetch, digest, NULL);
	if (k)
		k->blamed = true;
	pthread_mutex_unlock(&fetch->lock);
}

void ekd_known_free_all(struct ekd_fetch *f)
{
	while (!TAILQ_EMPTY(&f->known))
		drop(f, TAILQ_FIRST(&f->known));
}
