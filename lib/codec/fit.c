/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/fit.h"

#include "base/try.h"

#include <string.h>

/* Streams begun for one fill: more buys nothing that could be measured. */
#define TRIES 3
/* Parts of a stream after the first large ones. */
#define TOP_UPS 4
/* A fill that leaves no more of the room than this part of it is done. */
#define SLACK_PART 256u
/* Begin anew when more than this part of the room would be lost. */
#define LOSS_PART 12u
/* Too little to be worth a part of its own. */
#define PART_MIN 32u

/* One stream of a fill. */
struct attempt {
	size_t taken, total;	  /* up to the last part that fit */
	size_t over_in, over_out; /* what did not fit; 0: all did */
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

/*
 * Begin with @first bytes, which may take several parts. @sure: these were
 * encoded before, so that their length is known better than a ratio tells.
 */
static ek_status run(struct ek_encoder *enc, const struct ek_flush_ops *ops,
		     const uint8_t *in, size_t n_in, uint8_t *out, size_t room,
		     size_t first, bool sure, struct attempt *a,
		     struct ek_err *err)
{
	size_t part = first, total = 0;
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
		if (part < ops->part)
			small++;
		a->taken += part;
		a->total = total;
		if (room - total <= slack(room))
			return EK_OK;
		part = sure && a->taken < first ? first - a->taken
						: next_part(ops, a, room);
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
	return ek_max(n - n / 8, 1);
}

ek_status ek_fit_flush(struct ek_encoder *enc, const struct ek_flush_ops *ops,
		       const uint8_t *in, size_t *n_in, uint8_t *out,
		       size_t n_out, size_t *n_used, struct ek_err *err)
{
	size_t n = *n_in, room, first;
	struct attempt a;

	*n_in = *n_used = 0;
	if (n_out <= ops->end + ops->head)
		return EK_OK;
	room = n_out - ops->end;
	first = first_part(enc, room);
	for (int i = 0; i < TRIES; i++) {
		size_t lost;

		EK_TRY(run(enc, ops, in, n, out, room, first, i > 0, &a, err));
		lost = room - a.total;
		if (!a.over_in || (a.taken && lost <= room / LOSS_PART))
			break;
		/* What takes more room than it has bytes is not to be coded. */
		if (!a.taken && a.over_in <= a.over_out)
			break;
		if (i == TRIES - 1)
			break;
		first = ek_scale(room, a.over_in, a.over_out);
		first -= first / (a.taken ? 32 : 20);
		first = ek_max(first, 1);
	}
	if (!a.taken)
		return EK_OK;
	*n_in = a.taken;
	*n_used = ops->seal(enc, a.total);
	return EK_OK;
}
