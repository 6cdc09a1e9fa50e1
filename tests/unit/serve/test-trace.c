/* SPDX-License-Identifier: Apache-2.0 */

/* Traces: recorded, printed, parsed, replayed; and what is none. */

#include "cachefilesd/serve/trace.h"
#include "fake.h"

#include "unit.h"

#include <stdio.h>

static void recorded(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF + 5};
	struct ekd_trace *trace;
	char *text;
	size_t n;

	(void)state;
	rig_new(&rig, &o);
	assert_int_equal(ekd_trace_new(&trace, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 0, 1, NULL), EK_OK);
	assert_int_equal(ekd_served_record(rig.served, trace, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 40 * LEAF + 7, LEAF, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 64 * LEAF, 5, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 42 * LEAF, 1, NULL), EK_OK);
	/* Partly known; and what was there before recording. */
	assert_int_equal(rig_read(&rig, 39 * LEAF, 5 * LEAF, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 0, 1, NULL), EK_OK);
	assert_int_equal(ekd_served_record(rig.served, NULL, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 20 * LEAF, 1, NULL), EK_OK);
	assert_int_equal(ekd_trace_text(trace, &text, &n, NULL), EK_OK);
	assert_string_equal(text, "erofskit trace 1\n"
				  "blob one 262149\n"
				  "0 163840 8192\n"
				  "0 262144 5\n"
				  "0 172032 4096\n"
				  "0 159744 4096\n"
				  "0 176128 4096\n"
				  "0 0 4096\n"
				  "end 6\n");
	assert_int_equal(n, strlen(text));
	free(text);
	ekd_trace_free(trace);
	ekd_trace_free(NULL);
	rig_free(&rig);
}

static void replayed(void **state)
{
	static const char text[] = "erofskit trace 1\n"
				   "blob other 10\n"
				   "blob one 65536\n"
				   "1 8192 4096\n"
				   "0 0 10\n"
				   "1 100 1\n"
				   "end 3\n";
	struct rig rig;
	struct rig_options o = {.size = 16 * LEAF};
	struct ekd_trace_file file;

	(void)state;
	rig_new(&rig, &o);
	assert_int_equal(ekd_trace_parse(text, strlen(text), &file, NULL),
			 EK_OK);
	assert_int_equal(file.n_blobs, 2);
	assert_int_equal(file.n_ranges, 3);
	for (uint32_t i = 0; i < file.n_ranges; i++) {
		struct ekd_trace_range *r = &file.ranges[i];

		if (strcmp(file.blobs[r->blob].name, "one") == 0)
			assert_int_equal(ekd_served_prefetch(rig.served,
							     r->offset, r->n,
							     NULL),
					 EK_OK);
	}
	wait_until(rig_stats(&rig).present == 2 * LEAF);
	assert_int_equal(rig.fake->order[0], 2 * LEAF);
	assert_int_equal(rig.fake->order[1], 0);
	ekd_trace_forget(&file);
	rig_free(&rig);
}

#define HEAD "erofskit trace 1\nblob a 100\n"

static void no_traces(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{"", "line 1: missing"},
		{"erofskit trace 1", "line 1: does not end"},
		{"erofskit trace 2\nend 0\n", "line 1: not"},
		{"erofskit trace 1\n", "line 2: missing"},
		{"erofskit trace 1\nend 1\n", "not the count"},
		{"erofskit trace 1\nend 0\n\n", "follows"},
		{"erofskit trace 1\nend 00\n", "not the count"},
		{"erofskit trace 1\n0 0 1\nend 1\n", "no such blob"},
		{HEAD "0 0 101\nend 1\n", "not inside"},
		{HEAD "0 100 1\nend 1\n", "not inside"},
		{HEAD "0 18446744073709551615 2\nend 1\n", "not inside"},
		{HEAD "0 18446744073709551616 2\nend 1\n", "three numbers"},
		{HEAD "0 1 0\nend 1\n", "not inside"},
		{HEAD "0 1 +1\nend 1\n", "three numbers"},
		{HEAD "0 01 1\nend 1\n", "three numbers"},
		{HEAD "0 1  1\nend 1\n", "three numbers"},
		{HEAD "0 1 1 \nend 1\n", "three numbers"},
		{HEAD "1 1 1\nend 1\n", "no such blob"},
		{HEAD "0 1 1\nblob b 5\nend 1\n", "after ranges"},
		{HEAD "blob a 100\nend 0\n", "second time"},
		{HEAD "blob .a 100\nend 0\n", "no name"},
		{HEAD "blob a/b 100\nend 0\n", "no name"},
		{HEAD "blob  100\nend 0\n", "no name"},
		{HEAD "blob b -1\nend 0\n", "no size"},
		{HEAD "blob b\nend 0\n", "no name"},
		{HEAD "0 1 1\n", "line 4: missing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ekd_trace_file file;
		struct ek_err err = {.text = ""};

		if (ekd_trace_parse(cases[i].text, strlen(cases[i].text), &file,
				    &err) != EK_CORRUPT ||
		    !strstr(err.text, cases[i].why))
			fail_msg("case %zu: \"%s\", not \"%s\"", i, err.text,
				 cases[i].why);
		assert_null(file.blobs);
		assert_null(file.ranges);
	}
}

static void bounds(void **state)
{
	struct ekd_trace_file file;
	struct ek_err err;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	assert_non_null(f);
	fprintf(f, "erofskit trace 1\n");
	for (unsigned i = 0; i <= EKD_TRACE_BLOBS; i++)
		fprintf(f, "blob b%u 1\n", i);
	fprintf(f, "end 0\n");
	fclose(f);
	assert_int_equal(ekd_trace_parse(text, n, &file, &err), EK_CORRUPT);
	assert_non_null(strstr(err.text, "too many blobs"));
	free(text);
	/* A name as long as it may be, and a byte more. */
	text = malloc(400);
	assert_non_null(text);
	snprintf(text, 400, "erofskit trace 1\nblob %0128d 9\nend 0\n", 0);
	assert_int_equal(ekd_trace_parse(text, strlen(text), &file, &err),
			 EK_OK);
	assert_int_equal(strlen(file.blobs[0].name), 128);
	ekd_trace_forget(&file);
	snprintf(text, 400, "erofskit trace 1\nblob %0129d 9\nend 0\n", 0);
	assert_int_equal(ekd_trace_parse(text, strlen(text), &file, &err),
			 EK_CORRUPT);
	snprintf(text, 400, "erofskit trace 1\nblob %0300d 9\nend 0\n", 0);
	assert_int_equal(ekd_trace_parse(text, strlen(text), &file, &err),
			 EK_CORRUPT);
	assert_non_null(strstr(err.text, "too long"));
	/* A NUL hides nothing. */
	memcpy(text, "erofskit trace 1\0\nend 0\n", 24);
	assert_int_equal(ekd_trace_parse(text, 24, &file, &err), EK_CORRUPT);
	free(text);
}

const struct CMUnitTest trace_tests[] = {
	cmocka_unit_test(recorded),
	cmocka_unit_test(replayed),
	cmocka_unit_test(no_traces),
	cmocka_unit_test(bounds),
	UNIT_END,
};
