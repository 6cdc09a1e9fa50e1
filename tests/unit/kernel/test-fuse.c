/* SPDX-License-Identifier: Apache-2.0 */

/* Requests as bytes, the table of files, listings, the handshake. */

#include "unit.h"

#include "cachefilesd/kernel/fuse.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct fuse_in_header head;
	union {
		struct fuse_read_in read;
		struct fuse_open_in open;
		struct fuse_init_in init;
		char name[64];
	};
};

static size_t fill(struct request *r, uint32_t opcode, size_t body)
{
	r->head.opcode = opcode;
	r->head.unique = 7;
	r->head.nodeid = FUSE_ROOT_ID;
	r->head.pid = 42;
	r->head.len = (uint32_t)(sizeof(r->head) + body);
	return r->head.len;
}

static void test_read(void **state)
{
	struct request r = {.read = {.offset = 1ull << 40, .size = 4096}};
	size_t n = fill(&r, FUSE_READ, sizeof(r.read));
	struct ekd_fuse_in in;

	(void)state;
	assert_int_equal(ekd_fuse_decode(&r, n, &in, NULL), EK_OK);
	assert_int_equal(in.offset, 1ull << 40);
	assert_int_equal(in.size, 4096);
	assert_int_equal(in.pid, 42);
	assert_false(in.resent);
	r.head.unique |= EKD_FUSE_RESENT;
	assert_int_equal(ekd_fuse_decode(&r, n, &in, NULL), EK_OK);
	assert_true(in.resent);
	assert_int_equal(in.unique, r.head.unique);
}

static void test_lengths(void **state)
{
	static const uint32_t ops[] = {FUSE_READ,    FUSE_READDIR, FUSE_OPEN,
				       FUSE_OPENDIR, FUSE_INIT,	   FUSE_LOOKUP};
	struct ekd_fuse_in in;
	struct request r;

	(void)state;
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		memset(&r, 0, sizeof(r));
		/* Nothing behind the header. */
		assert_int_equal(
			ekd_fuse_decode(&r, fill(&r, ops[i], 0), &in, NULL),
			EK_CORRUPT);
		assert_int_equal(in.unique, 7);
		/* The length says more than there is, and less. */
		fill(&r, ops[i], 40);
		assert_int_equal(
			ekd_fuse_decode(&r, sizeof(r.head) + 39, &in, NULL),
			EK_CORRUPT);
		assert_int_equal(
			ekd_fuse_decode(&r, sizeof(r.head) + 41, &in, NULL),
			EK_CORRUPT);
	}
	for (size_t n = 0; n < sizeof(r.head); n++) {
		assert_int_equal(ekd_fuse_decode(&r, n, &in, NULL), EK_CORRUPT);
		assert_int_equal(in.unique, 0);
	}
}

static void test_names(void **state)
{
	struct request r = {.name = "blob"};
	struct ekd_fuse_in in;

	(void)state;
	assert_int_equal(
		ekd_fuse_decode(&r, fill(&r, FUSE_LOOKUP, 5), &in, NULL),
		EK_OK);
	assert_string_equal(in.name, "blob");
	/* Without its NUL, and with one in the middle. */
	assert_int_equal(
		ekd_fuse_decode(&r, fill(&r, FUSE_LOOKUP, 4), &in, NULL),
		EK_CORRUPT);
	assert_int_equal(
		ekd_fuse_decode(&r, fill(&r, FUSE_LOOKUP, 6), &in, NULL),
		EK_CORRUPT);
	assert_true(ekd_fuse_name_ok("sha256-00.a_Z"));
	assert_false(ekd_fuse_name_ok(""));
	assert_false(ekd_fuse_name_ok(".hidden"));
	assert_false(ekd_fuse_name_ok("a/b"));
	assert_false(ekd_fuse_name_ok("a b"));
}

static void test_long_name(void **state)
{
	char name[EKD_DOOR_NAME + 2];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[EKD_DOOR_NAME] = 0;
	assert_true(ekd_fuse_name_ok(name));
	name[EKD_DOOR_NAME] = 'x';
	name[EKD_DOOR_NAME + 1] = 0;
	assert_false(ekd_fuse_name_ok(name));
}

/* A successor of another version must find the same ids. */
static void test_node_ids(void **state)
{
	(void)state;
	/* The first 8 bytes of SHA-256("blob"), little-endian, 63 bits. */
	assert_int_equal(ekd_fuse_node("blob"), 0x3b7681f2c48c2cfaull);
	assert_int_not_equal(ekd_fuse_node("blob"), ekd_fuse_node("blobs"));
	assert_true(ekd_fuse_node("blob") >= EKD_FUSE_FIRST);
	assert_true(ekd_fuse_node("blob") <= INT64_MAX);
}

static void test_table(void **state)
{
	static struct ekd_fuse_table table;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < EKD_FUSE_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(
			ekd_fuse_table_add(&table, name, i, &table, NULL),
			EK_OK);
	}
	assert_int_equal(ekd_fuse_table_add(&table, "one", 1, NULL, NULL),
			 EK_LIMIT);
	assert_int_equal(ekd_fuse_table_add(&table, "f77", 1, NULL, NULL),
			 EK_EXISTS);
	for (uint32_t i = 1; i < table.n; i++)
		assert_true(table.files[i - 1]->node < table.files[i]->node);
	for (unsigned i = 0; i < EKD_FUSE_FILES; i++) {
		struct ekd_fuse_file *file;

		snprintf(name, sizeof(name), "f%u", i);
		file = ekd_fuse_table_find(&table, ekd_fuse_node(name));
		assert_non_null(file);
		assert_int_equal(file->size, i);
		assert_ptr_equal(ekd_fuse_table_take(&table, name), file);
		free(file);
		assert_null(ekd_fuse_table_find(&table, ekd_fuse_node(name)));
	}
	assert_null(ekd_fuse_table_take(&table, "f0"));
	assert_int_equal(table.n, 0);
}

/* How many entries @bytes hold; *last is the offset of the last one. */
static unsigned count_entries(const uint8_t *bytes, size_t n, uint64_t *last)
{
	unsigned count = 0;

	while (n) {
		struct fuse_dirent head;
		size_t size;

		assert_true(n >= FUSE_NAME_OFFSET);
		memcpy(&head, bytes, FUSE_NAME_OFFSET);
		size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + head.namelen);
		assert_true(size <= n);
		*last = head.off;
		bytes += size;
		n -= size;
		count++;
	}
	return count;
}

static void test_readdir(void **state)
{
	static const size_t rooms[] = {64, 200, 4096, 1 << 16};
	static struct ekd_fuse_table table;
	uint8_t *bytes = malloc(1 << 16);
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "sha256-%u", i);
		ekd_fuse_table_add(&table, name, i, NULL, NULL);
	}
	for (unsigned r = 0; r < 4; r++) {
		uint64_t offset = 0;
		unsigned sum = 0, got;
		size_t n;

		do {
			n = ekd_fuse_readdir(&table, offset, bytes, rooms[r]);
			assert_true(n <= rooms[r]);
			got = count_entries(bytes, n, &offset);
			sum += got;
		} while (got);
		assert_int_equal(sum, 102);
	}
	/* Room for none; offsets that nobody gave. */
	assert_int_equal(ekd_fuse_readdir(&table, 0, bytes, 16), 0);
	assert_int_equal(ekd_fuse_readdir(&table, UINT64_MAX, bytes, 4096), 0);
	assert_int_equal(ekd_fuse_readdir(&table, INT64_MAX, bytes, 4096), 0);
	for (uint32_t i = 0; i < table.n; i++)
		free(table.files[i]);
	free(bytes);
}

static void test_init(void **state)
{
	struct ekd_fuse_in in = {
		.major = 7,
		.minor = 45,
		.max_readahead = 131072,
		.features = UINT64_MAX,
	};
	struct ekd_door_kept kept;
	struct fuse_init_out out;

	(void)state;
	ekd_fuse_init(&in, false, &out, &kept);
	assert_int_equal(out.minor, EKD_FUSE_MINOR);
	assert_true(out.flags & FUSE_INIT_EXT);
	assert_true(out.flags2 & (EKD_FUSE_HAS_RESEND >> 32));
	assert_true(kept.resend);
	assert_int_equal(kept.max_read, EKD_DOOR_READ);
	ekd_fuse_init(&in, true, &out, &kept);
	assert_false(kept.resend);
	assert_false(out.flags2 & (EKD_FUSE_HAS_RESEND >> 32));
	/* An old kernel: 6.1 speaks 7.38 and knows no re-delivery. */
	in.minor = 26;
	in.features = FUSE_ASYNC_READ;
	ekd_fuse_init(&in, false, &out, &kept);
	assert_int_equal(out.minor, 26);
	assert_int_equal(out.flags, FUSE_ASYNC_READ);
	assert_int_equal(out.flags2, 0);
	assert_false(kept.resend);
	assert_int_equal(kept.max_read, 32 * 4096);
}

static ek_status shake(const struct request *r, size_t n,
		       struct ekd_door_kept *kept, int *kernel)
{
	ek_status status;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(send(ends[0], r, n, 0), n);
	status = ekd_fuse_handshake(ends[1], false, kept, NULL);
	close(ends[1]);
	*kernel = ends[0];
	return status;
}

static void test_handshake(void **state)
{
	struct request r = {
		.init = {.major = 7, .minor = 45, .flags = FUSE_ASYNC_READ}};
	size_t n = fill(&r, FUSE_INIT, sizeof(r.init));
	struct {
		struct fuse_out_header head;
		struct fuse_init_out out;
	} answer;
	struct ekd_door_kept kept = {0};
	int kernel;

	(void)state;
	assert_int_equal(shake(&r, n, &kept, &kernel), EK_OK);
	assert_int_equal(recv(kernel, &answer, sizeof(answer), 0),
			 sizeof(answer));
	assert_int_equal(answer.head.unique, 7);
	assert_int_equal(answer.head.error, 0);
	assert_int_equal(answer.out.major, 7);
	assert_true(kept.valid);
	close(kernel);

	r.init.major = 8;
	kept.valid = 0;
	assert_int_equal(shake(&r, n, &kept, &kernel), EK_UNSUPPORTED);
	assert_false(kept.valid);
	close(kernel);
	n = fill(&r, FUSE_GETATTR, 16);
	assert_int_equal(shake(&r, n, &kept, &kernel), EK_UNSUPPORTED);
	close(kernel);
}

const struct CMUnitTest fuse_tests[] = {
	cmocka_unit_test(test_read),	  cmocka_unit_test(test_lengths),
	cmocka_unit_test(test_names),	  cmocka_unit_test(test_long_name),
	cmocka_unit_test(test_node_ids),  cmocka_unit_test(test_table),
	cmocka_unit_test(test_readdir),	  cmocka_unit_test(test_init),
	cmocka_unit_test(test_handshake), UNIT_END};
