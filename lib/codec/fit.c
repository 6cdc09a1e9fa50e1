/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/fit.h"

#include "base/try.h"

#include <string.h>

/* Streams begun for one fill: more buys nothing that could be measured. */
#define TRIES 4
/* Parts of a stream after the first large ones. */
#define TOP_UPS 4
/* A fill that leaves no more of the room than this part of it is done. */
#define SLACK_PART 256u
/* Begin anew when more than this part of the room would be lost. */
#define LOSS_PART 12u
/* Too little to be worth a part of its own. */
#define PART_MIN 32u
/* A part is at most so many times what is before it: rates change abruptly. */
#define GROWTH 4u

/* One stream of a fill. */
struct attempt {
	size_t taken, total;	  /* up to the last part that fit */
	size_t over_in, over_out; /* what did not fit; 0: all did */
};

/* How an attempt begins. */
struct guess {
	size_t first; /* bytes, which may take several parts */
	size_t then;  /* the size of the part after these; 0: not known */
	bool sure;    /* they were encoded before: no ratio is needed */
};

/* What all attempts of a fill found: so much fits, so much does not. */
struct bounds {
	size_t in, out;
	size_t over_in, over_out;
};

static size_t slack(size_t room)
{
	return ek_max(room / SLACK_PART, 24);
}

/* The next part, guessed a little short. */
static size_t next_part(const struct ek_flush_ops *ops, const struct attempt *a,
			size_t room)
{
	size_t left = room - a->total, n;

	if (left <= ops->head)
		return 0;
	n = ek_scale(left - ops->head, a->taken, a->total);
	/* The nearer the end the surer the ratio: short by an eighth. */
	return n - n / 8;
}

static ek_status run(struct ek_encoder *enc, const struct ek_flush_ops *ops,
		     const uint8_t *in, size_t n_in, uint8_t *out, size_t room,
		     const struct guess *g, struct attempt *a,
		     struct ek_err *err)
{
	size_t part = g->first, total = 0;
	bool grows = false;
	int small = 0;

	memset(a, 0, sizeof(*a));
	EK_TRY(ops->start(enc, out, room, err));
	while (a->taken < n_in && small < TOP_UPS) {
		part = ek_min(ek_min(part, ops->part), n_in - a->taken);
		enc->fed += part;
		EK_TRY(ops->push(enc, in + a->taken, part, &total, err));
		if (total > room) {
			a->over_in = a->taken + part;
			a->over_out = total;
			return EK_OK;
		}
		if (part < ops->part && !grows)
			small++;
		a->taken += part;
		a->total = total;
		if (room - total <= slack(room))
			return EK_OK;
		if (g->sure && a->taken < g->first)
			part = g->first - a->taken;
		else if (g->then && a->taken == g->first)
			part = g->then;
		else
			part = next_part(ops, a, room);
		grows = part > GROWTH * a->taken;
		if (grows)
			part = GROWTH * a->taken;
		/* The rest of the input goes along when it is likely to fit. */
		if (part < PART_MIN)
			return EK_OK;
	}
	return EK_OK;
}

/* Where to end the first part, from what came before. */
static size_t first_part(const struct ek_encoder *enc, size_t room)
{
	size_t n;

	/* Not known: as many bytes as fit anyhow tell the ratio. */
	if (!enc->hint_in)
		return room;
	n = ek_scale(room, enc->hint_in, enc->hint_out);
	n = ek_max(n - n / 8, 1);
	/* One that was far from full ended where the rate changed. */
	if (enc->hint_out < room / 2)
		n = ek_min(n, ek_max(2 * enc->hint_in, room));
	return n;
}

/*
 * The guess after @a, which lost too much. @last: no other attempt follows, so
 * that what is known to fit is a part of its own.
 */
static struct guess again(const struct attempt *a, struct bounds *b,
			  size_t room, bool last)
{
	struct guess g = {.sure = true};
	size_t n;

	if (a->taken > b->in) {
		b->in = a->taken;
		b->out = a->total;
	}
	b->over_in = a->over_in;
	b->over_out = a->over_out;
	if (!b->in || b->in >= b->over_in || b->out >= b->over_out) {
		n = ek_scale(room, b->over_in, b->over_out);
		g.first = ek_max(n - n / 20, 1);
		return g;
	}
	/* Between what fits and what does not the rate may be another one. */
	n = ek_scale(room - b->out, b->over_in - b->in, b->over_out - b->out);
	n -= n / 8;
	/* A guess that was too much itself: the middle. */
	if (!a->taken)
		n = (b->over_in - b->in) / 2;
	g.first = last ? b->in : b->in + n;
	g.then = last ? n : 0;
	return g;
}

ek_status ek_fit_flush(struct ek_encoder *enc, const struct ek_flush_ops *ops,
		       const uint8_t *in, size_t *n_in, uint8_t *out,
		       size_t n_out, size_t *n_used, struct ek_err *err)
{
	size_t n = *n_in, room;
	struct bounds b = {0};
	struct guess g = {0};
	struct attempt a;

	*n_in = *n_used = 0;
	if (n_out <= ops->end + ops->head)
		return EK_OK;
	room = n_out - ops->end;
	g.first = first_part(enc, room);
	for (int i = 0; i < TRIES; i++) {
		size_t lost;

		EK_TRY(run(enc, ops, in, n, out, room, &g, &a, err));
		lost = room - a.total;
		if (!a.over_in || (a.taken && lost <= room / LOSS_PART))
			break;
		/* What takes more room than it has bytes is not to be coded. */
		if (!a.taken && a.over_in <= a.over_out)
			break;
		if (i == TRIES - 1)
			break;
		g = again(&a, &b, room, i == TRIES - 2);
	}
	if (!a.taken)
		return EK_OK;
	*n_in = a.taken;
	*n_used = ops->seal(enc, a.total);
	return EK_OK;
}
