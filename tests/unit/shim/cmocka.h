/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMOCKA_SHIM_H
#define CMOCKA_SHIM_H

/*
 * The part of cmocka's interface that the unit tests use, for targets that
 * Debian has no cmocka for without another architecture. Only
 * scripts/cross-unit puts this directory on the include path.
 */

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
	const char *name;
	CMUnitTestFunction test_func;
	CMFixtureFunction setup_func;
	CMFixtureFunction teardown_func;
	void *initial_state;
};

/* Where a failed or skipped test goes: 1 failed, 2 skipped. */
extern jmp_buf shim_out;

static inline void shim_check(int ok, const char *what, const char *file,
			      int line)
{
	if (ok)
		return;
	printf("# %s:%d: %s\n", file, line, what);
	longjmp(shim_out, 1);
}

static inline void shim_equal(unsigned long long a, unsigned long long b,
			      int want, const char *what, const char *file,
			      int line)
{
	if ((a == b) == (want != 0))
		return;
	printf("# %#llx, %#llx\n", a, b);
	shim_check(0, what, file, line);
}

#define SHIM_CHECK(ok, what)  shim_check((ok) != 0, what, __FILE__, __LINE__)
#define SHIM_NUM(x)	      ((unsigned long long)(x))
#define SHIM_EQ(a, b, w, txt) shim_equal(a, b, w, txt, __FILE__, __LINE__)

#define assert_true(c)	   SHIM_CHECK(c, #c)
#define assert_false(c)	   SHIM_CHECK(!(c), "!(" #c ")")
#define assert_null(p)	   SHIM_CHECK((p) == NULL, #p " is NULL")
#define assert_non_null(p) SHIM_CHECK((p) != NULL, #p " is not NULL")
#define assert_ptr_equal(a, b)                                                 \
	SHIM_CHECK((const void *)(a) == (const void *)(b), #a " == " #b)
#define assert_ptr_not_equal(a, b)                                             \
	SHIM_CHECK((const void *)(a) != (const void *)(b), #a " != " #b)
#define assert_int_equal(a, b)                                                 \
	SHIM_EQ(SHIM_NUM(a), SHIM_NUM(b), 1, #a " == " #b)
#define assert_int_not_equal(a, b)                                             \
	SHIM_EQ(SHIM_NUM(a), SHIM_NUM(b), 0, #a " != " #b)
#define assert_string_equal(a, b) SHIM_CHECK(strcmp(a, b) == 0, #a " == " #b)
#define assert_string_not_equal(a, b)                                          \
	SHIM_CHECK(strcmp(a, b) != 0, #a " != " #b)
#define assert_memory_equal(a, b, n)                                           \
	SHIM_CHECK(memcmp(a, b, n) == 0, #a " == " #b)
#define assert_memory_not_equal(a, b, n)                                       \
	SHIM_CHECK(memcmp(a, b, n) != 0, #a " != " #b)
#define assert_in_range(v, lo, hi)                                             \
	SHIM_CHECK(SHIM_NUM(v) >= SHIM_NUM(lo) && SHIM_NUM(v) <= SHIM_NUM(hi), \
		   #v " in " #lo ".." #hi)
#define fail_msg(...)                                                          \
	do {                                                                   \
		printf("# " __VA_ARGS__);                                      \
		printf("\n");                                                  \
		SHIM_CHECK(0, "fail_msg");                                     \
	} while (0)
#define fail() SHIM_CHECK(0, "fail()")
#define skip() longjmp(shim_out, 2)

#define cmocka_unit_test(f)                                                    \
	{                                                                      \
#f, f, NULL, NULL, NULL                                        \
	}
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                    \
	{                                                                      \
#f, f, setup, teardown, NULL                                   \
	}

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests,
			    size_t n, CMFixtureFunction setup,
			    CMFixtureFunction teardown);

#ifdef CMOCKA_SHIM_MAIN
jmp_buf shim_out;

static int shim_one(const struct CMUnitTest *t, size_t k)
{
	void *state = t->initial_state;
	volatile int how = 0;

	if (t->setup_func && t->setup_func(&state))
		how = 1;
	if (!how) {
		how = setjmp(shim_out);
		if (!how)
			t->test_func(&state);
	}
	if (t->teardown_func && t->teardown_func(&state))
		how = 1;
	printf("%sok %zu - %s%s\n", how == 1 ? "not " : "", k, t->name,
	       how == 2 ? " # SKIP" : "");
	return how == 1;
}

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests,
			    size_t n, CMFixtureFunction setup,
			    CMFixtureFunction teardown)
{
	int failed = 0;

	(void)setup;
	(void)teardown;
	printf("# %s\n1..%zu\n", group, n);
	for (size_t i = 0; i < n; i++)
		failed += shim_one(&tests[i], i + 1);
	return failed;
}
#endif

#endif
