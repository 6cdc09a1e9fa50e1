/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_CRC32C_H
#define EK_FORMAT_CRC32C_H

/* Pure checksums of the format. Any thread may call them. */

#include <stddef.h>
#include <stdint.h>

/* Start value of a CRC of the format (section 1.3). */
#define EK_CRC32C_INIT 0xffffffffu

/*
 * CRC32C (Castagnoli, reflected) of @n bytes, continuing from @seed, without
 * a final inversion: ek_crc32c(ek_crc32c(s, a), b) is that of a then b.
 */
uint32_t ek_crc32c(uint32_t seed, const void *data, size_t n);

/* XXH32 of @n bytes with @seed (the hash of the xattr name filter, 4.5). */
uint32_t ek_xxh32(const void *data, size_t n, uint32_t seed);

#endif
