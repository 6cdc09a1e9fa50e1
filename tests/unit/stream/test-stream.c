/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <erofskit/stream.h>

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

extern const struct CMUnitTest stream_tests[];

#define PLAIN (700u * 1000)

static uint8_t plain[PLAIN], back[3 * PLAIN], packed[3 * PLAIN];

static void fill_plain(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < PLAIN; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = (uint8_t)(i % 3 ? x >> 30 : x >> 24);
	}
}

static size_t pack(enum ek_stream_kind kind, uint8_t *to, size_t room)
{
	size_t n = 0;

	if (kind == EK_STREAM_ZSTD) {
		n = ZSTD_compress(to, room, plain, PLAIN, 3);
		assert_false(ZSTD_isError(n));
	} else if (kind == EK_STREAM_XZ) {
		assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64,
							 NULL, plain, PLAIN, to,
							 &n, room),
				 LZMA_OK);
	} else {
		z_stream z = {0};

		assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, 0),
				 Z_OK);
		z.next_in = plain;
		z.avail_in = PLAIN;
		z.next_out = to;
		z.avail_out = (uInt)room;
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		n = z.total_out;
		deflateEnd(&z);
	}
	return n;
}

/* Decode @n packed bytes; *got plain ones come. */
static ek_status unpack(const uint8_t *from, size_t n, size_t *got,
			enum ek_stream_kind *kind)
{
	struct ek_source *src = NULL;
	struct ek_tar_input *in = NULL, *out = NULL;
	struct ek_err err;
	ek_status status;
	size_t part = 1;

	*got = 0;
	assert_int_equal(ek_source_from_memory(from, n, &src, &err), EK_OK);
	assert_int_equal(ek_tar_input_from_source(src, &in, &err), EK_OK);
	status = ek_stream_auto(in, "x", &out, kind, &err);
	assert_int_equal(status, EK_OK);
	while (status == EK_OK && part && *got < sizeof(back)) {
		size_t room = sizeof(back) - *got;

		status = out->read(out, back + *got, room > 9999 ? 9999 : room,
				   &part, &err);
		*got += status == EK_OK ? part : 0;
	}
	ek_tar_input_free(out);
	ek_source_free(src);
	return status;
}

static void check_kind(enum ek_stream_kind kind)
{
	size_t n = pack(kind, packed, sizeof(packed)), got = 0;
	enum ek_stream_kind found;

	assert_int_equal(unpack(packed, n, &got, &found), EK_OK);
	assert_int_equal(found, kind);
	assert_int_equal(got, PLAIN);
	assert_memory_equal(back, plain, PLAIN);
	/* Two members, zeros behind. */
	memcpy(packed + n, packed, n);
	memset(packed + 2 * n, 0, 512);
	assert_int_equal(unpack(packed, 2 * n + 512, &got, &found), EK_OK);
	assert_int_equal(got, 2 * PLAIN);
	/* Cut anywhere: an error, never a silent end. */
	for (size_t cut = 14; cut < n; cut += n / 37 + 1)
		assert_int_equal(unpack(packed, cut, &got, &found), EK_CORRUPT);
	assert_int_equal(unpack(packed, n - 1, &got, &found), EK_CORRUPT);
	/* A flipped byte near the end: caught by the check of the format. */
	packed[n - 6] ^= 0x10;
	if (kind != EK_STREAM_ZSTD)
		assert_int_equal(unpack(packed, n, &got, &found), EK_CORRUPT);
}

static int setup(void **state)
{
	(void)state;
	fill_plain();
	return 0;
}

static void gzip_streams(void **state)
{
	(void)state;
	check_kind(EK_STREAM_GZIP);
}

static void xz_streams(void **state)
{
	(void)state;
	check_kind(EK_STREAM_XZ);
}

static void zstd_streams(void **state)
{
	(void)state;
	check_kind(EK_STREAM_ZSTD);
}

static void plain_bytes_pass_through(void **state)
{
	enum ek_stream_kind kind;
	size_t got;

	(void)state;
	assert_int_equal(unpack(plain, PLAIN, &got, &kind), EK_OK);
	assert_int_equal(kind, EK_STREAM_PLAIN);
	assert_int_equal(got, PLAIN);
	assert_memory_equal(back, plain, PLAIN);
	assert_int_equal(unpack(plain, 3, &got, &kind), EK_OK);
	assert_int_equal(got, 3);
	assert_int_equal(unpack(plain, 0, &got, &kind), EK_OK);
	assert_int_equal(got, 0);
}

static void a_window_too_large_is_refused(void **state)
{
	/* A zstd frame header: no content size, window log 10 + 18. */
	static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00,
					0x90, 0x01, 0x00, 0x00, 0,
					0,    0,    0,	  0};
	enum ek_stream_kind kind;
	size_t got;

	(void)state;
	assert_int_equal(unpack(frame, sizeof(frame), &got, &kind), EK_LIMIT);
}

const struct CMUnitTest stream_tests[] = {
	cmocka_unit_test_setup(gzip_streams, setup),
	cmocka_unit_test(xz_streams),
	cmocka_unit_test(zstd_streams),
	cmocka_unit_test(plain_bytes_pass_through),
	cmocka_unit_test(a_window_too_large_is_refused),
	UNIT_END,
};
