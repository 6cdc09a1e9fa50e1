/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include "tar/header.h"

#include <stdio.h>

extern const struct CMUnitTest header_tests[];

static void numbers_in_every_spelling(void **state)
{
	static const struct {
		const char *field;
		ek_status status;
		int64_t value;
	} rows[] = {
		{"0000644\0", EK_OK, 0644},
		{"   644 \0", EK_OK, 0644},
		{"\0\0\0\0\0\0\0", EK_OK, 0},
		{"7777777\x37", EK_OK, 077777777},
		{"\x80\0\0\0\0\0\1\2", EK_OK, 0x102},
		{"\xff\xff\xff\xff\xff\xff\xff\xfe", EK_OK, -2},
		{"\x80\xff\xff\xff\xff\xff\xff\xff", EK_OK, 0xffffffffffffff},
		{"0000648\0", EK_CORRUPT, 0},
		{"-000644\0", EK_CORRUPT, 0},
		{"abc\0\0\0\0", EK_CORRUPT, 0},
	};
	int64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		v = -99;
		assert_int_equal(ek_tar_number((const uint8_t *)rows[i].field,
					       8, &v, NULL),
				 rows[i].status);
		if (rows[i].status == EK_OK)
			assert_true(v == rows[i].value);
	}
}

/* As the words say it: spaces, digits, then an end or nothing. */
static bool plain_number(const uint8_t *field, size_t n, int64_t *value)
{
	size_t i = 0;

	*value = 0;
	while (i < n && field[i] == ' ')
		i++;
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		*value = *value * 8 + (field[i] - '0');
	return i == n || !field[i] || field[i] == ' ';
}

static void digits_at_once_are_digits_one_by_one(void **state)
{
	static const char letters[] = "0123456701234567012345670123456778 x-";
	static const uint8_t sizes[] = {1, 7, 8, 9, 11, 12};
	uint64_t dice = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t n = sizes[round % sizeof(sizes)];
		uint8_t field[12];
		int64_t got = -1, want;
		bool good;

		for (size_t i = 0; i < n; i++) {
			dice = dice * UINT64_C(6364136223846793005) + 1;
			field[i] = (uint8_t)
				letters[(dice >> 40) % sizeof(letters)];
		}
		good = plain_number(field, n, &want);
		assert_int_equal(ek_tar_number(field, n, &got, NULL),
				 good ? EK_OK : EK_CORRUPT);
		if (good)
			assert_true(got == want);
	}
}

static void twelve_byte_numbers_keep_to_63_bits(void **state)
{
	uint8_t f[12] = {0x80};
	int64_t v;

	(void)state;
	memset(f + 4, 0xff, 8);
	assert_int_equal(ek_tar_number(f, 12, &v, NULL), EK_CORRUPT);
	f[4] = 0x7f;
	assert_int_equal(ek_tar_number(f, 12, &v, NULL), EK_OK);
	assert_true(v == INT64_MAX);
	f[3] = 1;
	assert_int_equal(ek_tar_number(f, 12, &v, NULL), EK_CORRUPT);
	memset(f, 0xff, 12);
	assert_int_equal(ek_tar_number(f, 12, &v, NULL), EK_OK);
	assert_true(v == -1);
	f[4] = 0x7f;
	assert_int_equal(ek_tar_number(f, 12, &v, NULL), EK_CORRUPT);
}

static void a_signed_checksum_counts(void **state)
{
	static struct maketar t;
	uint8_t *b;
	int sum = 0;
	char text[8];

	(void)state;
	t.n = 0;
	b = maketar_header(&t, "caf\xc3\xa9", '0', 0);
	assert_true(ek_tar_checksum_ok(b));
	memset(b + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (int8_t)b[i];
	snprintf(text, sizeof(text), "%06o", (unsigned)sum);
	memcpy(b + 148, text, 7);
	assert_true(ek_tar_checksum_ok(b));
	b[0] ^= 1;
	assert_false(ek_tar_checksum_ok(b));
}

static void prefix_joins_only_in_ustar(void **state)
{
	static struct maketar t;
	struct ek_tar_header h;
	uint8_t *b;

	(void)state;
	t.n = 0;
	b = maketar_header(&t, "name", '0', 0);
	memcpy(b + 345, "some/prefix", 11);
	maketar_seal(b);
	assert_int_equal(ek_tar_header_decode(b, &h, NULL), EK_OK);
	assert_string_equal(h.path, "some/prefix/name");
	memcpy(b + 257, "ustar  ", 8);
	maketar_seal(b);
	assert_int_equal(ek_tar_header_decode(b, &h, NULL), EK_OK);
	assert_string_equal(h.path, "name");
	assert_int_equal(h.dialect, EK_TAR_GNU);
}

static void device_numbers_count_only_for_devices(void **state)
{
	static struct maketar t;
	struct ek_tar_header h;
	uint8_t *b;

	(void)state;
	t.n = 0;
	b = maketar_header(&t, "name", '0', 0);
	memcpy(b + 329, "junk", 4);
	maketar_seal(b);
	assert_int_equal(ek_tar_header_decode(b, &h, NULL), EK_OK);
	b[156] = '3';
	maketar_seal(b);
	assert_int_equal(ek_tar_header_decode(b, &h, NULL), EK_CORRUPT);
}

const struct CMUnitTest header_tests[] = {
	cmocka_unit_test(numbers_in_every_spelling),
	cmocka_unit_test(digits_at_once_are_digits_one_by_one),
	cmocka_unit_test(twelve_byte_numbers_keep_to_63_bits),
	cmocka_unit_test(a_signed_checksum_counts),
	cmocka_unit_test(prefix_joins_only_in_ustar),
	cmocka_unit_test(device_numbers_count_only_for_devices),
	UNIT_END,
};
