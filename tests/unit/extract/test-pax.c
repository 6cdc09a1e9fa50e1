/* SPDX-License-Identifier: Apache-2.0 */
#include "extract-unit.h"

#include "extract/listing.h"
#include "extract/pax.h"

#include <stdio.h>
#include <sys/stat.h>

struct pax {
	struct ek_buf records, out;
	struct ek_node node;
	struct pax_member m;
};

static struct pax *pax_new(uint32_t mode, const char *path)
{
	struct pax *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->records.limit = p->out.limit = 1 << 20;
	p->node.mode = mode;
	p->m.node = &p->node;
	p->m.path = path;
	return p;
}

static void pax_free(struct pax *p)
{
	ek_buf_free(&p->records);
	ek_buf_free(&p->out);
	free(p);
}

/* The ustar header, which is the last block. */
static const char *header(struct pax *p)
{
	const uint8_t *h;
	unsigned i, sum = 0;
	char text[8];

	assert_int_equal(pax_headers(&p->m, &p->records, &p->out, NULL), EK_OK);
	assert_int_equal(p->out.len % PAX_BLOCK, 0);
	h = p->out.data + p->out.len - PAX_BLOCK;
	for (i = 0; i < PAX_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : h[i];
	snprintf(text, sizeof(text), "%06o", sum);
	assert_memory_equal(h + 148, text, 7);
	assert_int_equal(h[155], ' ');
	assert_memory_equal(h + 257, "ustar\00000", 8);
	return (const char *)h;
}

/* Whether the PAX header has the record, and each length is right. */
static int has_record(const struct pax *p, const char *record)
{
	const char *at = (const char *)p->records.data;
	const char *end = at + p->records.len;
	int found = 0;

	while (at < end) {
		unsigned long n = strtoul(at, NULL, 10);
		const char *body = strchr(at, ' ') + 1;

		assert_true(n > 0 && at + n <= end && at[n - 1] == '\n');
		if (strlen(record) == (size_t)(at + n - 1 - body) &&
		    !memcmp(body, record, strlen(record)))
			found = 1;
		at += n;
	}
	return found;
}

static void test_plain_file(void **state)
{
	struct pax *p = pax_new(S_IFREG | 04755, "a/b");
	const char *h;

	(void)state;
	p->node.uid = 1000;
	p->node.gid = 07777777;
	p->node.mtime = 1700000000;
	p->m.size = 077777777777;
	h = header(p);
	assert_int_equal(p->out.len, PAX_BLOCK);
	assert_string_equal(h, "a/b");
	assert_memory_equal(h + 100, "0004755", 8);
	assert_memory_equal(h + 108, "0001750", 8);
	assert_memory_equal(h + 116, "7777777", 8);
	assert_memory_equal(h + 124, "77777777777", 12);
	assert_int_equal(h[156], '0');
	pax_free(p);
}

/* One more than fits each field. */
static void test_numbers_that_do_not_fit(void **state)
{
	struct pax *p = pax_new(S_IFREG | 0644, "f");

	(void)state;
	p->node.uid = 010000000;
	p->node.gid = UINT32_MAX;
	p->node.mtime = INT64_C(1) << 40;
	p->m.size = UINT64_C(1) << 33;
	header(p);
	assert_true(has_record(p, "uid=2097152"));
	assert_true(has_record(p, "gid=4294967295"));
	assert_true(has_record(p, "size=8589934592"));
	assert_true(has_record(p, "mtime=1099511627776"));
	assert_int_equal(p->out.len, 3 * PAX_BLOCK);
	assert_int_equal(p->out.data[156], 'x');
	pax_free(p);
}

static void test_times(void **state)
{
	static const struct {
		int64_t sec;
		uint32_t nsec;
		const char *record;
	} cases[] = {
		{1, 5, "mtime=1.000000005"},
		{0, 999999999, "mtime=0.999999999"},
		{-1, 500000000, "mtime=-0.500000000"},
		{-1, 0, "mtime=-1"},
		{-2, 500000000, "mtime=-1.500000000"},
		{-5, 1, "mtime=-4.999999999"},
		{INT64_MIN, 0, "mtime=-9223372036854775808"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pax *p = pax_new(S_IFREG, "f");

		p->node.mtime = cases[i].sec;
		p->node.mtime_nsec = cases[i].nsec;
		header(p);
		assert_true(has_record(p, cases[i].record));
		pax_free(p);
	}
}

static void test_names(void **state)
{
	char path[400], record[420];
	struct pax *p;
	const char *h;

	(void)state;
	/* Exactly the field. */
	memset(path, 'a', sizeof(path));
	path[100] = '\0';
	p = pax_new(S_IFREG, path);
	h = header(p);
	assert_memory_equal(h, path, 100);
	assert_int_equal(p->records.len, 0);
	pax_free(p);
	/* Prefix and name, both full. */
	path[100] = 'a';
	path[155] = '/';
	path[256] = '\0';
	p = pax_new(S_IFREG, path);
	h = header(p);
	assert_int_equal(p->records.len, 0);
	assert_memory_equal(h + 345, path, 155);
	assert_memory_equal(h, path + 156, 100);
	pax_free(p);
	/* No slash where one could cut. */
	path[155] = 'a';
	path[20] = '/';
	p = pax_new(S_IFREG, path);
	header(p);
	snprintf(record, sizeof(record), "path=%s", path);
	assert_true(has_record(p, record));
	pax_free(p);
}

static void test_directories_and_links(void **state)
{
	struct pax *p = pax_new(S_IFDIR | 0755, "");
	char target[300];

	(void)state;
	assert_string_equal(header(p), "./");
	assert_int_equal(header(p)[156], '5');
	pax_free(p);
	p = pax_new(S_IFLNK | 0777, "l");
	p->m.target = "somewhere";
	assert_string_equal(header(p) + 157, "somewhere");
	assert_int_equal(header(p)[156], '2');
	pax_free(p);
	memset(target, 't', sizeof(target));
	target[299] = '\0';
	p = pax_new(S_IFREG | 0777, "h");
	p->m.target = target;
	p->m.hard_link = true;
	assert_int_equal(header(p)[156], '1');
	assert_true(p->records.len > 299);
	pax_free(p);
}

static void test_devices(void **state)
{
	struct pax *p = pax_new(S_IFCHR | 0600, "c");

	(void)state;
	p->node.rdev_major = 5;
	p->node.rdev_minor = 07777777;
	assert_string_equal(header(p) + 329, "0000005");
	assert_string_equal(header(p) + 337, "7777777");
	assert_int_equal(header(p)[156], '3');
	pax_free(p);
}

/* The length counts its own digits: 9 to 10 and 99 to 100 are the edges. */
static void test_lengths_of_records(void **state)
{
	uint8_t value[1200];
	size_t n;

	(void)state;
	memset(value, 'v', sizeof(value));
	for (n = 0; n < sizeof(value); n++) {
		struct ek_buf records = EK_BUF_INIT(1 << 16);

		assert_int_equal(pax_record(&records, "k", value, n, NULL),
				 EK_OK);
		assert_int_equal(strtoul((char *)records.data, NULL, 10),
				 records.len);
		ek_buf_free(&records);
	}
}

static void test_attributes(void **state)
{
	struct ek_buf records = EK_BUF_INIT(1 << 16);
	struct ek_xattr x = {.name = "user.a=b%",
			     .name_len = 9,
			     .value = (const uint8_t *)"\0\n=",
			     .value_len = 3};

	(void)state;
	assert_int_equal(pax_xattr(&records, &x, NULL), EK_OK);
	assert_int_equal(records.len, 34);
	assert_memory_equal(records.data,
			    "34 SCHILY.xattr.user.a%3Db%25=\0\n=\n", 34);
	x.value_len = 0;
	records.len = 0;
	assert_int_equal(pax_xattr(&records, &x, NULL), EK_OK);
	assert_memory_equal(records.data, "31 SCHILY.xattr.user.a%3Db%25=\n",
			    31);
	ek_buf_free(&records);
}

static void test_limit(void **state)
{
	struct ek_buf records = EK_BUF_INIT(100);
	uint8_t value[200] = {0};

	(void)state;
	assert_int_equal(pax_record(&records, "k", value, 200, NULL), EK_LIMIT);
	ek_buf_free(&records);
}

static void test_given_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/"};
	struct ek_node dir = {.mode = S_IFDIR}, file = {.mode = S_IFREG};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ek_listing_check_name(&dir, bad[i], NULL),
				 EK_INVALID);
	assert_int_equal(ek_listing_check_name(&file, NULL, NULL), EK_INVALID);
	assert_int_equal(ek_listing_check_name(&dir, NULL, NULL), EK_OK);
	assert_int_equal(ek_listing_check_name(&file, "..x", NULL), EK_OK);
}

const struct CMUnitTest pax_tests[] = {
	cmocka_unit_test(test_plain_file),
	cmocka_unit_test(test_numbers_that_do_not_fit),
	cmocka_unit_test(test_times),
	cmocka_unit_test(test_names),
	cmocka_unit_test(test_directories_and_links),
	cmocka_unit_test(test_devices),
	cmocka_unit_test(test_lengths_of_records),
	cmocka_unit_test(test_attributes),
	cmocka_unit_test(test_limit),
	cmocka_unit_test(test_given_names),
	UNIT_END,
};
