/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/lz4cut.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/*
 * A stream is sequences of literals and a match: a token with both lengths,
 * more bytes of the first when it does not fit, the literals, two bytes of
 * distance, more bytes of the second. The last has literals alone.
 */

#define LONG	   15u	/* a length in the token: more bytes follow */
#define MATCH_MIN  4u	/* is not counted */
#define LITERALS   5u	/* at the end */
#define MATCH_FREE 12u	/* bytes at the end in which no match begins */
#define BYTE_MAX   255u /* a further byte: one more follows */

/* One sequence, by offsets in the stream and in what it decodes to. */
struct sequence {
	size_t token, literals, next; /* in the stream */
	size_t at, match, end;	      /* decoded */
	size_t distance;	      /* in the stream; 0: no match */
};

static size_t more(const uint8_t *stream, size_t *pos, size_t n)
{
	uint8_t byte;

	if (n != LONG)
		return n;
	do {
		byte = stream[(*pos)++];
		n += byte;
	} while (byte == BYTE_MAX);
	return n;
}

/* The sequence at @pos, which decodes to @at and on. */
static struct sequence parse(const uint8_t *stream, size_t size, size_t pos,
			     size_t at)
{
	struct sequence s = {.token = pos, .at = at};
	uint8_t token = stream[pos++];
	size_t n = more(stream, &pos, token >> 4);

	s.literals = pos;
	s.match = s.end = at + n;
	s.next = pos + n;
	EK_BUG_ON(s.next > size);
	if (s.next == size)
		return s;
	s.distance = s.next;
	s.next += 2;
	s.end += more(stream, &s.next, token & LONG) + MATCH_MIN;
	return s;
}

/* Bytes that follow the token for a length of @n. */
static size_t more_size(size_t n)
{
	return n < LONG ? 0 : (n - LONG) / BYTE_MAX + 1;
}

static uint8_t *put_more(uint8_t *to, size_t n)
{
	if (n < LONG)
		return to;
	for (n -= LONG; n >= BYTE_MAX; n -= BYTE_MAX)
		*to++ = BYTE_MAX;
	*to++ = (uint8_t)n;
	return to;
}

/* End the stream at @pos with @n literals. */
static size_t end_literals(uint8_t *stream, size_t pos, const uint8_t *from,
			   size_t n, size_t room)
{
	uint8_t *to = stream + pos;

	if (1 + more_size(n) + n > room - pos)
		return 0;
	*to++ = (uint8_t)(ek_min(n, LONG) << 4);
	to = put_more(to, n);
	memcpy(to, from, n);
	return (size_t)(to - stream) + n;
}

/* End the match of @s where the last literals begin. */
static size_t end_match(const uint8_t *in, uint8_t *stream,
			const struct sequence *s, size_t room, size_t want)
{
	size_t n = want - LITERALS - s->match - MATCH_MIN;
	size_t pos = s->distance + 2;
	uint8_t *token = stream + s->token;

	if (pos + more_size(n) + 1 + LITERALS > room)
		return 0;
	*token = (uint8_t)((*token & 0xf0) | ek_min(n, LONG));
	pos = (size_t)(put_more(stream + pos, n) - stream);
	return end_literals(stream, pos, in + want - LITERALS, LITERALS, room);
}

size_t ek_lz4_shorten(const uint8_t *in, size_t len, uint8_t *stream,
		      size_t size, size_t room, size_t want)
{
	struct sequence s = {0};

	EK_BUG_ON(want == 0 || want >= len);
	/* What is written stays within the stream as it was. */
	room = ek_min(room, size);
	do {
		s = parse(stream, size, s.next, s.end);
		if (s.token >= room)
			return 0;
		if (!s.distance || s.match + MATCH_FREE > want)
			return end_literals(stream, s.token, in + s.at,
					    want - s.at, room);
	} while (s.end + LITERALS <= want);
	return end_match(in, stream, &s, room, want);
}
