/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include <stdio.h>

extern const struct CMUnitTest reader_tests[];

static struct maketar t;
static struct maketar_reader r;

static void start(void)
{
	memset(&t, 0, sizeof(t));
}

static void members_tell_their_places(void **state)
{
	char data[8];
	size_t got;

	(void)state;
	start();
	maketar_file(&t, "a", "hello");
	maketar_header(&t, "d/", '5', 0);
	maketar_file(&t, "d/b", "");
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "a");
	assert_int_equal(r.e->type, EK_TAR_FILE);
	assert_true(r.e->header_offset == 0 && r.e->data_offset == 512);
	assert_true(r.e->size == 5 && r.e->stored_size == 5);
	assert_int_equal(r.e->uid, 01750);
	assert_int_equal(r.e->mtime, 017);
	assert_int_equal(ek_tar_read(r.tar, data, 8, &got, &r.err), EK_OK);
	assert_int_equal(got, 5);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(r.e->type, EK_TAR_DIRECTORY);
	assert_true(r.e->header_offset == 1024);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_null(r.e);
	assert_false(ek_tar_trailing(r.tar));
	maketar_close(&r);
}

static void a_missing_end_is_no_error_a_cut_is(void **state)
{
	(void)state;
	start();
	maketar_file(&t, "a", "hello");
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_null(r.e);
	maketar_close(&r);
	for (size_t cut = 1; cut < 1024; cut++) {
		ek_status first, second;
		/* All but the padding of the last member is there. */
		bool whole = cut >= 512 + 5;

		t.n = cut;
		maketar_open(&r, &t);
		first = maketar_next(&r);
		second = first == EK_OK ? maketar_next(&r) : first;
		assert_int_equal(second, whole ? EK_OK : EK_CORRUPT);
		maketar_close(&r);
	}
	t.n = 0;
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	assert_non_null(strstr(r.err.text, "empty"));
	maketar_close(&r);
}

static void archives_one_after_another(void **state)
{
	(void)state;
	start();
	maketar_file(&t, "a", "1");
	maketar_end(&t);
	maketar_end(&t);
	maketar_file(&t, "b", "2");
	maketar_end(&t);
	maketar_data(&t, "garbage", 7);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "b");
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_null(r.e);
	assert_true(ek_tar_trailing(r.tar));
	maketar_close(&r);
}

static void local_records_beat_global_ones(void **state)
{
	(void)state;
	start();
	maketar_pax(&t, 'g', "10 uid=77\n12 path=glo\n", 22);
	maketar_pax(&t, 'x', "12 path=loc\n", 12);
	maketar_file(&t, "header", "x");
	maketar_pax(&t, 'x', "8 path=\n", 8);
	maketar_file(&t, "header", "x");
	maketar_file(&t, "third", "x");
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "loc");
	assert_int_equal(r.e->uid, 77);
	assert_true(r.e->header_offset == 1024);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "header");
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "glo");
	maketar_close(&r);
}

static void gnu_long_names_and_links(void **state)
{
	char name[301];

	(void)state;
	memset(name, 'n', 300);
	name[300] = 0;
	start();
	maketar_header(&t, "././@LongLink", 'L', 301);
	maketar_data(&t, name, 301);
	maketar_header(&t, "././@LongLink", 'K', 300);
	maketar_data(&t, name, 300);
	maketar_header(&t, "nnn", '2', 0);
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, name);
	assert_string_equal(r.e->link, name);
	assert_int_equal(r.e->type, EK_TAR_SYMLINK);
	maketar_close(&r);
}

static void header_without_member_is_a_cut(void **state)
{
	(void)state;
	start();
	maketar_pax(&t, 'x', "12 path=loc\n", 12);
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_null(r.e);
	maketar_close(&r);
}

static void absurd_headers_are_refused(void **state)
{
	uint8_t *b;

	(void)state;
	start();
	maketar_header(&t, "x", 'x', EK_TAR_HEADERS_MAX);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_LIMIT);
	maketar_close(&r);
	start();
	b = maketar_header(&t, "f", '0', 0);
	memset(b + 124, 0xff, 12);
	maketar_seal(b);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	maketar_close(&r);
	start();
	b = maketar_header(&t, "dev", '3', 0);
	memcpy(b + 329, "0010000", 8);
	maketar_seal(b);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	maketar_close(&r);
	start();
	maketar_header(&t, "f", '0', 077777777777);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	assert_non_null(strstr(r.err.text, "t.tar: member at byte 0"));
	maketar_close(&r);
}

/* A size on what has no data: the next block is the next header. */
static void sizes_of_what_has_no_data(void **state)
{
	static const char flags[] = "123456";

	(void)state;
	for (const char *flag = flags; *flag; flag++) {
		start();
		maketar_header(&t, "x", *flag, 1000);
		maketar_pax(&t, 'x', "11 size=99\n", 11);
		maketar_header(&t, "y", *flag, 0);
		maketar_file(&t, "z", "data");
		maketar_end(&t);
		maketar_open(&r, &t);
		for (const char *name = "xyz"; *name; name++) {
			assert_int_equal(maketar_next(&r), EK_OK);
			assert_int_equal(r.e->path[0], *name);
			assert_int_equal(r.e->stored_size,
					 *name == 'z' ? 4 : 0);
		}
		assert_int_equal(maketar_next(&r), EK_OK);
		assert_null(r.e);
		maketar_close(&r);
	}
	/* A list of names, by GNU tar --incremental. */
	start();
	maketar_header(&t, "d", 'D', 4);
	maketar_data(&t, "Yz\0\0", 4);
	maketar_file(&t, "d/z", "data");
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(r.e->type, EK_TAR_DIRECTORY);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "d/z");
	maketar_close(&r);
}

static void directories_by_their_slash(void **state)
{
	static const char flags[] = {0, '0', '7'};

	(void)state;
	for (size_t i = 0; i < sizeof(flags); i++) {
		start();
		maketar_header(&t, "d/", flags[i], 0);
		maketar_open(&r, &t);
		assert_int_equal(maketar_next(&r), EK_OK);
		assert_int_equal(r.e->type, EK_TAR_DIRECTORY);
		maketar_close(&r);
	}
}

/* What is wrong at the first byte was never an archive. */
static void others_are_told_from_damage(void **state)
{
	uint8_t *b;

	(void)state;
	start();
	memcpy(maketar_header(&t, "f", '0', 0), "BZh91AY&SY", 10);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	assert_non_null(strstr(r.err.text, "not a tar archive"));
	maketar_close(&r);
	start();
	maketar_file(&t, "f", "data");
	b = maketar_header(&t, "g", '0', 0);
	b[0]++;
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	assert_non_null(strstr(r.err.text, "wrong header checksum"));
	maketar_close(&r);
}

static void records_of_solaris(void **state)
{
	(void)state;
	start();
	maketar_pax(&t, 'X', "13 path=long\n", 13);
	maketar_file(&t, "short", "data");
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "long");
	maketar_close(&r);
}

static void old_sparse_members(void **state)
{
	uint8_t *b;
	uint8_t more[512] = {0};

	(void)state;
	start();
	b = maketar_header(&t, "s", 'S', 6);
	memcpy(b + 257, "ustar  ", 8);
	memcpy(b + 386,
	       "00000000000\0"
	       "00000000002\0",
	       24);
	memcpy(b + 410,
	       "00000001000\0"
	       "00000000001\0",
	       24);
	memcpy(b + 434,
	       "00000002000\0"
	       "00000000001\0",
	       24);
	memcpy(b + 458,
	       "00000003000\0"
	       "00000000001\0",
	       24);
	b[482] = 1;
	memcpy(b + 483, "00000010000\0", 12);
	maketar_seal(b);
	memcpy(more,
	       "00000007777\0"
	       "00000000001\0",
	       24);
	maketar_data(&t, more, 512);
	maketar_data(&t, "abcdef", 6);
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_true(r.e->sparse && r.e->size == 4096);
	assert_int_equal(r.e->n_segments, 5);
	assert_true(r.e->segments[4].at == 4095);
	assert_true(r.e->segments[4].stored == 1024 + 5);
	assert_true(r.e->data_offset == 1024);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_null(r.e);
	maketar_close(&r);
	/* One stored byte more than the map speaks of. */
	memcpy(b + 124, "00000000007", 11);
	maketar_seal(b);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_CORRUPT);
	maketar_close(&r);
}

static void pax_sparse_10(void **state)
{
	static const char rec[] = "22 GNU.sparse.major=1\n"
				  "22 GNU.sparse.minor=0\n"
				  "24 GNU.sparse.name=real\n"
				  "29 GNU.sparse.realsize=10000\n";
	uint8_t data[1024] = "2\n512\n3\n9999\n1\n";
	const char *bad[] = {"2\n512\n", "x\n", "99999999999999999999\n",
			     "2\n5\n3\n4\n1\n"};

	(void)state;
	start();
	maketar_pax(&t, 'x', rec, sizeof(rec) - 1);
	maketar_header(&t, "GNUSparseFile.0/real", '0', 516);
	memcpy(data + 512, "abcd", 4);
	maketar_data(&t, data, 516);
	maketar_end(&t);
	maketar_open(&r, &t);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "real");
	assert_true(r.e->sparse && r.e->size == 10000);
	assert_int_equal(r.e->n_segments, 2);
	assert_true(r.e->segments[1].at == 9999);
	assert_true(r.e->data_offset == r.e->segments[0].stored);
	assert_int_equal(t.bytes[r.e->segments[1].stored], 'd');
	maketar_close(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *map = t.bytes + 1536;

		memset(map, 0, 512);
		memcpy(map, bad[i], strlen(bad[i]));
		maketar_open(&r, &t);
		assert_int_equal(maketar_next(&r), EK_CORRUPT);
		maketar_close(&r);
	}
}

static void headers_only_have_no_data(void **state)
{
	struct ek_tar_options o = {.size = sizeof(o), .headers_only = true};

	(void)state;
	start();
	maketar_header(&t, "a", '0', 100000);
	maketar_header(&t, "b", '0', 5);
	maketar_end(&t);
	maketar_open(&r, &t);
	ek_tar_free(r.tar);
	assert_int_equal(ek_tar_open(r.in, "t", &o, &r.tar, &r.err), EK_OK);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_true(r.e->size == 100000 && r.e->stored_size == 0);
	assert_int_equal(maketar_next(&r), EK_OK);
	assert_string_equal(r.e->path, "b");
	maketar_close(&r);
}

const struct CMUnitTest reader_tests[] = {
	cmocka_unit_test(members_tell_their_places),
	cmocka_unit_test(a_missing_end_is_no_error_a_cut_is),
	cmocka_unit_test(archives_one_after_another),
	cmocka_unit_test(local_records_beat_global_ones),
	cmocka_unit_test(gnu_long_names_and_links),
	cmocka_unit_test(header_without_member_is_a_cut),
	cmocka_unit_test(absurd_headers_are_refused),
	cmocka_unit_test(sizes_of_what_has_no_data),
	cmocka_unit_test(directories_by_their_slash),
	cmocka_unit_test(records_of_solaris),
	cmocka_unit_test(others_are_told_from_damage),
	cmocka_unit_test(old_sparse_members),
	cmocka_unit_test(pax_sparse_10),
	cmocka_unit_test(headers_only_have_no_data),
	UNIT_END,
};
