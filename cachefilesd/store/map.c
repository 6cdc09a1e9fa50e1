/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/layout.h"
#include "cachefilesd/store/priv.h"

#include <string.h>

static const char magic[8] = "EKDMAP1\n";

/* Places in the header page. */
enum {
	AT_LEAF_SIZE = 8,
	AT_LEAVES = 12,
	AT_BLOB_SIZE = 16,
	AT_INODE = 24,
	AT_CTIME_S = 32,
	AT_CTIME_NS = 40,
	AT_ROOT = 48,
	AT_GENERATION = 80,
	HEADER_END = 96,
	/* In every page. */
	AT_SEQ = EKD_MAP_PAYLOAD,
	AT_NUMBER = AT_SEQ + 8,
	AT_CRC = AT_NUMBER + 4,
};

static uint32_t bit_pages(uint32_t n)
{
	size_t bytes = ekd_map_bytes(n);

	return (uint32_t)((bytes + EKD_MAP_PAYLOAD - 1) / EKD_MAP_PAYLOAD);
}

size_t ekd_map_slot_size(uint32_t n)
{
	return ((size_t)bit_pages(n) + 1) * EKD_MAP_PAGE;
}

static void close_page(uint8_t *page, uint64_t seq, uint32_t number)
{
	ekd_put_le64(page + AT_SEQ, seq);
	ekd_put_le32(page + AT_NUMBER, number);
	ekd_put_le32(page + AT_CRC, ekd_crc32c(page, AT_CRC));
}

/* Bytes of bits in bit page @p, of which there are @n in all. */
static size_t page_part(size_t n, uint32_t p)
{
	size_t at = (size_t)p * EKD_MAP_PAYLOAD;

	return n - at < EKD_MAP_PAYLOAD ? n - at : EKD_MAP_PAYLOAD;
}

void ekd_map_encode(const struct ekd_map *map, const uint8_t *bits, uint8_t *to)
{
	size_t bytes = ekd_map_bytes(map->n);

	memset(to, 0, ekd_map_slot_size(map->n));
	memcpy(to, magic, sizeof(magic));
	ekd_put_le32(to + AT_LEAF_SIZE, map->leaf_size);
	ekd_put_le32(to + AT_LEAVES, map->n);
	ekd_put_le64(to + AT_BLOB_SIZE, map->blob_size);
	ekd_put_le64(to + AT_INODE, map->inode);
	ekd_put_le64(to + AT_CTIME_S, (uint64_t)map->ctime_s);
	ekd_put_le32(to + AT_CTIME_NS, map->ctime_ns);
	memcpy(to + AT_ROOT, map->root, sizeof(map->root));
	memcpy(to + AT_GENERATION, map->generation, EKD_GENERATION);
	close_page(to, map->seq, 0);
	for (uint32_t p = 0; p < bit_pages(map->n); p++) {
		uint8_t *page = to + ((size_t)p + 1) * EKD_MAP_PAGE;

		memcpy(page, bits + (size_t)p * EKD_MAP_PAYLOAD,
		       page_part(bytes, p));
		close_page(page, map->seq, p + 1);
	}
}

static bool good_page(const uint8_t *page, uint64_t seq, uint32_t number)
{
	return ekd_get_le64(page + AT_SEQ) == seq &&
	       ekd_get_le32(page + AT_NUMBER) == number &&
	       ekd_get_le32(page + AT_CRC) == ekd_crc32c(page, AT_CRC);
}

static bool zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void get_header(const uint8_t *page, struct ekd_map *map)
{
	map->seq = ekd_get_le64(page + AT_SEQ);
	map->leaf_size = ekd_get_le32(page + AT_LEAF_SIZE);
	map->n = ekd_get_le32(page + AT_LEAVES);
	map->blob_size = ekd_get_le64(page + AT_BLOB_SIZE);
	map->inode = ekd_get_le64(page + AT_INODE);
	map->ctime_s = (int64_t)ekd_get_le64(page + AT_CTIME_S);
	map->ctime_ns = ekd_get_le32(page + AT_CTIME_NS);
	memcpy(map->root, page + AT_ROOT, sizeof(map->root));
	memcpy(map->generation, page + AT_GENERATION, EKD_GENERATION);
}

/* Bits of leaves that do not exist. */
static bool stray_bits(const uint8_t *bits, uint32_t n)
{
	return n % 8 && bits[n / 8] >> n % 8;
}

ek_status ekd_map_decode(const uint8_t *slot, size_t size, uint32_t n,
			 struct ekd_map *map, uint8_t *bits, struct ek_err *err)
{
	size_t bytes = ekd_map_bytes(n);

	if (size != ekd_map_slot_size(n) ||
	    memcmp(slot, magic, sizeof(magic)) != 0)
		return ek_fail(err, EK_CORRUPT, "not a map of %u leaves", n);
	get_header(slot, map);
	if (map->n != n || !good_page(slot, map->seq, 0) ||
	    !zero(slot + AT_CTIME_NS + 4, AT_ROOT - AT_CTIME_NS - 4) ||
	    !zero(slot + HEADER_END, EKD_MAP_PAYLOAD - HEADER_END))
		return ek_fail(err, EK_CORRUPT, "map: damaged header");
	for (uint32_t p = 0; p < bit_pages(n); p++) {
		const uint8_t *page = slot + ((size_t)p + 1) * EKD_MAP_PAGE;
		size_t part = page_part(bytes, p);

		if (!good_page(page, map->seq, p + 1) ||
		    !zero(page + part, EKD_MAP_PAYLOAD - part))
			return ek_fail(err, EK_CORRUPT, "map: damaged page %u",
				       p + 1);
		memcpy(bits + (size_t)p * EKD_MAP_PAYLOAD, page, part);
	}
	if (stray_bits(bits, n))
		return ek_fail(err, EK_CORRUPT, "map: bits beyond the end");
	return EK_OK;
}
