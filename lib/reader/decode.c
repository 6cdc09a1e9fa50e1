/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Decoding of pclusters. Decoders and their input buffers are taken from a
 * pool, so that any number of threads decodes at once and nothing is made
 * twice. Extents that were asked for in part are kept decoded: small reads in
 * a row decode each extent once. The number of kept bytes is bounded.
 */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

ek_status ek_decode_init(struct ek_decode_pool *pool, struct ek_err *err)
{
	int sys = pthread_mutex_init(&pool->lock, NULL);

	return sys ? ek_fail_sys(err, sys, "mutex") : EK_OK;
}

static void ctx_free(struct ek_decode_ctx *ctx)
{
	if (!ctx)
		return;
	ek_decoder_free(ctx->dec);
	free(ctx->in);
	free(ctx);
}

void ek_decode_destroy(struct ek_decode_pool *pool)
{
	while (pool->idle) {
		struct ek_decode_ctx *ctx = pool->idle;

		pool->idle = ctx->next;
		ctx_free(ctx);
	}
	for (unsigned i = 0; i < EK_DECODED_SLOTS; i++)
		free(pool->slots[i].data);
	pthread_mutex_destroy(&pool->lock);
}

static ek_status ctx_new(struct ek_image *image, uint8_t alg,
			 struct ek_decode_ctx **out, struct ek_err *err)
{
	struct ek_decoder_params params = {
		.lzma_dict_size = image->cfgs.lzma_dict_size,
		.zstd_window_log = image->cfgs.zstd_windowlog,
	};
	struct ek_decode_ctx *ctx = calloc(1, sizeof(*ctx));
	ek_status st;

	if (!ctx)
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	ctx->alg = alg;
	st = ek_decoder_new((enum ek_algorithm)alg, &params, &ctx->dec, err);
	if (st != EK_OK) {
		free(ctx);
		return st;
	}
	*out = ctx;
	return EK_OK;
}

static ek_status ctx_take(struct ek_image *image, uint8_t alg,
			  struct ek_decode_ctx **out, struct ek_err *err)
{
	struct ek_decode_pool *pool = &image->decode;
	struct ek_decode_ctx **p;

	pthread_mutex_lock(&pool->lock);
	for (p = &pool->idle; *p; p = &(*p)->next) {
		if ((*p)->alg != alg)
			continue;
		*out = *p;
		*p = (*p)->next;
		pool->n_idle--;
		pthread_mutex_unlock(&pool->lock);
		return EK_OK;
	}
	pthread_mutex_unlock(&pool->lock);
	return ctx_new(image, alg, out, err);
}

static void ctx_give(struct ek_decode_pool *pool, struct ek_decode_ctx *ctx)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->n_idle < EK_IDLE_DECODERS) {
		ctx->next = pool->idle;
		pool->idle = ctx;
		pool->n_idle++;
		ctx = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	ctx_free(ctx);
}

/* Read the stream of @x into the buffer of @ctx. */
static ek_status ctx_load(struct ek_image *image, struct ek_decode_ctx *ctx,
			  const struct ek_extent *x, struct ek_err *err)
{
	size_t n = (size_t)x->physical_length;

	if (ctx->cap < n) {
		size_t cap = (size_t)ek_round_up(n, 16384);
		uint8_t *in = malloc(cap);

		if (!in)
			return ek_fail(err, EK_NOMEM,
				       "no memory for a pcluster of %zu bytes",
				       n);
		free(ctx->in);
		ctx->in = in;
		ctx->cap = cap;
	}
	if (x->flags & EK_EXTENT_INLINE)
		return ek_meta_read(image, x->flags & EK_EXTENT_METABOX,
				    x->physical, ctx->in, n, err);
	return ek_device_read(image, x->device, x->physical, ctx->in, n, err);
}

/* The stream of @x is at @in, or NULL: to be read. */
static ek_status ctx_decode(struct ek_image *image, struct ek_decode_ctx *ctx,
			    const struct ek_extent *x, const uint8_t *in,
			    uint8_t *to, struct ek_err *err)
{
	uint32_t bs = image->info.block_size;
	bool partial = x->flags & EK_EXTENT_PARTIAL;
	size_t n = (size_t)x->physical_length, skip = 0;

	if (!in) {
		EK_TRY(ctx_load(image, ctx, x, err));
		in = ctx->in;
	}
	if (x->algorithm == EK_ALG_LZ4 &&
	    !ek_sb_incompat(&image->sb, EK_INCOMPAT_LZ4_0PADDING)) {
		/* Old images: padding follows, so the stream "holds more". */
		partial = true;
	} else {
		size_t max = (size_t)ek_min(n, bs - (x->physical & (bs - 1)));

		EK_TRY(ek_skip_padding(in, n, max, &skip, err));
	}
	return ek_decode(ctx->dec, in + skip, n - skip, to,
			 (size_t)x->logical_length, partial, err);
}

ek_status ek_decode_bytes(struct ek_image *image, const struct ek_extent *x,
			  const uint8_t *in, uint8_t *to, struct ek_err *err)
{
	struct ek_decode_ctx *ctx = NULL;
	ek_status st;

	if (x->logical_length > EK_EXTENT_MAX ||
	    x->physical_length > EK_PCLUSTER_MAX || !x->physical_length)
		return ek_fail(err, EK_LIMIT,
			       "compressed extent of %llu bytes in %llu",
			       (unsigned long long)x->logical_length,
			       (unsigned long long)x->physical_length);
	EK_TRY(ctx_take(image, x->algorithm, &ctx, err));
	st = ctx_decode(image, ctx, x, in, to, err);
	ctx_give(&image->decode, ctx);
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "pcluster at byte %llu of device %u",
				    (unsigned long long)x->physical, x->device);
	return st;
}

static struct ek_decoded_key key_of(const struct ek_extent *x)
{
	return (struct ek_decoded_key){
		.pa = x->physical,
		.llen = x->logical_length,
		.plen = (uint32_t)x->physical_length,
		.device = x->device,
		.alg = x->algorithm,
		.partial = x->flags & EK_EXTENT_PARTIAL,
		.inline_ = x->flags & EK_EXTENT_INLINE,
		.box = x->flags & EK_EXTENT_METABOX,
	};
}

static bool key_equal(const struct ek_decoded_key *a,
		      const struct ek_decoded_key *b)
{
	return a->pa == b->pa && a->llen == b->llen && a->plen == b->plen &&
	       a->device == b->device && a->alg == b->alg &&
	       a->partial == b->partial && a->inline_ == b->inline_ &&
	       a->box == b->box;
}

/* The slot of @key with one more user, or NULL. */
static struct ek_decoded *decoded_get(struct ek_decode_pool *pool,
				      const struct ek_decoded_key *key)
{
	struct ek_decoded *found = NULL;

	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < EK_DECODED_SLOTS && !found; i++) {
		struct ek_decoded *d = &pool->slots[i];

		if (d->data && key_equal(&d->key, key)) {
			d->users++;
			d->tick = ++pool->tick;
			found = d;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return found;
}

static void decoded_release(struct ek_decode_pool *pool, struct ek_decoded *d)
{
	pthread_mutex_lock(&pool->lock);
	d->users--;
	pthread_mutex_unlock(&pool->lock);
}

/* The slot to give up next: unused, free or with the oldest tick. */
static struct ek_decoded *oldest(struct ek_decode_pool *pool, bool filled)
{
	struct ek_decoded *best = NULL;

	for (unsigned i = 0; i < EK_DECODED_SLOTS; i++) {
		struct ek_decoded *d = &pool->slots[i];

		if (d->users || (filled && !d->data))
			continue;
		if (!d->data)
			return d;
		if (!best || d->tick < best->tick)
			best = d;
	}
	return best;
}

static void drop(struct ek_decode_pool *pool, struct ek_decoded *d)
{
	if (!d->data)
		return;
	pool->bytes -= (size_t)d->key.llen;
	free(d->data);
	d->data = NULL;
}

/* Keep @data, or free it when everything is in use. */
static void decoded_put(struct ek_decode_pool *pool,
			const struct ek_decoded_key *key, uint8_t *data)
{
	size_t n = (size_t)key->llen;
	struct ek_decoded *d;

	pthread_mutex_lock(&pool->lock);
	while (pool->bytes + n > EK_DECODED_BYTES &&
	       (d = oldest(pool, true)) != NULL)
		drop(pool, d);
	d = oldest(pool, false);
	if (d && pool->bytes + n <= EK_DECODED_BYTES) {
		drop(pool, d);
		d->key = *key;
		d->data = data;
		d->tick = ++pool->tick;
		pool->bytes += n;
		data = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	free(data);
}

ek_status ek_decode_extent(struct ek_image *image, const struct ek_extent *x,
			   uint64_t skip, void *to, size_t n,
			   struct ek_err *err)
{
	struct ek_decoded_key key = key_of(x);
	struct ek_decoded *d = decoded_get(&image->decode, &key);
	uint8_t *data;
	ek_status st;

	if (d) {
		memcpy(to, d->data + skip, n);
		decoded_release(&image->decode, d);
		return EK_OK;
	}
	if (n == x->logical_length)
		return ek_decode_bytes(image, x, NULL, to, err);
	if (x->logical_length > EK_EXTENT_MAX)
		return ek_fail(err, EK_LIMIT, "compressed extent of %llu bytes",
			       (unsigned long long)x->logical_length);
	data = malloc((size_t)x->logical_length);
	if (!data)
		return ek_fail(err, EK_NOMEM,
			       "no memory for an extent of %llu bytes",
			       (unsigned long long)x->logical_length);
	st = ek_decode_bytes(image, x, NULL, data, err);
	if (st != EK_OK) {
		free(data);
		return st;
	}
	memcpy(to, data + skip, n);
	decoded_put(&image->decode, &key, data);
	return EK_OK;
}
