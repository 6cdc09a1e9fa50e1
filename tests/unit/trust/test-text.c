/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "unit.h"

#include "trust/manifest.h"

#include <stdio.h>
#include <sys/stat.h>

#define HEAD  "erofskit-manifest 1\n"
#define ROOT  "/ type=d mode=0755 uid=0 gid=0 mtime=0.000000000\n"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* Every kind of entry and every escape, in canonical form. */
static const char good[] = HEAD
	"/ type=d mode=0755 uid=0 gid=0 mtime=1700000000.000000000\n"
	"/a type=d mode=1777 uid=4294967295 gid=65536 mtime=-5.000000001"
	" xattr:trusted.e= xattr:user.a%3Db=x%00%FF%20y xattr:user.ab=z\n"
	"/a/f type=f mode=4755 uid=1 gid=2 mtime=-9223372036854775808.999999999"
	" size=18446744073709551615 sha256=00112233445566778899aabbccddeeff"
	"00112233445566778899aabbccddeeff\n"
	"/a-b type=p mode=0000 uid=0 gid=0 "
	"mtime=9223372036854775807.000000000\n"
	"/a.g link=/a/f\n"
	"/b type=b mode=0600 uid=0 gid=0 mtime=0.000000000 device=259:1048575\n"
	"/c type=c mode=0600 uid=0 gid=0 mtime=0.000000000 device=0:0\n"
	"/l type=l mode=0777 uid=0 gid=0 mtime=0.000000000 target=..%2F\n";

static ek_status copy(const char *text, size_t n, struct ek_buf *out,
		      struct ek_err *err)
{
	struct ek_manifest_sink *writer;
	struct ek_source *src;
	struct ek_manifest *m;
	ek_status status;

	assert_int_equal(ek_source_from_memory(text, n, &src, NULL), EK_OK);
	status = ek_manifest_open(src, &m, err);
	if (status == EK_OK) {
		assert_int_equal(
			ek_manifest_writer_new(to_buf, out, &writer, NULL),
			EK_OK);
		status = ek_manifest_copy(m, writer, err);
		if (status == EK_OK)
			status = ek_manifest_writer_finish(writer, err);
		ek_manifest_writer_free(writer);
	}
	ek_manifest_free(m);
	ek_source_free(src);
	return status;
}

static void canonical_text_comes_back(void **state)
{
	struct ek_buf out = EK_BUF_INIT(1 << 20);
	/* A '/' is never escaped: this one line is not canonical. */
	char *text = strdup(good), *wrong;
	struct ek_err err;

	(void)state;
	assert_non_null(text);
	assert_int_equal(copy(text, strlen(text), &out, &err), EK_CORRUPT);
	assert_string_equal(err.text, "line 9: size, digest, target or device "
				      "is wrong");
	out.len = 0;
	wrong = strstr(text, "%2F");
	memmove(wrong, wrong + 2, strlen(wrong + 2) + 1);
	*wrong = '/';
	assert_int_equal(copy(text, strlen(text), &out, &err), EK_OK);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
	free(text);
	ek_buf_free(&out);
}

static void entries_are_what_was_written(void **state)
{
	struct ek_manifest_entry e;
	struct text t;
	bool more;

	(void)state;
	open_text(&t, good, strlen(good));
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_string_equal(e.path, "/");
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_true(more);
	assert_int_equal(e.mode, S_IFDIR | 01777);
	assert_true(e.uid == UINT32_MAX && e.gid == 65536);
	assert_true(e.mtime == -5 && e.mtime_nsec == 1);
	assert_int_equal(e.n_xattrs, 3);
	assert_int_equal(e.xattrs[0].value_len, 0);
	assert_string_equal(e.xattrs[1].name, "user.a=b");
	assert_int_equal(e.xattrs[1].value_len, 5);
	assert_memory_equal(e.xattrs[1].value, "x\0\xff y", 5);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_true(e.mtime == INT64_MIN && e.size == UINT64_MAX);
	assert_int_equal(e.sha256[1], 0x11);
	assert_int_equal(e.n_xattrs, 0);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_int_equal(e.mode, S_IFIFO);
	assert_true(e.mtime == INT64_MAX);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_string_equal(e.link, "/a/f");
	close_text(&t);
}

static void wrong(const char *text, ek_status want)
{
	struct ek_buf out = EK_BUF_INIT(1 << 20);
	struct ek_err err;

	err.text[0] = 0;
	if (copy(text, strlen(text), &out, &err) != want) {
		print_message("# %s", text);
		fail();
	}
	assert_true(strlen(err.text) > 5);
	ek_buf_free(&out);
}

/* What comes after the path of a file "/f". */
static void wrong_file(const char *rest)
{
	char text[1000];

	snprintf(text, sizeof(text), HEAD ROOT "/f %s\n", rest);
	wrong(text, EK_CORRUPT);
}

static void other_spellings_are_refused(void **state)
{
	(void)state;
	wrong("", EK_CORRUPT);
	wrong("erofskit-manifest", EK_CORRUPT);
	wrong("erofskit-manifest 1", EK_CORRUPT);
	wrong("other-manifest 1\n", EK_CORRUPT);
	wrong("erofskit-manifest 2\n", EK_UNSUPPORTED);
	wrong("erofskit-manifest 11\n", EK_UNSUPPORTED);
	wrong(HEAD "\n", EK_CORRUPT);
	wrong(HEAD "/ type=d mode=0755 uid=0 gid=0 mtime=0.000000000",
	      EK_CORRUPT);
	wrong(HEAD "a type=d mode=0755 uid=0 gid=0 mtime=0.000000000\n",
	      EK_CORRUPT);
	wrong(HEAD ROOT ROOT, EK_CORRUPT);
	wrong_file("");
	wrong_file("type=x mode=0755 uid=0 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=755 uid=0 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0855 uid=0 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=00 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=+1 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=4294967296 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 gid=0 uid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=0 gid= mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.00000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=-0.000000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.0000000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.000000000 ");
	wrong_file("type=p  mode=0755 uid=0 gid=0 mtime=0.000000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 "
		   "mtime=9223372036854775808.000000000");
	wrong_file("type=p mode=0755 uid=0 gid=0 "
		   "mtime=-9223372036854775809.000000000");
	wrong_file("type=f mode=0755 uid=0 gid=0 mtime=0.000000000");
	wrong_file("type=f mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "size=18446744073709551616 sha256=" ZEROS);
	wrong_file("type=f mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "size=0 sha256=" ZEROS "0");
	wrong_file("type=f mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "size=0 sha256=A" ZEROS);
	wrong_file("type=l mode=0755 uid=0 gid=0 mtime=0.000000000 target=");
	wrong_file("type=l mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "target=a%00b");
	wrong_file("type=b mode=0755 uid=0 gid=0 mtime=0.000000000 device=1");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "xattr:=x");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "xattr:user.a");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "xattr:user.b=x xattr:user.a=x");
	wrong_file("type=p mode=0755 uid=0 gid=0 mtime=0.000000000 "
		   "xattr:user.a=x xattr:user.a=x");
	wrong_file("link=/g");
	wrong_file("link=/f");
	wrong_file("link=/ type=p");
	wrong_file("link=");
}

static void escapes_have_one_form(void **state)
{
	static const char *const bad[] = {"%",	  "%4",	   "%zz",  "%ff",
					  "%41",  "a%2Fb", " ",	   "=",
					  "\x7f", "\t",	   "\xc3", "%%"};
	uint8_t all[255], back[765], text[8];
	struct ek_buf out = EK_BUF_INIT(1000);
	size_t n;

	(void)state;
	for (size_t i = 0; i < 255; i++)
		all[i] = (uint8_t)(i + 1);
	assert_int_equal(ek_manifest_escape(&out, all, 255, NULL), EK_OK);
	assert_true(out.len <= sizeof(back));
	assert_true(ek_manifest_unescape((char *)out.data, out.len, back, &n));
	assert_int_equal(n, 255);
	assert_memory_equal(back, all, 255);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(
			ek_manifest_unescape(bad[i], strlen(bad[i]), text, &n));
	out.len = 0;
	assert_int_equal(ek_manifest_escape(&out, all, 0, NULL), EK_OK);
	assert_int_equal(out.len, 0);
	ek_buf_free(&out);
	out = EK_BUF_INIT(5);
	assert_int_equal(ek_manifest_escape(&out, "a  ", 3, NULL), EK_LIMIT);
	ek_buf_free(&out);
}

static void order_puts_slashes_first(void **state)
{
	static const char *const sorted[] = {"/",    "/a",     "/a/b", "/a/b/c",
					     "/a/c", "/a\x01", "/a-",  "/a.b",
					     "/a0",  "/b",     "/\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++)
		for (size_t k = 0; k < sizeof(sorted) / sizeof(sorted[0]);
		     k++) {
			int order = ek_manifest_order(sorted[i], sorted[k]);

			assert_int_equal((order > 0) - (order < 0),
					 (i > k) - (i < k));
		}
}

static void paths_are_absolute_and_plain(void **state)
{
	static const char *const bad[] = {
		"", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/../b", "/./a"};
	static const char *const ok[] = {"/", "/a", "/a/b", "/...", "/.a/..b"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(ek_manifest_path_ok(bad[i]));
	for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++)
		assert_true(ek_manifest_path_ok(ok[i]));
}

static void writers_refuse_what_readers_would(void **state)
{
	struct ek_manifest_xattr x[2] = {{"user.b", 6, NULL, 0},
					 {"user.a", 6, NULL, 0}};
	struct ek_manifest_entry e = {.path = "/", .mode = S_IFDIR | 0755};
	struct ek_buf out = EK_BUF_INIT(1000);
	struct ek_manifest_sink *w;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_manifest_writer_new(to_buf, &out, &w, &err), EK_OK);
	assert_int_equal(w->add(w, &e, &err), EK_OK);
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	e.path = "/l";
	e.mode = S_IFLNK | 0777;
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	e.mode = 0777;
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	e.mode = S_IFSOCK;
	e.mtime_nsec = 1000000000;
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	e.mtime_nsec = 0;
	e.xattrs = x;
	e.n_xattrs = 2;
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	e.n_xattrs = 1;
	assert_int_equal(w->add(w, &e, &err), EK_OK);
	e.path = "/a";
	assert_int_equal(w->add(w, &e, &err), EK_INVALID);
	assert_int_equal(ek_manifest_writer_finish(w, &err), EK_OK);
	assert_int_equal(out.len,
			 strlen(HEAD ROOT "/l type=s mode=0000 uid=0 gid=0 "
					  "mtime=0.000000000 xattr:user.b=\n"));
	ek_manifest_writer_free(w);
	ek_buf_free(&out);
}

/* Longer than what is read at once, and longer than is allowed. */
static void long_lines(void **state)
{
	size_t n = 3u << 20, most = EK_MANIFEST_LINE_MAX + 10;
	struct ek_manifest_xattr x = {"user.a", 6, NULL, 0};
	struct ek_manifest_entry e = {
		.path = "/", .mode = S_IFDIR, .xattrs = &x, .n_xattrs = 1};
	uint8_t *value = malloc(most);
	struct ek_buf out = EK_BUF_INIT(40u << 20);
	struct ek_manifest_sink *w;
	struct text t;
	bool more;

	(void)state;
	assert_non_null(value);
	memset(value, 'v', most);
	x.value = value;
	x.value_len = most;
	assert_int_equal(ek_manifest_writer_new(to_buf, &out, &w, NULL), EK_OK);
	assert_int_equal(w->add(w, &e, NULL), EK_LIMIT);
	x.value_len = n;
	assert_int_equal(w->add(w, &e, NULL), EK_OK);
	assert_int_equal(ek_manifest_writer_finish(w, NULL), EK_OK);
	ek_manifest_writer_free(w);
	open_text(&t, (char *)out.data, out.len);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_int_equal(e.xattrs[0].value_len, n);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_OK);
	assert_false(more);
	close_text(&t);
	out.len--;
	while (out.len < EK_MANIFEST_LINE_MAX + 100)
		assert_int_equal(ek_buf_append(&out, value, n, NULL), EK_OK);
	open_text(&t, (char *)out.data, out.len);
	assert_int_equal(ek_manifest_next(t.m, &e, &more, NULL), EK_CORRUPT);
	close_text(&t);
	ek_buf_free(&out);
	free(value);
}

extern const struct CMUnitTest text_tests[];
const struct CMUnitTest text_tests[] = {
	cmocka_unit_test(canonical_text_comes_back),
	cmocka_unit_test(entries_are_what_was_written),
	cmocka_unit_test(other_spellings_are_refused),
	cmocka_unit_test(escapes_have_one_form),
	cmocka_unit_test(order_puts_slashes_first),
	cmocka_unit_test(paths_are_absolute_and_plain),
	cmocka_unit_test(writers_refuse_what_readers_would),
	cmocka_unit_test(long_lines),
	UNIT_END,
};
