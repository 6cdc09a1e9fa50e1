/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include "base/bytes.h"
#include "check/codes.h"

/* The image of img.h is clean, or nothing here proves anything. */
static void test_clean(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->options.strict = true;
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, "");
	assert_true(m->result.opened);
	assert_int_equal(m->result.inodes, 3);
	assert_int_equal(m->result.names, 4);
	assert_int_equal(m->result.data_bytes, 2 * IMG_FILE);
	free(m);
}

/* Both files have one cluster: it is decoded once. */
static void test_shared_cluster_once(void **state)
{
	struct img *m = img_new();

	(void)state;
	assert_int_equal(img_check(m), EK_OK);
	assert_int_equal(m->result.pclusters, 1);
	assert_int_equal(m->result.decoded_pclusters, 1);
	assert_int_equal(m->result.decoded_bytes, IMG_FILE);
	m->options.metadata_only = true;
	assert_int_equal(img_check(m), EK_OK);
	assert_int_equal(m->result.decoded_pclusters, 0);
	free(m);
}

/* One of two users of a cluster wants another length of it. */
static void test_conflict(void **state)
{
	struct img *m = img_new();

	(void)state;
	ek_put_le32(img_inode(m, IMG_B) + 8, IMG_FILE - 10);
	ek_put_le16(img_inode(m, IMG_B) + 32 + 16 + 8 + 2,
		    (IMG_FILE - 10) % IMG_BS);
	assert_int_equal(img_check(m), EK_OK);
	assert_true(img_found(m, "MAP-CONFLICT"));
	assert_true(img_found(m, "DATA-DECODE"));
	free(m);
}

static void test_stream_too_short(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->bytes[(IMG_DATA + 1) * IMG_BS - 7]--;
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, " DATA-DECODE");
	assert_int_equal(m->result.errors, 1);
	free(m);
}

static void test_no_stream_at_all(void **state)
{
	struct img *m = img_new();

	(void)state;
	memset(m->bytes + IMG_DATA * IMG_BS, 0, IMG_BS);
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, " DATA-DECODE");
	free(m);
}

/* Whether every finding that is only a warning becomes an error. */
static void test_strict_raises_warnings(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->sb.inos = 99;
	img_seal(m);
	assert_int_equal(img_check(m), EK_OK);
	assert_int_equal(m->result.warnings, 1);
	assert_int_equal(m->result.errors, 0);
	m->options.strict = true;
	assert_int_equal(img_check(m), EK_OK);
	assert_int_equal(m->result.warnings, 0);
	assert_int_equal(m->result.errors, 1);
	assert_string_equal(m->codes, " SUPER-INODES");
	free(m);
}

/* Any byte that nothing refers to: found when strict, not else. */
static void test_every_unused_byte_counts(void **state)
{
	struct img *m = img_new();
	unsigned at, hidden = 0;

	(void)state;
	for (at = 0; at < IMG_SIZE; at += 37) {
		if (m->bytes[at])
			continue;
		m->bytes[at] = 0x40;
		m->options.strict = false;
		assert_int_equal(img_check(m), EK_OK);
		if (!m->result.errors && !m->result.warnings) {
			hidden++;
			m->options.strict = true;
			assert_int_equal(img_check(m), EK_OK);
			assert_true(m->result.errors > 0);
		}
		m->bytes[at] = 0;
	}
	assert_true(hidden > 50);
	free(m);
}

static void test_part(void **state)
{
	struct img *m = img_new();

	(void)state;
	ek_put_le16(img_inode(m, IMG_B) + 6, 7);
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, " INODE-LINKS");
	m->options.path = "/a";
	assert_int_equal(img_check(m), EK_OK);
	assert_string_equal(m->codes, "");
	assert_true(m->result.restricted);
	m->options.path = "/none";
	assert_int_equal(img_check(m), EK_NOTFOUND);
	m->options.has_nid = true;
	assert_int_equal(img_check(m), EK_INVALID);
	free(m);
}

static void test_table_of_codes(void **state)
{
	const struct ek_check_code *row;
	size_t i, k;

	(void)state;
	for (i = 0; (row = ek_check_code(i)); i++) {
		assert_non_null(strchr(row->code, '-'));
		assert_true(strlen(row->meaning) > 10);
		/* Only warnings may be left to a strict check. */
		assert_true(!row->strict_only ||
			    row->severity == EK_SEVERITY_WARNING);
		for (k = 0; k < i; k++)
			assert_true(strcmp(row->code, ek_check_code(k)->code) !=
				    0);
	}
	assert_int_equal(i, CK_CODE_COUNT);
}

const struct CMUnitTest rules_tests[] = {
	cmocka_unit_test(test_clean),
	cmocka_unit_test(test_shared_cluster_once),
	cmocka_unit_test(test_conflict),
	cmocka_unit_test(test_stream_too_short),
	cmocka_unit_test(test_no_stream_at_all),
	cmocka_unit_test(test_strict_raises_warnings),
	cmocka_unit_test(test_every_unused_byte_counts),
	cmocka_unit_test(test_part),
	cmocka_unit_test(test_table_of_codes),
	UNIT_END,
};
