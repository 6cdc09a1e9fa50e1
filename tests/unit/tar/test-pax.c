/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include "base/bytes.h"
#include "tar/pax.h"

extern const struct CMUnitTest pax_tests[];

static ek_status parse(struct ek_pax *pax, const char *text)
{
	return ek_pax_parse(pax, (const uint8_t *)text, strlen(text), NULL);
}

static void records_are_kept_and_reset(void **state)
{
	struct ek_pax p = {0};

	(void)state;
	assert_int_equal(parse(&p, "12 path=a/b\n14 size=1234\n11 uid=77\n"),
			 EK_CORRUPT);
	ek_pax_clear(&p);
	assert_int_equal(parse(&p, "12 path=a/b\n13 size=1234\n10 uid=77\n"),
			 EK_OK);
	assert_string_equal(p.path.text, "a/b");
	assert_true(p.size.value == 1234);
	assert_true(p.uid.value == 77);
	assert_int_equal(parse(&p, "8 path=\n"), EK_OK);
	assert_int_equal(p.path.state, EK_PAX_RESET);
	ek_pax_clear(&p);
}

static void broken_records_are_refused(void **state)
{
	static const char *const bad[] = {
		"12 path=a/bX",
		"999 path=a\n",
		"0 a=b\n",
		"x path=a\n",
		"10 pathabc\n",
		"13 size=12a4\n",
		"5\n",
		"11 size=-1\n",
		"28 size=9999999999999999999\n",
		"9 mtime=\n1",
		"12 mtime=1x\n",
		"99999999999999999999 path=a\n",
		"21 GNU.sparse.map=1\n",
		"24 GNU.sparse.numbytes=1\n",
		"34 LIBARCHIVE.xattr.user.a=A*BB==\n",
		"30 SCHILY.acl.access=user:::\n",
	};
	struct ek_pax p = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(&p, bad[i]), EK_CORRUPT);
		ek_pax_clear(&p);
	}
}

static void times_keep_nine_digits_and_borrow(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		uint32_t nsec;
	} rows[] = {
		{"16 mtime=12.345\n", 12, 345000000},
		{"26 mtime=12.3456789012345\n", 12, 345678901},
		{"15 mtime=-1.25\n", -2, 750000000},
		{"12 mtime=-5\n", -5, 0},
		{"15 mtime=-0.50\n", -1, 500000000},
		{"12 mtime=7.\n", 7, 0},
	};
	struct ek_pax p = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(&p, rows[i].text), EK_OK);
		assert_true(p.mtime == rows[i].seconds);
		assert_int_equal(p.mtime_nsec, rows[i].nsec);
		ek_pax_clear(&p);
	}
}

static void attributes_in_both_spellings(void **state)
{
	static const char records[] =
		"26 SCHILY.xattr.user.a=\0\n=\n"
		"24 SCHILY.xattr.user.e=\n"
		"41 LIBARCHIVE.xattr.user.x%2Fy=aGkgdG8=\n";
	struct ek_pax p = {0};

	(void)state;
	assert_int_equal(ek_pax_parse(&p, (const uint8_t *)records,
				      sizeof(records) - 1, NULL),
			 EK_CORRUPT);
	ek_pax_clear(&p);
	assert_int_equal(parse(&p, "24 SCHILY.xattr.user.e=\n"
				   "40 LIBARCHIVE.xattr.user.x%2Fy=aGkgdG8=\n"),
			 EK_OK);
	assert_int_equal(p.xattrs.n, 2);
	assert_string_equal(p.xattrs.at[0].name, "user.e");
	assert_int_equal(p.xattrs.at[0].value_len, 0);
	assert_string_equal(p.xattrs.at[1].name, "user.x/y");
	assert_int_equal(p.xattrs.at[1].value_len, 5);
	assert_memory_equal(p.xattrs.at[1].value, "hi to", 5);
	/* Raw values may hold NUL, newline and '='. */
	assert_int_equal(ek_pax_parse(&p,
				      (const uint8_t *)"27 SCHILY.xattr.user.e="
						       "\0\n=\n",
				      27, NULL),
			 EK_OK);
	assert_int_equal(p.xattrs.n, 2);
	assert_int_equal(p.xattrs.at[0].value_len, 3);
	assert_memory_equal(p.xattrs.at[0].value, "\0\n=", 3);
	ek_pax_clear(&p);
}

static void a_label_of_selinux(void **state)
{
	struct ek_pax p = {0};

	(void)state;
	assert_int_equal(parse(&p, "28 RHT.security.selinux=a:b\n"), EK_OK);
	assert_int_equal(p.xattrs.n, 1);
	assert_string_equal(p.xattrs.at[0].name, "security.selinux");
	assert_int_equal(p.xattrs.at[0].value_len, 4);
	assert_memory_equal(p.xattrs.at[0].value, "a:b", 4);
	assert_int_equal(parse(&p, "25 RHT.security.selinux=\n"), EK_OK);
	assert_int_equal(p.xattrs.n, 1);
	ek_pax_clear(&p);
}

static void acl_text_becomes_the_binary_form(void **state)
{
	static const uint8_t want[] = {
		2,   0,	  0,   0,   1,	 0,   6,  0,   255, 255, 255,
		255, 2,	  0,   4,   0,	 232, 3,  0,   0,   4,	 0,
		4,   0,	  255, 255, 255, 255, 16, 0,   4,   0,	 255,
		255, 255, 255, 32,  0,	 0,   0,  255, 255, 255, 255,
	};
	uint8_t *value;
	size_t n;

	(void)state;
	assert_int_equal(ek_acl_from_text("other::---,user::rw-,user:lisa:r--"
					  ":1000,group::r--,mask::r--",
					  true, &value, &n, NULL),
			 EK_OK);
	assert_int_equal(n, sizeof(want));
	assert_memory_equal(value, want, n);
	free(value);
	assert_int_equal(ek_acl_from_text("user::rw-\nuser:1000:r--\n"
					  "group::r--\nmask::r--\nother::---",
					  true, &value, &n, NULL),
			 EK_OK);
	assert_memory_equal(value, want, sizeof(want));
	free(value);
	assert_int_equal(ek_acl_from_text("user::rw-,group::r--,other::r--",
					  true, &value, &n, NULL),
			 EK_OK);
	assert_null(value);
	assert_int_equal(
		ek_acl_from_text("user:lisa:r--", true, &value, &n, NULL),
		EK_NOTFOUND);
}

static void sparse_lists_of_both_kinds(void **state)
{
	struct ek_pax p = {0};

	(void)state;
	assert_int_equal(parse(&p, "22 GNU.sparse.offset=0\n"), EK_CORRUPT);
	ek_pax_clear(&p);
	assert_int_equal(parse(&p, "23 GNU.sparse.offset=8\n"
				   "25 GNU.sparse.numbytes=4\n"
				   "24 GNU.sparse.offset=99\n"
				   "25 GNU.sparse.numbytes=1\n"),
			 EK_OK);
	assert_int_equal(p.segments.n, 2);
	assert_true(p.segments.at[1].at == 99 && p.segments.at[0].length == 4);
	assert_int_equal(parse(&p, "29 GNU.sparse.map=0,5,10,20\n"),
			 EK_CORRUPT);
	assert_int_equal(parse(&p, "28 GNU.sparse.map=0,5,10,20\n"), EK_OK);
	assert_int_equal(p.segments.n, 2);
	assert_true(p.segments.at[1].length == 20);
	ek_pax_clear(&p);
}

const struct CMUnitTest pax_tests[] = {
	cmocka_unit_test(records_are_kept_and_reset),
	cmocka_unit_test(broken_records_are_refused),
	cmocka_unit_test(times_keep_nine_digits_and_borrow),
	cmocka_unit_test(attributes_in_both_spellings),
	cmocka_unit_test(a_label_of_selinux),
	cmocka_unit_test(acl_text_becomes_the_binary_form),
	cmocka_unit_test(sparse_lists_of_both_kinds),
	UNIT_END,
};
