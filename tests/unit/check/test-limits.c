/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include "base/bytes.h"

#include <time.h>

static void test_options(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->options.size--;
	assert_int_equal(img_check(m), EK_INVALID);
	free(m);
}

static void test_cancel(void **state)
{
	struct img *m = img_new();
	volatile int stop = 1;

	(void)state;
	m->options.cancel = &stop;
	assert_int_equal(img_check(m), EK_CANCELLED);
	free(m);
}

static void test_budget_of_decoding(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->options.max_decode = IMG_FILE - 1;
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, " DATA-BUDGET");
	assert_int_equal(m->result.unchecked, 1);
	assert_int_equal(m->result.errors, 0);
	assert_int_equal(m->result.decoded_bytes, 0);
	m->options.max_decode = IMG_FILE;
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, "");
	free(m);
}

/* All are counted, no more than asked for are handed out. */
static void test_many_findings(void **state)
{
	struct img *m = img_new();

	(void)state;
	ek_put_le16(img_inode(m, IMG_A) + 6, 7);
	ek_put_le16(img_inode(m, IMG_B) + 6, 7);
	m->options.max_findings = 1;
	assert_int_equal(img_check(m), EK_OK);
	assert_int_equal(m->result.errors, 2);
	assert_int_equal(m->handed_out, 1);
	free(m);
}

/* A hole of an exabyte is one extent, not as many bytes. */
static void test_a_huge_hole(void **state)
{
	struct ek_inode in = {.extended = true,
			      .layout = EK_LAYOUT_PLAIN,
			      .mode = 0100644,
			      .nlink = 1,
			      .size = UINT64_C(1) << 60,
			      .start = EK_NULL_BLK};
	struct img *m = img_new();
	time_t begin = time(NULL);

	(void)state;
	m->sb.incompat |= EK_INCOMPAT_48BIT;
	memset(img_inode(m, IMG_B), 0, 128);
	assert_int_equal(
		ek_inode_encode(&m->sb, &in, img_inode(m, IMG_B), NULL), EK_OK);
	img_seal(m);
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, "");
	assert_true(time(NULL) - begin < 3);
	free(m);
}

/* A compressed file whose indexes would be larger than the image. */
static void test_a_huge_map(void **state)
{
	struct img *m = img_new();

	(void)state;
	ek_put_le32(img_inode(m, IMG_B) + 8, UINT32_MAX);
	assert_int_equal(img_check(m), EK_OK);
	assert_true(img_found(m, "MAP-RANGE"));
	free(m);
}

/* Every length of the image: never a crash, never clean. */
static void test_truncated(void **state)
{
	struct img *m = img_new();
	struct ek_source *src;
	size_t n;

	(void)state;
	for (n = 0; n < IMG_SIZE; n += 64) {
		assert_int_equal(ek_source_from_memory(m->bytes, n, &src, NULL),
				 EK_OK);
		assert_int_equal(img_check_source(m, src), EK_OK);
		ek_source_free(src);
		if (n < EK_SB_OFFSET + EK_SB_SIZE_MIN)
			assert_string_equal(m->codes, " SUPER-MAGIC");
		else
			assert_true(img_found(m, "SUPER-TRUNCATED"));
	}
	free(m);
}

/* Every bit: the check ends, and what is open is checked again strictly. */
static void test_every_bit(void **state)
{
	struct img *m = img_new();
	unsigned bit, silent = 0, all = 0;

	(void)state;
	m->options.strict = true;
	for (bit = EK_SB_OFFSET * 8; bit < IMG_SIZE * 8; bit++) {
		/* Zeros in the middle of nothing: one bit of each byte. */
		if (!m->bytes[bit / 8] && bit % 8)
			continue;
		m->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(img_check(m), EK_OK);
		all++;
		silent += !m->result.errors && !m->result.unchecked;
		m->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Times, owners and permissions are free; the rest is not. */
	assert_true(all > 6000);
	assert_in_range(silent, 1, all / 20);
	free(m);
}

/* A source that cannot be read from byte @bad on. */
struct broken {
	struct ek_source src;
	const uint8_t *bytes;
	uint64_t bad;
};

static ek_status broken_read(struct ek_source *src, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	struct broken *b = (struct broken *)src;

	if (offset + n > b->bad)
		return ek_fail_sys(err, 5, "disk");
	memcpy(to, b->bytes + offset, n);
	return EK_OK;
}

static void test_a_broken_disk(void **state)
{
	static const struct ek_source_ops ops = {.read = broken_read};
	struct img *m = img_new();
	struct broken b = {.src = {.ops = &ops, .size = IMG_SIZE},
			   .bytes = m->bytes};

	(void)state;
	for (b.bad = 0; b.bad < IMG_SIZE; b.bad += 256) {
		assert_int_equal(img_check_source(m, &b.src), EK_OK);
		/* Data lies behind all metadata and needs the disk too. */
		if (b.bad <= IMG_DATA * IMG_BS)
			assert_true(img_found(m, "IMAGE-READ"));
		assert_int_equal(m->result.errors, 0);
	}
	free(m);
}

const struct CMUnitTest limits_tests[] = {
	cmocka_unit_test(test_options),
	cmocka_unit_test(test_cancel),
	cmocka_unit_test(test_budget_of_decoding),
	cmocka_unit_test(test_many_findings),
	cmocka_unit_test(test_a_huge_hole),
	cmocka_unit_test(test_a_huge_map),
	cmocka_unit_test(test_truncated),
	cmocka_unit_test(test_every_bit),
	cmocka_unit_test(test_a_broken_disk),
	UNIT_END,
};
