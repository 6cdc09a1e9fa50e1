/* SPDX-License-Identifier: Apache-2.0 */

/* Who waits for what, since when, and why it takes so long. */

#include "cachefilesd/serve/priv.h"

static uint32_t in_ms(int64_t us)
{
	if (us < 0)
		return 0;
	return us / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(us / 1000);
}

static void tell_one(struct ekd_served *s, const struct ekd_read *r,
		     int64_t now,
		     void (*tell)(void *arg, const struct ekd_wait *wait),
		     void *arg)
{
	const struct ekd_flight *f = ekd_read_flight(s, r);
	struct ekd_fetch_info info = {.attempts = 0};
	struct ekd_wait wait = {.blob = ekd_blob_name(s->blob),
				.pid = r->pid,
				.offset = r->offset,
				.n = r->n,
				.waits_ms = in_ms(now - r->own.since),
				.left_ms = in_ms(r->own.deadline - now),
				.host = "",
				.last_error = ""};

	if (f) {
		wait.attempts = f->tries;
		if (f->state == EKD_FETCHING &&
		    s->backend->info(s->backend, f->id, &info, NULL) == EK_OK) {
			wait.attempts += info.attempts;
			wait.host = info.host;
			wait.last_error = info.last_error;
		} else if (f->tries) {
			wait.last_error = s->stats.last_error;
		}
	}
	tell(arg, &wait);
}

void ekd_serve_waits(struct ekd_serve *v, uint32_t min_ms,
		     void (*tell)(void *arg, const struct ekd_wait *wait),
		     void *arg)
{
	int64_t now = ekd_now_us();

	pthread_mutex_lock(&v->lock);
	for (struct ekd_served *s = v->list; s; s = s->next)
		for (const struct ekd_read *r = s->waiters; r; r = r->own.next)
			if (now - r->own.since >= min_ms * INT64_C(1000))
				tell_one(s, r, now, tell, arg);
	pthread_mutex_unlock(&v->lock);
}
