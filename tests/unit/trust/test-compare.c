/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "unit.h"

#include <stdio.h>

#define HEAD   "erofskit-manifest 1\n"
#define COMMON " mode=0755 uid=0 gid=0 mtime=0.000000000"
#define SHA_A                                                                  \
	" sha256="                                                             \
	"aa00000000000000000000000000000000000000000000000000000000000000"
#define SHA_B                                                                  \
	" sha256="                                                             \
	"bb00000000000000000000000000000000000000000000000000000000000000"

/* Differences that are told of @got against @want. */
static void expect(const char *want, const char *got, const char *lines,
		   uint64_t count)
{
	struct ek_buf out = EK_BUF_INIT(10000);
	struct ek_manifest_sink *c;
	struct text w, g;
	uint64_t n = 99;

	open_text(&w, want, strlen(want));
	open_text(&g, got, strlen(got));
	assert_int_equal(
		ek_manifest_comparison_new(w.m, note_diff, &out, &c, NULL),
		EK_OK);
	assert_int_equal(ek_manifest_copy(g.m, c, NULL), EK_OK);
	assert_int_equal(ek_manifest_comparison_finish(c, &n, NULL), EK_OK);
	assert_int_equal(ek_buf_append(&out, "", 1, NULL), EK_OK);
	assert_string_equal((char *)out.data, lines);
	assert_int_equal(n, count);
	ek_manifest_comparison_free(c);
	ek_buf_free(&out);
	close_text(&w);
	close_text(&g);
}

static void equal_trees(void **state)
{
	static const char text[] =
		HEAD "/ type=d" COMMON "\n"
		     "/f type=f" COMMON " size=1" SHA_A " xattr:user.x=1\n"
		     "/g link=/f\n"
		     "/l type=l" COMMON " target=f\n";

	(void)state;
	expect(text, text, "", 0);
	expect(HEAD, HEAD, "", 0);
}

static void paths_that_come_and_go(void **state)
{
	(void)state;
	expect(HEAD "/ type=d" COMMON "\n/b type=p" COMMON "\n/d type=p" COMMON
		    "\n/e type=p" COMMON "\n",
	       HEAD "/a type=p" COMMON "\n/b type=p" COMMON "\n/c type=p" COMMON
		    "\n",
	       "/|0|is missing\n"
	       "/a|1|is not expected\n"
	       "/c|1|is not expected\n"
	       "/d|0|is missing\n"
	       "/e|0|is missing\n",
	       5);
	expect(HEAD, HEAD "/ type=d" COMMON "\n", "/|1|is not expected\n", 1);
	expect(HEAD "/ type=d" COMMON "\n", HEAD, "/|0|is missing\n", 1);
}

static void fields(void **state)
{
	(void)state;
	expect(HEAD
	       "/f type=f mode=0644 uid=1 gid=2 mtime=3.000000004 size=5" SHA_A
	       "\n",
	       HEAD
	       "/f type=f mode=4755 uid=6 gid=7 mtime=-8.000000009 size=1" SHA_B
	       "\n",
	       "/f|2|mode is 4755, expected 0644\n"
	       "/f|2|uid is 6, expected 1\n"
	       "/f|2|gid is 7, expected 2\n"
	       "/f|2|mtime is -8.000000009, expected 3.000000004\n"
	       "/f|2|size is 1, expected 5\n"
	       "/f|2|sha256 is bb000000000000000000000000000000"
	       "00000000000000000000000000000000, expected "
	       "aa0000000000000000000000000000000000000000000000000000000000000"
	       "0"
	       "\n",
	       6);
	expect(HEAD "/f type=d" COMMON "\n",
	       HEAD "/f type=l" COMMON " target=x\n",
	       "/f|2|type is l, expected d\n", 1);
	expect(HEAD "/f type=l" COMMON " target=x%20y\n",
	       HEAD "/f type=l" COMMON " target=x%0Ay\n",
	       "/f|2|target is x%0Ay, expected x%20y\n", 1);
	expect(HEAD "/f type=c" COMMON " device=1:2\n",
	       HEAD "/f type=c" COMMON " device=1:3\n",
	       "/f|2|device is 1:3, expected 1:2\n", 1);
}

static void attributes(void **state)
{
	(void)state;
	expect(HEAD "/f type=p" COMMON " xattr:a=1 xattr:c=1 xattr:d=1"
		    " xattr:e=1\n",
	       HEAD "/f type=p" COMMON " xattr:b=1 xattr:c=2 xattr:d=%00%01"
		    " xattr:e=1 xattr:f=\n",
	       "/f|2|xattr a is missing\n"
	       "/f|2|xattr b is there, not expected\n"
	       "/f|2|xattr c has another value\n"
	       "/f|2|xattr d has 2 bytes, expected 1\n"
	       "/f|2|xattr f is there, not expected\n",
	       5);
}

static void links(void **state)
{
	static const char two[] =
		HEAD "/a type=p" COMMON "\n/b type=p" COMMON "\n";

	(void)state;
	expect(two, HEAD "/a type=p" COMMON "\n/b link=/a\n",
	       "/b|2|is a hard link of /a, expected a file of its own\n", 1);
	expect(HEAD "/a type=p" COMMON "\n/b link=/a\n", two,
	       "/b|2|is a file of its own, expected a hard link of /a\n", 1);
	expect(HEAD "/a type=p" COMMON "\n/b type=p" COMMON "\n/c link=/a\n",
	       HEAD "/a type=p" COMMON "\n/b type=p" COMMON "\n/c link=/b\n",
	       "/c|2|is a hard link of /b, expected one of /a\n", 1);
}

static void long_words_are_cut(void **state)
{
	char want[20000], got[20000], lines[1000], zeros[201];

	(void)state;
	snprintf(want, sizeof(want),
		 HEAD "/f type=l" COMMON " target=%09000d\n", 1);
	snprintf(got, sizeof(got), HEAD "/f type=l" COMMON " target=%09000d\n",
		 2);
	memset(zeros, '0', 200);
	zeros[200] = 0;
	snprintf(lines, sizeof(lines), "/f|2|target is %s..., expected %s...\n",
		 zeros, zeros);
	expect(want, got, lines, 1);
}

static ek_status stop(void *arg, const char *path, enum ek_manifest_diff diff,
		      const char *words, struct ek_err *err)
{
	(void)path;
	(void)diff;
	(void)words;
	++*(int *)arg;
	return ek_fail(err, EK_CANCELLED, "enough");
}

static void a_callback_may_stop(void **state)
{
	static const char two[] =
		HEAD "/a type=p" COMMON "\n/b type=p" COMMON "\n";
	struct ek_manifest_sink *c;
	struct text w;
	struct ek_err err;
	uint64_t n;
	int calls = 0;

	(void)state;
	open_text(&w, two, strlen(two));
	assert_int_equal(
		ek_manifest_comparison_new(w.m, stop, &calls, &c, &err), EK_OK);
	assert_int_equal(ek_manifest_comparison_finish(c, &n, &err),
			 EK_CANCELLED);
	assert_string_equal(err.text, "enough");
	assert_int_equal(calls, 1);
	ek_manifest_comparison_free(c);
	ek_manifest_comparison_free(NULL);
	close_text(&w);
}

extern const struct CMUnitTest compare_tests[];
const struct CMUnitTest compare_tests[] = {
	cmocka_unit_test(equal_trees),
	cmocka_unit_test(paths_that_come_and_go),
	cmocka_unit_test(fields),
	cmocka_unit_test(attributes),
	cmocka_unit_test(links),
	cmocka_unit_test(long_words_are_cut),
	cmocka_unit_test(a_callback_may_stop),
	UNIT_END,
};
