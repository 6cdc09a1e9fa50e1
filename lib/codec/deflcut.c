/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/deflcut.h"

#include <string.h>

/* Numbers of RFC 1951, 3.2.3 to 3.2.7. */
#define STORED	   0u
#define FIXED	   1u
#define DYNAMIC	   2u
#define END	   256u /* the symbol that ends a block */
#define LITLEN_MAX 288u
#define DIST_MAX   32u
#define LENGTHS	   19u /* codes for lengths of codes */
#define COPY_LAST  16u
#define ZEROS	   17u
#define MORE_ZEROS 18u
#define CODE_MAX   15u

/* Codes of so many bits are looked up at once; longer ones are rare. */
#define FAST 10u

struct code {
	/* By the next bits: symbol << 4 | length; 0: longer, or none. */
	uint16_t fast[1u << FAST];
	uint16_t first[CODE_MAX + 1], count[CODE_MAX + 1], base[CODE_MAX + 1];
	uint16_t symbols[LITLEN_MAX];
	uint8_t lengths[LITLEN_MAX];
};

/* Where a stream may end: bits in it, and bytes that it then stands for. */
struct cut {
	uint64_t head; /* of the block that becomes the last one */
	uint64_t bits; /* up to here */
	size_t out;
	uint32_t end, end_bits; /* code to write there; 0 bits: none */
	uint64_t stored_at;	/* byte of a length to correct; 0: none */
	uint16_t stored;	/* that length */
};

struct walk {
	const uint8_t *in;
	size_t n, pos; /* bytes; the next to load */
	uint64_t hold;
	uint32_t held; /* bits */
	uint64_t limit;
	size_t out;
	struct cut cut;
	struct code litlen, dist;
};

static void refill(struct walk *w)
{
	if (w->n - w->pos >= 8) {
		w->hold |= ek_get_le64(w->in + w->pos) << w->held;
		w->pos += (63 - w->held) >> 3;
		w->held |= 56;
		return;
	}
	while (w->held <= 56 && w->pos < w->n) {
		w->hold |= (uint64_t)w->in[w->pos++] << w->held;
		w->held += 8;
	}
}

static uint64_t position(const struct walk *w)
{
	return (uint64_t)w->pos * 8 - w->held;
}

static uint32_t peek(const struct walk *w, uint32_t n)
{
	return (uint32_t)(w->hold & ((UINT64_C(1) << n) - 1));
}

static void drop(struct walk *w, uint32_t n)
{
	w->hold >>= n;
	w->held -= n;
}

/* Take @n bits; false: the stream has not so many. */
static bool take(struct walk *w, uint32_t n, uint32_t *bits)
{
	if (w->held < n) {
		refill(w);
		if (w->held < n)
			return false;
	}
	*bits = peek(w, n);
	drop(w, n);
	return true;
}

static uint32_t reverse(uint32_t code, uint32_t n)
{
	uint32_t r = 0;

	for (; n; n--, code >>= 1)
		r = r << 1 | (code & 1);
	return r;
}

/* From c->lengths of @n symbols; false: more codes than there can be. */
static bool make_code(struct code *c, uint32_t n)
{
	uint32_t code = 0, base = 0;
	uint16_t next[CODE_MAX + 1];

	memset(c->count, 0, sizeof(c->count));
	memset(c->fast, 0, sizeof(c->fast));
	for (uint32_t i = 0; i < n; i++)
		c->count[c->lengths[i]]++;
	c->count[0] = 0;
	for (uint32_t len = 1; len <= CODE_MAX; len++) {
		code = (code + c->count[len - 1]) << 1;
		if (code + c->count[len] > UINT32_C(1) << len)
			return false;
		c->first[len] = (uint16_t)code;
		c->base[len] = next[len] = (uint16_t)base;
		base += c->count[len];
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = c->lengths[i], at;

		if (!len)
			continue;
		at = next[len]++;
		c->symbols[at] = (uint16_t)i;
		if (len > FAST)
			continue;
		code = reverse(c->first[len] + at - c->base[len], len);
		for (; code < 1u << FAST; code += 1u << len)
			c->fast[code] = (uint16_t)(i << 4 | len);
	}
	return true;
}

static bool long_symbol(struct walk *w, const struct code *c, uint32_t *symbol)
{
	uint32_t code = reverse(peek(w, FAST), FAST);

	for (uint32_t len = FAST + 1; len <= CODE_MAX && len <= w->held;
	     len++) {
		code = code << 1 | (uint32_t)(w->hold >> (len - 1) & 1);
		if (code < c->first[len] ||
		    code - c->first[len] >= c->count[len])
			continue;
		*symbol = c->symbols[c->base[len] + code - c->first[len]];
		drop(w, len);
		return true;
	}
	return false;
}

/* The next symbol; false: there is none. */
static bool take_symbol(struct walk *w, const struct code *c, uint32_t *symbol)
{
	uint32_t found;

	if (w->held < CODE_MAX)
		refill(w);
	found = c->fast[peek(w, FAST)];
	if (!found)
		return long_symbol(w, c, symbol);
	if ((found & 15) > w->held)
		return false;
	drop(w, found & 15);
	*symbol = found >> 4;
	return true;
}

/* Lengths of both codes, as one row of @n. */
static bool take_lengths(struct walk *w, const struct code *c, uint8_t *to,
			 uint32_t n)
{
	uint32_t i = 0, symbol, more;

	while (i < n) {
		uint8_t value = 0;

		if (!take_symbol(w, c, &symbol))
			return false;
		if (symbol < COPY_LAST) {
			to[i++] = (uint8_t)symbol;
			continue;
		}
		if (symbol == COPY_LAST) {
			if (i == 0 || !take(w, 2, &more))
				return false;
			value = to[i - 1];
			more += 3;
		} else if (symbol == ZEROS) {
			if (!take(w, 3, &more))
				return false;
			more += 3;
		} else {
			if (!take(w, 7, &more))
				return false;
			more += 11;
		}
		if (more > n - i)
			return false;
		memset(to + i, value, more);
		i += more;
	}
	return true;
}

static bool dynamic_codes(struct walk *w)
{
	static const uint8_t order[LENGTHS] = {16, 17, 18, 0,  8, 7,  9,
					       6,  10, 5,  11, 4, 12, 3,
					       13, 2,  14, 1,  15};
	uint8_t all[LITLEN_MAX + DIST_MAX];
	uint32_t litlen, dist, lengths, bits;

	if (!take(w, 5, &litlen) || !take(w, 5, &dist) || !take(w, 4, &lengths))
		return false;
	litlen += 257;
	dist += 1;
	if (litlen > LITLEN_MAX)
		return false;
	memset(w->dist.lengths, 0, LENGTHS);
	for (uint32_t i = 0; i < lengths + 4; i++) {
		if (!take(w, 3, &bits))
			return false;
		w->dist.lengths[order[i]] = (uint8_t)bits;
	}
	/* The code of the distances comes later: its place is free. */
	if (!make_code(&w->dist, LENGTHS) ||
	    !take_lengths(w, &w->dist, all, litlen + dist))
		return false;
	memcpy(w->litlen.lengths, all, litlen);
	memcpy(w->dist.lengths, all + litlen, dist);
	return w->litlen.lengths[END] && make_code(&w->litlen, litlen) &&
	       make_code(&w->dist, dist);
}

static bool fixed_codes(struct walk *w)
{
	memset(w->litlen.lengths, 8, 144);
	memset(w->litlen.lengths + 144, 9, 112);
	memset(w->litlen.lengths + 256, 7, 24);
	memset(w->litlen.lengths + 280, 8, 8);
	memset(w->dist.lengths, 5, DIST_MAX);
	return make_code(&w->litlen, LITLEN_MAX) &&
	       make_code(&w->dist, DIST_MAX);
}

/* Bits behind the symbol of a length, and what they are added to. */
static bool take_length(struct walk *w, uint32_t symbol, uint32_t *length)
{
	uint32_t bits, more;

	if (symbol < 265 || symbol == 285) {
		*length = symbol == 285 ? 258 : symbol - 254;
		return true;
	}
	bits = (symbol - 261) / 4;
	if (symbol > 285 || !take(w, bits, &more))
		return false;
	*length = 3 + ((4 + (symbol - 265) % 4) << bits) + more;
	return true;
}

static bool skip_distance(struct walk *w)
{
	uint32_t symbol, more;

	if (!take_symbol(w, &w->dist, &symbol) || symbol >= 30)
		return false;
	return symbol < 4 || take(w, symbol / 2 - 1, &more);
}

/* The end of a block as it stands in the stream. */
static uint32_t end_code(const struct code *c)
{
	uint32_t len = c->lengths[END], i = 0;

	while (c->symbols[c->base[len] + i] != END)
		i++;
	return reverse(c->first[len] + i, len);
}

/* One symbol that is not the end, with all that belongs to it. */
static bool walk_symbol(struct walk *w, uint32_t symbol)
{
	uint32_t length = 1;

	if (symbol > END &&
	    (!take_length(w, symbol, &length) || !skip_distance(w)))
		return false;
	w->out += length;
	return true;
}

/* The symbols of a block; false: here the walk ends. */
static bool walk_symbols(struct walk *w, uint64_t head)
{
	uint32_t symbol = 0, end_bits = w->litlen.lengths[END];
	uint64_t bits = 0;
	size_t out = w->out;

	while (position(w) + end_bits <= w->limit) {
		bits = position(w);
		out = w->out;
		if (!take_symbol(w, &w->litlen, &symbol) || symbol == END ||
		    !walk_symbol(w, symbol))
			break;
	}
	w->out = out;
	/* A block with nothing in it is not worth its head. */
	if (out > w->cut.out)
		w->cut = (struct cut){.head = head,
				      .bits = bits,
				      .out = out,
				      .end = end_code(&w->litlen),
				      .end_bits = end_bits};
	return symbol == END;
}

static bool walk_stored(struct walk *w, uint64_t head)
{
	size_t at = (size_t)((position(w) + 7) / 8), fit;
	uint32_t len;

	if (w->n < 4 || at > w->n - 4 || (at + 4) * 8 >= w->limit)
		return false;
	len = ek_get_le16(w->in + at);
	fit = ek_min((size_t)(w->limit / 8) - at - 4, len);
	w->out += fit;
	if (fit)
		w->cut = (struct cut){.head = head,
				      .bits = (at + 4 + fit) * 8,
				      .out = w->out,
				      .stored_at = at,
				      .stored = (uint16_t)fit};
	w->pos = at + 4 + fit;
	w->hold = 0;
	w->held = 0;
	return fit == len;
}

/* One block; false: the last that fits, if not more than w->cut says. */
static bool walk_block(struct walk *w)
{
	uint64_t head;
	uint32_t bits;
	bool codes;

	head = position(w);
	if (!take(w, 3, &bits))
		return false;
	switch (bits >> 1) {
	case STORED:
		return walk_stored(w, head) && !(bits & 1);
	case FIXED:
		codes = fixed_codes(w);
		break;
	case DYNAMIC:
		codes = dynamic_codes(w);
		break;
	default:
		return false;
	}
	return codes && walk_symbols(w, head) && !(bits & 1);
}

/* End @stream as @c says; returns its bytes. */
static size_t finish(uint8_t *stream, const struct cut *c)
{
	size_t n = (size_t)((c->bits + c->end_bits + 7) / 8);

	stream[c->head / 8] |= (uint8_t)(1u << c->head % 8);
	if (c->stored_at) {
		ek_put_le16(stream + c->stored_at, c->stored);
		ek_put_le16(stream + c->stored_at + 2, (uint16_t)~c->stored);
		return n;
	}
	stream[c->bits / 8] &= (uint8_t)((1u << c->bits % 8) - 1);
	for (size_t i = (size_t)(c->bits / 8) + 1; i < n; i++)
		stream[i] = 0;
	for (uint32_t i = 0; i < c->end_bits; i++)
		stream[(c->bits + i) / 8] |=
			(uint8_t)((c->end >> i & 1) << (c->bits + i) % 8);
	return n;
}

void ek_deflate_cut(uint8_t *stream, size_t n, size_t room, size_t *n_out,
		    size_t *n_used)
{
	struct walk w;

	*n_out = *n_used = 0;
	w.in = stream;
	w.n = n;
	w.pos = 0;
	w.hold = 0;
	w.held = 0;
	w.limit = (uint64_t)ek_min(room, n) * 8;
	w.out = 0;
	memset(&w.cut, 0, sizeof(w.cut));
	while (walk_block(&w))
		;
	if (!w.cut.out)
		return;
	*n_out = w.cut.out;
	*n_used = finish(stream, &w.cut);
}
