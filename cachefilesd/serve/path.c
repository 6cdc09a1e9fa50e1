/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What requests tell of the way to a backend: how long until bytes come, how
 * many come a second. Estimates only: nothing but sizes and patience hangs on
 * them.
 */

#include "cachefilesd/serve/priv.h"

/* While nothing is known: microseconds, bytes a second. */
#define RTT_GUESS  50000
#define RATE_GUESS 4000000
/* A request for so little tells of the round trip, for so much of the rate. */
#define SMALL (128u << 10)
#define LARGE (256u << 10)
/* Round trips below this are not worth a leaf. */
#define FAR 2000
/* Microseconds over which the total is measured. */
#define SPAN 50000

static void note_total(struct ekd_path *p, const struct ekd_flight *f,
		       uint64_t n, int64_t now)
{
	int64_t span;

	if (!p->busy_since) {
		p->busy_since = f->started;
		p->busy_bytes = 0;
	}
	p->busy_bytes += n;
	span = now - p->busy_since;
	if (span < SPAN)
		return;
	n = p->busy_bytes * 1000000 / (uint64_t)span;
	p->total = n > p->total ? n : p->total - p->total / 4 + n / 4;
	p->busy_since = now;
	p->busy_bytes = 0;
}

/* Bytes that come at @rate within @us. */
static uint64_t product(uint64_t rate, int64_t us)
{
	return rate / 1000 * (uint64_t)us / 1000;
}

void ekd_path_note(struct ekd_served *s, const struct ekd_flight *f,
		   int64_t now)
{
	uint64_t n = ekd_run_bytes(s, f->first, f->end);
	struct ekd_path *p = &s->path;
	int64_t took = now - f->started;

	if (took < 1)
		took = 1;
	if (n <= SMALL) {
		/* Falls at once, rises slowly: others may have been in the way.
		 */
		if (!p->rtt || took < p->rtt)
			p->rtt = took;
		else
			p->rtt += (took - p->rtt) / 16;
	} else if (n >= LARGE) {
		int64_t transfer = took - p->rtt;
		uint64_t rate;

		if (transfer < took / 4 + 1)
			transfer = took / 4 + 1;
		rate = n * 1000000 / (uint64_t)transfer;
		p->rate = p->rate ? p->rate - p->rate / 4 + rate / 4 : rate;
	}
	note_total(p, f, n, now);
	atomic_store(&s->far, p->rtt >= FAR && (!p->rate ||
						product(p->rate, p->rtt) >
							s->leaves->leaf_size));
	if (p->rtt && p->total)
		atomic_store(&s->window,
			     product(p->total, p->rtt) * 4 + (1u << 20));
}

int64_t ekd_path_expect(const struct ekd_path *p, uint64_t n)
{
	uint64_t rate = p->rate ? p->rate : RATE_GUESS;

	/* A small request's time is all in the round trip. */
	if (n <= SMALL && p->rtt)
		return p->rtt;
	return (p->rtt ? p->rtt : RTT_GUESS) + (int64_t)(n * 1000000 / rate);
}
