/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/worker/record.h"

#include <stdio.h>

extern const struct CMUnitTest record_tests[];

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void round_trip(void **state)
{
	struct ekd_record a = {.target = "/m\"nt",
			       .source = "/out",
			       .from = "h:1/r:t",
			       .rw = true,
			       .persist = true};
	struct ekd_record b;
	struct ek_err err;
	char *text, *again;
	size_t n, m;

	(void)state;
	assert_int_equal(ekd_record_make(&a, 2, 2, &err), EK_OK);
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(a.blobs[i].digest, sizeof(a.blobs[i].digest),
			 "sha256:" HEX);
		snprintf(a.blobs[i].from, sizeof(a.blobs[i].from), "h:1/r:t");
		a.blobs[i].size = 1000 + i;
		memset(a.blobs[i].root, 7, 32);
	}
	a.blobs[1].kind = EKD_FROM_LOCAL;
	a.blobs[1].direct = true;
	snprintf(a.blobs[1].name, sizeof(a.blobs[1].name), "sha256-" HEX);
	ekd_blob_rooted(&a.blobs[1]);
	a.parts[0].n_devices = 2;
	a.parts[0].devices[1] = 1;
	a.parts[1].whole = true;
	a.parts[1].primary = 1;
	assert_int_equal(ekd_record_print(&a, &text, &n, &err), EK_OK);
	assert_int_equal(ekd_record_parse(text, n, &b, &err), EK_OK);
	assert_string_equal(b.target, a.target);
	assert_true(b.rw && b.persist && !b.complete && !b.suid);
	assert_string_equal(b.blobs[0].name, "sha256-" HEX);
	assert_false(b.blobs[0].rooted);
	assert_true(b.blobs[1].rooted);
	assert_string_equal(b.blobs[1].name,
			    "sha256-" HEX "-0707070707070707070707070707070707"
			    "07070707070707");
	assert_int_equal(b.blobs[1].size, 1001);
	assert_int_equal(b.blobs[1].kind, EKD_FROM_LOCAL);
	assert_true(b.blobs[1].direct && !b.blobs[0].direct);
	assert_memory_equal(b.blobs[0].root, a.blobs[0].root, 32);
	assert_false(b.parts[0].whole);
	assert_int_equal(b.parts[0].devices[1], 1);
	assert_true(b.parts[1].whole);
	assert_int_equal(ekd_record_print(&b, &again, &m, &err), EK_OK);
	assert_string_equal(text, again);
	ekd_record_free(&b);
	for (size_t i = 0; i + 2 < n; i++) /* its end is a newline */
		assert_int_not_equal(ekd_record_parse(text, i, &b, &err),
				     EK_OK);
	ekd_record_free(&a);
	free(text);
	free(again);
}

static void wrong(void **state)
{
	static const char *const cases[] = {
		"{}",
		"{\"version\": 2}",
		"{\"version\": 1, \"target\": \"/t\", \"source\": \"s\", "
		"\"from\": \"\", \"blobs\": [], \"parts\": []}",
		"{\"version\": 1, \"target\": \"/t\", \"source\": \"s\", "
		"\"from\": \"\", \"blobs\": [], \"parts\": [{\"primary\": "
		"0}]}",
		"{\"version\": 1, \"target\": \"/t\", \"source\": \"s\", "
		"\"from\": \"\", \"blobs\": [], \"parts\": [{\"devices\": "
		"[{\"blob\": 0}]}]}",
		"{\"version\": 1, \"target\": \"/t\", \"source\": \"s\", "
		"\"from\": \"\", \"blobs\": [{\"digest\": \"sha256:../x\"}], "
		"\"parts\": [{}]}",
		"{\"version\": 1, \"target\": \"/t\", \"source\": \"s\", "
		"\"from\": \"\", \"blobs\": [], \"parts\": [{}], \"x\": 1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ekd_record r;
		struct ek_err err;

		if (ekd_record_parse(cases[i], strlen(cases[i]), &r, &err) ==
		    EK_OK)
			fail_msg("taken: %s", cases[i]);
		assert_null(r.blobs);
	}
}

/* What is beyond what a mount can have is refused by its number. */
static void limits(void **state)
{
	static const struct {
		uint32_t blobs, parts;
		ek_status status;
	} cases[] = {
		{EKD_DEVICES, EKD_LOWERS, EK_OK},
		{EKD_DEVICES + 1, 1, EK_LIMIT},
		{1, EKD_LOWERS + 1, EK_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ekd_record a = {.target = "/t", .source = "s"}, b;
		struct ek_err err;
		char *text;
		size_t n;

		assert_int_equal(ekd_record_make(&a, cases[i].blobs,
						 cases[i].parts, &err),
				 EK_OK);
		for (uint32_t k = 0; k < a.n_blobs; k++) {
			snprintf(a.blobs[k].digest, sizeof(a.blobs[k].digest),
				 "sha256:" HEX);
			a.blobs[k].size = 1;
		}
		assert_int_equal(ekd_record_print(&a, &text, &n, &err), EK_OK);
		assert_int_equal(ekd_record_parse(text, n, &b, &err),
				 cases[i].status);
		if (cases[i].status == EK_OK)
			ekd_record_free(&b);
		ekd_record_free(&a);
		free(text);
	}
}

static void names(void **state)
{
	char name[EKD_DOOR_NAME + 1];

	(void)state;
	assert_int_equal(ekd_blob_name_of("sha256:" HEX, name, NULL), EK_OK);
	assert_string_equal(name, "sha256-" HEX);
	assert_int_not_equal(ekd_blob_name_of("sha512:" HEX, name, NULL),
			     EK_OK);
	assert_int_not_equal(ekd_blob_name_of("sha256:" HEX "0", name, NULL),
			     EK_OK);
	assert_int_not_equal(ekd_blob_name_of("sha256:../", name, NULL), EK_OK);
}

const struct CMUnitTest record_tests[] = {
	cmocka_unit_test(round_trip),
	cmocka_unit_test(wrong),
	cmocka_unit_test(limits),
	cmocka_unit_test(names),
	UNIT_END,
};
