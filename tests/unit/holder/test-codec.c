/* SPDX-License-Identifier: Apache-2.0 */

/* Every message there and back; every field of it hostile. */

#include "unit.h"

#include "base/bytes.h"
#include "cachefilesd/holder/protocol.h"

#include <stdio.h>

#define HEADER 32u

static uint8_t bytes[EKD_MESSAGE];

static struct ekd_message *new_message(uint32_t op)
{
	struct ekd_message *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->op = op;
	m->seq = 9;
	switch (op) {
	case EKD_OP_OPEN:
		strcpy(m->path, "/a/b c");
		break;
	case EKD_OP_MOUNT:
		strcpy(m->mount.id, "img");
		strcpy(m->mount.target, "/mnt/x");
		m->mount.primary.place = EKD_PLACE_STATE;
		strcpy(m->mount.primary.name, "img/index.erofs");
		m->mount.n_devices = 2;
		m->mount.devices[0].place = EKD_PLACE_DOOR;
		strcpy(m->mount.devices[0].name, "sha256-00");
		m->mount.devices[1].place = EKD_PLACE_STORE;
		strcpy(m->mount.devices[1].name, "sha256-01");
		break;
	case EKD_OP_OVERLAY:
		strcpy(m->overlay.id, "over");
		strcpy(m->overlay.target, "/mnt/x");
		m->overlay.n_lowers = 1;
		strcpy(m->overlay.lowers[0], "img");
		break;
	case EKD_OP_UMOUNT:
		strcpy(m->umount.id, "img");
		break;
	case EKD_OP_CREDENTIALS:
		strcpy(m->host, "registry.example:5000");
		break;
	case EKD_OP_KEEP:
	case EKD_OP_DROP:
	case EKD_OP_CONN:
		m->value = 77;
		break;
	default:
		break;
	}
	return m;
}

static size_t encode(const struct ekd_message *m)
{
	size_t n = 0;

	assert_int_equal(ekd_message_encode(m, bytes, &n, NULL), EK_OK);
	return n;
}

static ek_status decode(size_t n)
{
	/* Exactly as long as it says, for sanitizers. */
	uint8_t *copy = malloc(n ? n : 1);
	struct ekd_message *m = malloc(sizeof(*m));
	ek_status status;

	memcpy(copy, bytes, n);
	status = ekd_message_decode(copy, n, m, NULL);
	free(m);
	free(copy);
	return status;
}

static const uint32_t ops[] = {
	EKD_OP_READY,  EKD_OP_OPEN,	   EKD_OP_MOUNT, EKD_OP_OVERLAY,
	EKD_OP_UMOUNT, EKD_OP_MOUNTS,	   EKD_OP_KEEP,	 EKD_OP_DROP,
	EKD_OP_STOP,   EKD_OP_CREDENTIALS, EKD_OP_CONN,	 EKD_OP_CONFIG,
	EKD_OP_QUIT,   EKD_OP_TAKE,	   EKD_OP_DONE,
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static void test_round_trip(void **state)
{
	struct ekd_message *back = malloc(sizeof(*back));

	(void)state;
	for (unsigned i = 0; i < OPS; i++) {
		struct ekd_message *m = new_message(ops[i]);
		static uint8_t again[EKD_MESSAGE];
		size_t n = encode(m), k;

		assert_int_equal(ekd_message_decode(bytes, n, back, NULL),
				 EK_OK);
		assert_int_equal(back->op, m->op);
		assert_int_equal(back->seq, 9);
		assert_int_equal(back->value, m->value);
		assert_int_equal(ekd_message_encode(back, again, &k, NULL),
				 EK_OK);
		assert_int_equal(k, n);
		assert_memory_equal(again, bytes, n);
		free(m);
	}
	free(back);
}

/* One byte less, one more, and each shorter header. */
static void test_lengths(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OPS; i++) {
		struct ekd_message *m = new_message(ops[i]);
		size_t n = encode(m);

		assert_int_equal(decode(n), EK_OK);
		assert_int_equal(decode(n - 1), EK_CORRUPT);
		bytes[n] = 0;
		assert_int_equal(decode(n + 1), EK_CORRUPT);
		for (size_t k = 0; k < HEADER; k++)
			assert_int_equal(decode(k), EK_CORRUPT);
		ek_put_le32(bytes + 12, (uint32_t)n + 1);
		assert_int_equal(decode(n), EK_CORRUPT);
		free(m);
	}
}

static void test_header(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} bad[] = {
		{0, 0},	 {4, 0},    {4, 99},   {5, 1},	{6, 2},	 {7, 1},
		{16, 1}, {16, 255}, {19, 128}, {20, 5}, {24, 1}, {31, 255},
	};
	struct ekd_message *m = new_message(EKD_OP_UMOUNT);

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = encode(m);

		bytes[bad[i].at] = bad[i].value;
		assert_int_equal(decode(n), EK_CORRUPT);
	}
	free(m);
}

static void test_replies(void **state)
{
	struct ekd_message *m = calloc(1, sizeof(*m));
	size_t n;

	(void)state;
	m->op = EKD_OP_MOUNT;
	m->reply = true;
	m->seq = 3;
	m->status = EK_IO;
	m->sys = 5;
	strcpy(m->text, "no");
	n = encode(m);
	assert_int_equal(decode(n), EK_OK);
	ek_put_le32(bytes + 16, (uint32_t)(EK_DIFFERS - 1)); /* no status */
	assert_int_equal(decode(n), EK_CORRUPT);
	ek_put_le32(bytes + 16, (uint32_t)EK_IO);
	ek_put_le32(bytes + 20, 4096); /* no errno */
	assert_int_equal(decode(n), EK_CORRUPT);
	ek_put_le32(bytes + 20, 5);
	memset(bytes + HEADER, 'x', EKD_TEXT); /* no NUL */
	assert_int_equal(decode(n), EK_CORRUPT);
	/* A notice is never a reply. */
	m->op = EKD_OP_CONN;
	m->status = EK_OK;
	m->sys = 0;
	assert_int_equal(ekd_message_encode(m, bytes, &n, NULL), EK_INVALID);
	assert_int_equal(n, 0);
	free(m);
}

static void test_mounted(void **state)
{
	struct ekd_message *m = new_message(EKD_OP_OVERLAY);
	struct ekd_message *back = malloc(sizeof(*back));
	struct ekd_overlay overlay = m->overlay;
	size_t n;

	(void)state;
	m->op = EKD_OP_MOUNTS;
	m->reply = true;
	m->mounted.is_overlay = true;
	m->mounted.alive = true;
	m->mounted.overlay = overlay;
	n = encode(m);
	assert_int_equal(ekd_message_decode(bytes, n, back, NULL), EK_OK);
	assert_true(back->mounted.is_overlay);
	assert_memory_equal(&back->mounted.overlay, &overlay, sizeof(overlay));
	bytes[n - 1] = 1; /* padding */
	assert_int_equal(decode(n), EK_CORRUPT);
	bytes[n - 1] = 0;
	bytes[HEADER] = 2; /* kind */
	assert_int_equal(decode(n), EK_CORRUPT);
	bytes[HEADER] = 1;
	bytes[HEADER + 4] = 2; /* alive */
	assert_int_equal(decode(n), EK_CORRUPT);
	free(back);
	free(m);
}

/* The fields of MOUNT, one by one. */
static void test_mount_fields(void **state)
{
	const unsigned target = HEADER + EKD_ID, flags = target + EKD_PATH;
	const unsigned primary = flags + 8, first = primary + 4 + EKD_FILE;
	const unsigned source = 4 + EKD_FILE;
	const struct {
		unsigned at;
		uint8_t value;
	} bad[] = {
		{HEADER, 0},	     /* an id of no characters */
		{HEADER, '.'},	     /* a hidden one */
		{HEADER + 1, '/'},   /* a path */
		{HEADER + 10, 'x'},  /* something behind the NUL */
		{target, 'm'},	     /* not absolute */
		{target + 1, '/'},   /* an empty component */
		{target + 2, 10},    /* a newline */
		{target + 500, 'x'}, /* behind the NUL */
		{flags, 16},	     /* an unknown flag */
		{flags + 3, 1},
		{flags + 4, 128}, /* too many devices */
		{flags + 4, 1},	  /* fewer than are named */
		{flags + 4, 3},	  /* more */
		{primary, 0},	  /* none */
		{primary, 4},	  /* an unknown place */
		{primary + 4, 0},
		{primary + 4, '.'},
		{primary + 7, 'x'},
		{first, EKD_PLACE_STATE},
		{first + 4, '/'},
		{first + 4 + 50, 'x'},
		{first + 2 * source, 1},
		{first + 2 * source + 4, 'x'}, /* a name without a place */
	};
	struct ekd_message *m = new_message(EKD_OP_MOUNT);

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = encode(m);

		assert_int_equal(decode(n), EK_OK);
		bytes[bad[i].at] = bad[i].value;
		if (decode(n) != EK_CORRUPT)
			fail_msg("byte %u: %u was taken", bad[i].at,
				 bad[i].value);
	}
	free(m);
}

/* No byte of a message may do harm, whatever it is. */
static void test_each_byte(void **state)
{
	struct ekd_message *back = malloc(sizeof(*back));

	(void)state;
	for (unsigned i = 0; i < OPS; i++) {
		struct ekd_message *m = new_message(ops[i]);
		size_t n = encode(m);

		for (size_t at = 0; at < n; at += at < 2000 ? 1 : 97) {
			uint8_t was = bytes[at];

			for (unsigned v = 0; v < 256; v += 51) {
				bytes[at] = (uint8_t)v;
				if (ekd_message_decode(bytes, n, back, NULL))
					continue;
				/* What is taken can be said again. */
				static uint8_t to[EKD_MESSAGE];
				size_t k;

				assert_int_equal(
					ekd_message_encode(back, to, &k, NULL),
					EK_OK);
				assert_memory_equal(to, bytes, n);
			}
			bytes[at] = was;
		}
		free(m);
	}
	free(back);
}

static void test_words(void **state)
{
	char path[EKD_PATH + 1], id[EKD_ID + 1];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[EKD_PATH - 1] = 0;
	assert_true(ekd_path_ok(path));
	path[EKD_PATH - 1] = 'x';
	path[EKD_PATH] = 0;
	assert_false(ekd_path_ok(path));
	assert_true(ekd_path_ok("/"));
	assert_false(ekd_path_ok(""));
	assert_false(ekd_path_ok("/a/"));
	assert_false(ekd_path_ok("//a"));
	assert_false(ekd_path_ok("/a/../b"));
	assert_false(ekd_path_ok("/a/."));
	assert_true(ekd_path_ok("/a/..b"));
	memset(id, 'x', sizeof(id));
	id[EKD_ID - 1] = 0;
	assert_true(ekd_id_ok(id));
	id[EKD_ID - 1] = 'x';
	id[EKD_ID] = 0;
	assert_false(ekd_id_ok(id));
	assert_true(ekd_host_ok("[::1]:5000"));
	assert_false(ekd_host_ok("-v"));
	assert_false(ekd_host_ok("a b"));
}

const struct CMUnitTest codec_tests[] = {cmocka_unit_test(test_round_trip),
					 cmocka_unit_test(test_lengths),
					 cmocka_unit_test(test_header),
					 cmocka_unit_test(test_replies),
					 cmocka_unit_test(test_mounted),
					 cmocka_unit_test(test_mount_fields),
					 cmocka_unit_test(test_each_byte),
					 cmocka_unit_test(test_words),
					 UNIT_END};
