/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "io/fault.h"

#include <errno.h>

static void sources(void **state)
{
	struct ek_fault fault = {.flip_at = 4, .flip_mask = 0x01};
	struct ek_source *base, *src;
	struct ek_err err;
	char got[11] = "";

	(void)state;
	assert_int_equal(ek_source_from_memory("0123456789", 10, &base, &err),
			 EK_OK);
	assert_int_equal(ek_fault_source(base, &fault, &src, &err), EK_OK);
	assert_int_equal(ek_source_read(src, 0, got, 10, &err), EK_OK);
	assert_string_equal(got, "0123556789");
	assert_int_equal(ek_source_read(src, 5, got, 5, &err), EK_OK);
	assert_memory_equal(got, "56789", 5);
	fault.flip_mask = 0;
	fault.fail_at = 6;
	fault.fail_errno = EIO;
	assert_int_equal(ek_source_read(src, 0, got, 6, &err), EK_OK);
	assert_memory_equal(got, "012345", 6);
	assert_int_equal(ek_source_read(src, 0, got, 7, &err), EK_IO);
	assert_int_equal(err.sys, EIO);
	assert_int_equal(ek_source_read(src, 8, got, 1, &err), EK_IO);
	assert_int_equal(fault.calls, 5);
	ek_source_free(src);
	ek_source_free(base);
}

static void sinks(void **state)
{
	struct ek_fault fault = {.flip_at = 3, .flip_mask = 0x80};
	struct ek_sink *base, *sink;
	struct ek_err err;
	char got[4];
	size_t n;

	(void)state;
	assert_int_equal(ek_sink_in_memory(100, &base, &err), EK_OK);
	assert_int_equal(ek_fault_sink(base, &fault, &sink, &err), EK_OK);
	assert_int_equal(ek_sink_write(sink, 1, "abcd", 4, &err), EK_OK);
	assert_memory_equal(ek_sink_memory(base, &n),
			    "\0ab\xe3"
			    "d",
			    5);
	assert_int_equal(ek_sink_read(sink, 3, got, 2, &err), EK_OK);
	assert_memory_equal(got,
			    "\xe3"
			    "d",
			    2);
	fault.fail_at = 7;
	fault.fail_errno = ENOSPC;
	assert_int_equal(ek_sink_write(sink, 5, "efgh", 4, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	ek_sink_memory(base, &n);
	assert_int_equal(n, 7);
	assert_int_equal(ek_sink_resize(sink, 2, &err), EK_OK);
	assert_int_equal(ek_sink_flush(sink, &err), EK_OK);
	ek_sink_memory(base, &n);
	assert_int_equal(n, 2);
	assert_int_equal(fault.calls, 2);
	ek_sink_free(sink);
	ek_sink_free(base);
}

extern const struct CMUnitTest fault_tests[];
const struct CMUnitTest fault_tests[] = {
	cmocka_unit_test(sources),
	cmocka_unit_test(sinks),
	UNIT_END,
};
