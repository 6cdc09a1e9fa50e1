/* SPDX-License-Identifier: Apache-2.0 */

/* The door over a socket on whose other end the test plays the kernel. */

#include "unit.h"

#include "cachefilesd/kernel/door-ops.h"
#include "cachefilesd/kernel/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SIZE 100000u
#define MAX  (1u << 17)

struct box {
	int kernel, fd;
	struct ekd_door *door;
	struct ekd_door_gauge gauge;
	struct ekd_door_request *held[64];
	unsigned n_held;
	bool hold;   /* keep requests instead of answering */
	bool linger; /* the hook comes back after the answer, late (atomic) */
	pthread_mutex_t lock;
	uint8_t reply[MAX];
};

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 131 + offset / 256);
}

static void answer(struct ekd_door_request *request)
{
	uint8_t *to = ekd_door_buffer(request);

	for (size_t i = 0; i < ekd_door_size(request); i++)
		to[i] = byte_at(ekd_door_offset(request) + i);
	ekd_door_answer(request, 0);
}

static void on_read(void *arg, struct ekd_door_request *request)
{
	struct box *box = arg;
	bool hold;

	pthread_mutex_lock(&box->lock);
	hold = box->hold;
	if (hold)
		box->held[box->n_held++] = request;
	pthread_mutex_unlock(&box->lock);
	if (!hold)
		answer(request);
	while (__atomic_load_n(&box->linger, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static void open_box(struct box *box, bool resend, unsigned threads)
{
	const struct ekd_door_kept kept = {.valid = 1,
					   .major = 7,
					   .max_read = EKD_DOOR_READ,
					   .resend = resend};
	const struct ekd_door_hooks hooks = {.arg = box, .read = on_read};
	const struct timeval limit = {.tv_sec = 10};
	int ends[2];

	memset(box, 0, sizeof(*box));
	pthread_mutex_init(&box->lock, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	box->kernel = ends[0];
	box->fd = ends[1];
	setsockopt(box->kernel, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(ekd_door_open(&ekd_door_fuse, box->fd, &kept,
				       &box->gauge, &hooks, threads, &box->door,
				       NULL),
			 EK_OK);
	assert_int_equal(ekd_door_add(box->door, "blob", SIZE, box, NULL),
			 EK_OK);
}

static void close_box(struct box *box)
{
	ekd_door_free(box->door);
	close(box->kernel);
	close(box->fd);
	pthread_mutex_destroy(&box->lock);
}

static void ask(struct box *box, uint32_t opcode, uint64_t unique,
		uint64_t node, const void *body, size_t n)
{
	struct {
		struct fuse_in_header head;
		uint8_t body[256];
	} r = {.head = {.len = (uint32_t)(sizeof(r.head) + n),
			.opcode = opcode,
			.unique = unique,
			.nodeid = node,
			.pid = 5}};

	memcpy(r.body, body, n);
	assert_int_equal(send(box->kernel, &r, r.head.len, 0), r.head.len);
}

/* The next answer; its error, *unique and its body's length. */
static int hear(struct box *box, uint64_t *unique, size_t *n)
{
	struct fuse_out_header head;
	ssize_t got = recv(box->kernel, box->reply, MAX, 0);

	assert_true(got >= (ssize_t)sizeof(head));
	memcpy(&head, box->reply, sizeof(head));
	assert_int_equal(head.len, got);
	*unique = head.unique;
	*n = (size_t)got - sizeof(head);
	memmove(box->reply, box->reply + sizeof(head), *n);
	return head.error;
}

static int call(struct box *box, uint32_t opcode, uint64_t node,
		const void *body, size_t n, size_t *got)
{
	uint64_t unique;
	int error;

	ask(box, opcode, 99, node, body, n);
	error = hear(box, &unique, got);
	assert_int_equal(unique, 99);
	return error;
}

static int read_at(struct box *box, uint64_t node, uint64_t offset,
		   uint32_t size, size_t *got)
{
	struct fuse_read_in in = {.offset = offset, .size = size};

	return call(box, FUSE_READ, node, &in, sizeof(in), got);
}

static void check_bytes(const struct box *box, uint64_t offset, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(box->reply[i], byte_at(offset + i));
}

static void test_reads(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t size, want;
	} cases[] = {
		{0, 1, 1},
		{0, 4096, 4096},
		{12345, 65536, 65536},
		{SIZE - 1, 4096, 1},
		{SIZE, 4096, 0},
		{SIZE + 1, 4096, 0},
		{UINT64_MAX, 4096, 0},
		{0, 0, 0},
		{SIZE - 4096, 8192, 4096},
	};
	uint64_t node = ekd_fuse_node("blob");
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, false, 1);
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			read_at(&box, node, cases[i].offset, cases[i].size, &n),
			0);
		assert_int_equal(n, cases[i].want);
		check_bytes(&box, cases[i].offset, n);
	}
	/* More than a read may be; a file that is not there. */
	assert_int_equal(read_at(&box, node, 0, EKD_DOOR_READ + 1, &n), -EIO);
	assert_int_equal(read_at(&box, node + 1, 0, 4096, &n), -EIO);
	assert_int_equal(box.gauge.waiting, 0);
	close_box(&box);
}

static void test_names(void **state)
{
	uint64_t node = ekd_fuse_node("blob");
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_open_out open_out;
	struct fuse_entry_out entry;
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, false, 2);
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	assert_int_equal(call(&box, FUSE_LOOKUP, 1, "blob", 5, &n), 0);
	memcpy(&entry, box.reply, sizeof(entry));
	assert_int_equal(entry.nodeid, node);
	assert_int_equal(entry.attr.size, SIZE);
	assert_int_equal(call(&box, FUSE_LOOKUP, 1, "bloc", 5, &n), -ENOENT);
	assert_int_equal(call(&box, FUSE_LOOKUP, 1, "..", 3, &n), -ENOENT);
	assert_int_equal(call(&box, FUSE_LOOKUP, node, "blob", 5, &n), -ENOENT);
	assert_int_equal(
		call(&box, FUSE_GETATTR, node, "................", 16, &n), 0);
	assert_int_equal(
		call(&box, FUSE_GETATTR, node ^ 2, "................", 16, &n),
		-ENOENT);
	assert_int_equal(
		call(&box, FUSE_OPEN, node, &open_in, sizeof(open_in), &n), 0);
	memcpy(&open_out, box.reply, sizeof(open_out));
	assert_true(open_out.open_flags & FOPEN_DIRECT_IO);
	open_in.flags = O_RDWR;
	assert_int_equal(
		call(&box, FUSE_OPEN, node, &open_in, sizeof(open_in), &n),
		-EROFS);
	/* What it does not know, and what is no request at all. */
	assert_int_equal(call(&box, 4711, node, "", 0, &n), -ENOSYS);
	assert_int_equal(call(&box, FUSE_INTERRUPT, 0, "........", 8, &n),
			 -ENOSYS);
	assert_int_equal(call(&box, FUSE_READ, node, "short", 5, &n), -EIO);
	close_box(&box);
}

static void wait_held(struct box *box, unsigned wanted)
{
	unsigned n;

	do {
		usleep(1000);
		pthread_mutex_lock(&box->lock);
		n = box->n_held;
		pthread_mutex_unlock(&box->lock);
	} while (n < wanted);
}

/* Answers come later, from another thread, in another order. */
static void test_later(void **state)
{
	uint64_t node = ekd_fuse_node("blob"), unique;
	bool seen[64] = {false};
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, false, 4);
	box.hold = true;
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	for (unsigned i = 0; i < 64; i++) {
		struct fuse_read_in in = {.offset = i * 512, .size = 512};

		ask(&box, FUSE_READ, 1000 + i, node, &in, sizeof(in));
	}
	wait_held(&box, 64);
	assert_int_equal(box.gauge.waiting, 64);
	for (unsigned i = 64; i-- > 0;)
		answer(box.held[i]);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(hear(&box, &unique, &n), 0);
		assert_int_equal(n, 512);
		assert_false(seen[unique - 1000]);
		seen[unique - 1000] = true;
		check_bytes(&box, (unique - 1000) * 512, n);
	}
	close_box(&box);
}

struct removal {
	struct box *box;
	bool done; /* atomic */
};

static void *remove_it(void *arg)
{
	struct removal *removal = arg;

	assert_int_equal(ekd_door_remove(removal->box->door, "blob", NULL),
			 EK_OK);
	__atomic_store_n(&removal->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A file goes when its last read was answered, and not before. */
static void test_remove(void **state)
{
	struct fuse_read_in in = {.size = 512};
	uint64_t node = ekd_fuse_node("blob"), unique;
	struct removal removal;
	pthread_t thread;
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, false, 2);
	box.hold = true;
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	ask(&box, FUSE_READ, 1, node, &in, sizeof(in));
	wait_held(&box, 1);
	removal = (struct removal){.box = &box};
	pthread_create(&thread, NULL, remove_it, &removal);
	/* It is out of the table soon; the read is still under way. */
	while (call(&box, FUSE_GETATTR, node, "................", 16, &n) == 0)
		;
	assert_false(__atomic_load_n(&removal.done, __ATOMIC_ACQUIRE));
	answer(box.held[0]);
	pthread_join(thread, NULL);
	assert_int_equal(hear(&box, &unique, &n), 0);
	assert_int_equal(ekd_door_remove(box.door, "blob", NULL), EK_NOTFOUND);
	close_box(&box);
}

/* Nor before the hook came back: it may use the cookie after the answer. */
static void test_remove_hook(void **state)
{
	uint64_t node = ekd_fuse_node("blob");
	struct removal removal;
	pthread_t thread;
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, false, 2);
	box.linger = true;
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	assert_int_equal(read_at(&box, node, 0, 512, &n), 0);
	removal = (struct removal){.box = &box};
	pthread_create(&thread, NULL, remove_it, &removal);
	while (call(&box, FUSE_GETATTR, node, "................", 16, &n) == 0)
		;
	usleep(50000);
	assert_false(__atomic_load_n(&removal.done, __ATOMIC_ACQUIRE));
	__atomic_store_n(&box.linger, false, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close_box(&box);
}

/* A successor asks for re-delivery first, and echoes what comes. */
static void test_resend(void **state)
{
	struct fuse_read_in in = {.offset = 77, .size = 512};
	uint64_t node = ekd_fuse_node("blob"), unique;
	struct ekd_door_stats stats;
	struct box box;
	size_t n;

	(void)state;
	open_box(&box, true, 1);
	ask(&box, FUSE_READ, 12 | EKD_FUSE_RESENT, node, &in, sizeof(in));
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	assert_int_equal(hear(&box, &unique, &n), EKD_FUSE_NOTIFY_RESEND);
	assert_int_equal(unique, 0);
	assert_int_equal(hear(&box, &unique, &n), 0);
	assert_int_equal(unique, 12 | EKD_FUSE_RESENT);
	check_bytes(&box, 77, n);
	ekd_door_stats(box.door, &stats);
	assert_int_equal(stats.resent, 1);
	close_box(&box);
}

/* Stopped: nothing is taken; what was taken may be left to a successor. */
static void test_stop(void **state)
{
	struct fuse_read_in in = {.size = 512};
	uint64_t node = ekd_fuse_node("blob");
	struct box box;
	char bytes[512];

	(void)state;
	open_box(&box, false, 4);
	box.hold = true;
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	ask(&box, FUSE_READ, 1, node, &in, sizeof(in));
	wait_held(&box, 1);
	ekd_door_stop(box.door);
	ask(&box, FUSE_READ, 2, node, &in, sizeof(in));
	ekd_door_abandon(box.held[0]);
	assert_int_equal(box.gauge.waiting, 0);
	assert_int_equal(recv(box.kernel, bytes, sizeof(bytes), MSG_DONTWAIT),
			 -1);
	/* The second one is still there for whoever comes. */
	assert_true(recv(box.fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
	close_box(&box);
}

/* The other end went: the threads end by themselves. */
static void test_broken(void **state)
{
	struct box box;

	(void)state;
	open_box(&box, false, 2);
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	shutdown(box.kernel, SHUT_RDWR);
	for (int i = 0; i < 10000 && !ekd_door_broken(box.door); i++)
		usleep(1000);
	assert_true(ekd_door_broken(box.door));
	close_box(&box);
}

static void test_options(void **state)
{
	const struct ekd_door_hooks hooks = {.read = on_read};
	struct ekd_door_kept kept = {.valid = 1, .major = 7};
	struct ekd_door *door = NULL;

	(void)state;
	assert_int_equal(ekd_door_open(&ekd_door_fuse, 0, &kept, NULL, &hooks,
				       65, &door, NULL),
			 EK_INVALID);
	kept.major = 6;
	assert_int_equal(ekd_door_open(&ekd_door_fuse, 0, &kept, NULL, &hooks,
				       0, &door, NULL),
			 EK_INVALID);
	kept.major = 7;
	kept.valid = 0;
	assert_int_equal(ekd_door_open(&ekd_door_fuse, 0, &kept, NULL, &hooks,
				       0, &door, NULL),
			 EK_INVALID);
	kept.valid = 1;
	assert_int_equal(ekd_door_open(&ekd_door_fuse, 0, &kept, NULL, &hooks,
				       0, &door, NULL),
			 EK_OK);
	assert_int_equal(ekd_door_add(door, "a/b", 1, NULL, NULL), EK_INVALID);
	assert_int_equal(ekd_door_add(door, "a", UINT64_MAX, NULL, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_door_add(door, "a", 1, NULL, NULL), EK_OK);
	assert_int_equal(ekd_door_add(door, "a", 1, NULL, NULL), EK_EXISTS);
	ekd_door_free(door);
	ekd_door_free(NULL);
}

/* A second kind of door: one request, answered at once. */
struct other {
	struct ekd_door base;
	struct ekd_door_hooks hooks;
	void *cookie;
	int error;
};
static struct other other;

static ek_status other_open(int fd, const struct ekd_door_kept *kept,
			    struct ekd_door_gauge *gauge,
			    const struct ekd_door_hooks *hooks,
			    unsigned threads, struct ekd_door **door,
			    struct ek_err *err);

static ek_status other_add(struct ekd_door *door, const char *name,
			   uint64_t size, void *cookie, struct ek_err *err)
{
	assert_ptr_equal(door, &other.base);
	other.cookie = cookie;
	return size == SIZE ? EK_OK : ek_fail(err, EK_INVALID, "%s", name);
}

static ek_status other_start(struct ekd_door *door, struct ek_err *err)
{
	static uint8_t bytes[10];
	struct ekd_door_request request = {.ops = door->ops,
					   .cookie = other.cookie,
					   .offset = 7,
					   .size = sizeof(bytes),
					   .buffer = bytes};

	(void)err;
	other.hooks.read(other.hooks.arg, &request);
	assert_int_equal(bytes[9], byte_at(16));
	return EK_OK;
}

static void other_answer(struct ekd_door_request *request, int error)
{
	assert_ptr_equal(ekd_door_cookie(request), other.cookie);
	other.error = error;
}

static void other_close(struct ekd_door *door)
{
	door->ops = NULL;
}

static const struct ekd_door_ops other_ops = {
	.open = other_open,
	.add = other_add,
	.start = other_start,
	.close = other_close,
	.answer = other_answer,
};

static ek_status other_open(int fd, const struct ekd_door_kept *kept,
			    struct ekd_door_gauge *gauge,
			    const struct ekd_door_hooks *hooks,
			    unsigned threads, struct ekd_door **door,
			    struct ek_err *err)
{
	(void)kept;
	(void)gauge;
	(void)err;
	assert_int_equal(fd, 5);
	assert_int_equal(threads, 2);
	other = (struct other){
		.base = {&other_ops}, .hooks = *hooks, .error = -1};
	*door = &other.base;
	return EK_OK;
}

/* Whoever reads, answers and closes does not know the kind. */
static void test_kinds(void **state)
{
	struct box box = {.fd = 5};
	const struct ekd_door_hooks hooks = {.arg = &box, .read = on_read};

	(void)state;
	pthread_mutex_init(&box.lock, NULL);
	assert_int_equal(ekd_door_open(&other_ops, 5, NULL, NULL, &hooks, 2,
				       &box.door, NULL),
			 EK_OK);
	assert_int_equal(ekd_door_add(box.door, "blob", 1, &box, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_door_add(box.door, "blob", SIZE, &box, NULL),
			 EK_OK);
	assert_int_equal(ekd_door_start(box.door, NULL), EK_OK);
	assert_int_equal(other.error, 0);
	ekd_door_free(box.door);
	assert_null(other.base.ops);
	pthread_mutex_destroy(&box.lock);
}

const struct CMUnitTest door_tests[] = {cmocka_unit_test(test_reads),
					cmocka_unit_test(test_names),
					cmocka_unit_test(test_later),
					cmocka_unit_test(test_remove),
					cmocka_unit_test(test_remove_hook),
					cmocka_unit_test(test_resend),
					cmocka_unit_test(test_stop),
					cmocka_unit_test(test_broken),
					cmocka_unit_test(test_options),
					cmocka_unit_test(test_kinds),
					UNIT_END};
