/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_BYTES_H
#define EK_BASE_BYTES_H

/*
 * Little-endian numbers at any address, and rounding. Bytes of an image are
 * never read through a cast pointer: these work on every host.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t ek_get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ek_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static inline uint64_t ek_get_le64(const uint8_t *p)
{
	return ek_get_le32(p) | (uint64_t)ek_get_le32(p + 4) << 32;
}

static inline void ek_put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void ek_put_le32(uint8_t *p, uint32_t v)
{
	ek_put_le16(p, (uint16_t)v);
	ek_put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void ek_put_le64(uint8_t *p, uint64_t v)
{
	ek_put_le32(p, (uint32_t)v);
	ek_put_le32(p + 4, (uint32_t)(v >> 32));
}

/* Largest multiple of @a (a power of two) that is <= @x. */
static inline uint64_t ek_round_down(uint64_t x, uint64_t a)
{
	return x & ~(a - 1);
}

/* Smallest multiple of @a (a power of two) that is >= @x; @x + @a must fit. */
static inline uint64_t ek_round_up(uint64_t x, uint64_t a)
{
	return (x + a - 1) & ~(a - 1);
}

/* Number of units of @a (any non-zero number) that hold @x. */
static inline uint64_t ek_div_up(uint64_t x, uint64_t a)
{
	return x / a + (x % a != 0);
}

static inline bool ek_is_pow2(uint64_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

static inline uint64_t ek_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t ek_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* *sum = a + b; false when it does not fit. */
static inline bool ek_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* *product = a * b; false when it does not fit. */
static inline bool ek_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* Whether every byte is zero. */
bool ek_all_zero(const void *p, size_t n);

#endif
