/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <erofskit/trust.h>

#include "io/fault.h"
#include "trust/digest.h"

#include <errno.h>

static void known_digests(void **state)
{
	struct ek_hasher *h;
	uint8_t d[32];
	char hex[65];

	(void)state;
	assert_int_equal(ek_hasher_new(NULL, 0, &h, NULL), EK_OK);
	assert_int_equal(ek_hasher_once(h, "abc", 3, d, NULL), EK_OK);
	ek_digest_hex(d, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177"
				 "a9cb410ff61f20015ad");
	assert_int_equal(ek_hasher_once(h, "", 0, d, NULL), EK_OK);
	ek_digest_hex(d, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b9"
				 "34ca495991b7852b855");
	ek_hasher_free(h);
	ek_hasher_free(NULL);
	/* Salt is nothing but bytes in front. */
	assert_int_equal(ek_hasher_new("a", 1, &h, NULL), EK_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ek_hasher_begin(h, NULL), EK_OK);
		assert_int_equal(ek_hasher_add(h, "b", 1, NULL), EK_OK);
		assert_int_equal(ek_hasher_add(h, "c", 1, NULL), EK_OK);
		assert_int_equal(ek_hasher_end(h, d, NULL), EK_OK);
		ek_digest_hex(d, hex);
		assert_memory_equal(hex, "ba7816bf8f01cfea", 16);
	}
	ek_hasher_free(h);
}

static void parses(void **state)
{
	static const char hex[] = "BA7816BF8F01CFEA414140DE5DAE2223B00361A3961"
				  "77A9CB410FF61F20015aD";
	char text[80], back[65];
	uint8_t d[32];

	(void)state;
	assert_int_equal(ek_digest_parse(hex, d, NULL), EK_OK);
	assert_int_equal(d[0], 0xba);
	assert_int_equal(d[31], 0xad);
	memcpy(text, "sha256:", 7);
	memcpy(text + 7, hex, sizeof(hex));
	assert_int_equal(ek_digest_parse(text, d, NULL), EK_OK);
	ek_digest_hex(d, back);
	assert_memory_equal(back, "ba7816bf", 8);
	text[5] = '5';
	assert_int_equal(ek_digest_parse(text, d, NULL), EK_UNSUPPORTED);
	assert_int_equal(ek_digest_parse("", d, NULL), EK_INVALID);
	assert_int_equal(ek_digest_parse("sha256:", d, NULL), EK_INVALID);
	assert_int_equal(ek_digest_parse(hex + 1, d, NULL), EK_INVALID);
	memcpy(text, hex, sizeof(hex));
	text[63] = 'g';
	assert_int_equal(ek_digest_parse(text, d, NULL), EK_INVALID);
}

#define SIZE (20u * 1024 * 1024 + 17)

static void a_source_in_pieces(void **state)
{
	static const size_t sizes[] = {0, 1, 1 << 20, (1 << 20) + 1, SIZE};
	uint8_t *bytes = calloc(1, SIZE), a[32], b[32];
	struct ek_fault fault = {0};
	struct ek_source *src, *bad;
	struct ek_hasher *h;
	struct ek_err err;
	int cancel = 1;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i += 4096)
		bytes[i] = (uint8_t)(i >> 12);
	assert_int_equal(ek_hasher_new(NULL, 0, &h, NULL), EK_OK);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(
			ek_source_from_memory(bytes, sizes[i], &src, NULL),
			EK_OK);
		assert_int_equal(ek_digest_source(src, NULL, a, NULL), EK_OK);
		assert_int_equal(ek_hasher_once(h, bytes, sizes[i], b, NULL),
				 EK_OK);
		assert_memory_equal(a, b, 32);
		ek_source_free(src);
	}
	assert_int_equal(ek_source_from_memory(bytes, SIZE, &src, NULL), EK_OK);
	assert_int_equal(ek_digest_source(src, &cancel, a, &err), EK_CANCELLED);
	assert_int_equal(ek_fault_source(src, &fault, &bad, NULL), EK_OK);
	fault.fail_at = SIZE / 2;
	fault.fail_errno = EIO;
	assert_int_equal(ek_digest_source(bad, NULL, a, &err), EK_IO);
	assert_int_equal(err.sys, EIO);
	ek_source_free(bad);
	ek_source_free(src);
	ek_hasher_free(h);
	free(bytes);
}

extern const struct CMUnitTest digest_tests[];
const struct CMUnitTest digest_tests[] = {
	cmocka_unit_test(known_digests),
	cmocka_unit_test(parses),
	cmocka_unit_test(a_source_in_pieces),
	UNIT_END,
};
