/* SPDX-License-Identifier: Apache-2.0 */

/* The worker's side, with a holder that the test plays. */

#include "unit.h"

#include "cachefilesd/holder/client.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct box {
	int end; /* the holder's */
	struct ekd_holder_fds fds;
	struct ekd_shared *shared;
	struct ekd_holder *client;
	char path[64];
	uint64_t conns;	    /* sum of their ids; atomic */
	int stops, present; /* atomic */
	uint8_t scratch[EKD_MESSAGE];
	struct ekd_message m;
};

static void on_conn(void *arg, uint64_t id, int fd)
{
	struct box *box = arg;

	__atomic_fetch_add(&box->conns, id, __ATOMIC_SEQ_CST);
	close(fd);
}

static void on_stop(void *arg)
{
	__atomic_fetch_add(&((struct box *)arg)->stops, 1, __ATOMIC_SEQ_CST);
}

static void on_present(void *arg, bool there)
{
	__atomic_store_n(&((struct box *)arg)->present, there ? 1 : -1,
			 __ATOMIC_SEQ_CST);
}

static void limit(int fd)
{
	const struct timeval t = {.tv_sec = 20};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static struct box *open_box(void)
{
	struct box *box = calloc(1, sizeof(*box));
	const struct ekd_holder_hooks hooks = {.arg = box,
					       .conn = on_conn,
					       .stop = on_stop,
					       .present = on_present};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	box->end = ends[0];
	limit(box->end);
	box->fds.channel = ends[1];
	assert_int_equal(ekd_shared_make(&box->fds.shared, NULL), EK_OK);
	assert_int_equal(ekd_shared_map(box->fds.shared, &box->shared, NULL),
			 EK_OK);
	snprintf(box->path, sizeof(box->path), "/tmp/ekd-client-%d.sock",
		 (int)getpid());
	unlink(box->path);
	memcpy(at.sun_path, box->path, sizeof(box->path));
	box->fds.listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(
		bind(box->fds.listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(box->fds.listener, 4), 0);
	box->fds.door = open("/dev/null", O_RDWR);
	box->fds.api = open("/dev/zero", O_RDWR);
	assert_int_equal(ekd_holder_connect(&box->fds, box->shared, &hooks,
					    &box->client, NULL),
			 EK_OK);
	return box;
}

static void close_box(struct box *box)
{
	ekd_holder_free(box->client);
	ekd_shared_unmap(box->shared);
	close(box->fds.listener);
	close(box->fds.door);
	close(box->fds.api);
	close(box->fds.shared);
	if (box->end >= 0)
		close(box->end);
	unlink(box->path);
	free(box);
}

/* The next message that the worker says; its descriptors are closed. */
static unsigned hear(struct box *box)
{
	int fds[EKD_MESSAGE_FDS];
	unsigned n;

	assert_int_equal(ekd_message_receive(box->end, &box->m, fds, &n, NULL,
					     box->scratch, NULL),
			 EK_OK);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return n;
}

static void say(struct box *box, uint32_t op, bool reply, uint32_t seq,
		ek_status status, uint64_t value, int fd)
{
	memset(&box->m, 0, sizeof(box->m));
	box->m.op = op;
	box->m.reply = reply;
	box->m.seq = seq;
	box->m.status = status;
	box->m.value = value;
	if (status != EK_OK)
		snprintf(box->m.text, sizeof(box->m.text), "because");
	assert_int_equal(ekd_message_send(box->end, &box->m, &fd, fd >= 0, true,
					  box->scratch, NULL),
			 EK_OK);
}

struct umount {
	struct box *box;
	const char *id;
	ek_status status;
	struct ek_err err;
};

static void *umount_it(void *arg)
{
	struct umount *u = arg;

	u->status = ekd_holder_umount(u->box->client, u->id, 0, &u->err);
	return NULL;
}

/* Several calls at once; replies in another order find their callers. */
static void test_replies(void **state)
{
	static const char *const ids[] = {"a", "b", "c"};
	struct box *box = open_box();
	struct umount calls[3];
	pthread_t threads[3];
	uint32_t seqs[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		calls[i] = (struct umount){.box = box, .id = ids[i]};
		pthread_create(&threads[i], NULL, umount_it, &calls[i]);
		hear(box);
		assert_int_equal(box->m.op, EKD_OP_UMOUNT);
		assert_string_equal(box->m.umount.id, ids[i]);
		seqs[i] = box->m.seq;
	}
	say(box, EKD_OP_UMOUNT, true, seqs[2], EK_OK, 0, -1);
	say(box, EKD_OP_UMOUNT, true, 4711, EK_IO, 0, -1);   /* nobody's */
	say(box, EKD_OP_MOUNT, true, seqs[1], EK_OK, 0, -1); /* of another */
	say(box, EKD_OP_UMOUNT, true, seqs[1], EK_NOTFOUND, 0, -1);
	say(box, EKD_OP_UMOUNT, true, seqs[0], EK_IO, 0, -1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(calls[0].status, EK_IO);
	assert_int_equal(calls[1].status, EK_NOTFOUND);
	assert_string_equal(calls[1].err.text, "because");
	assert_int_equal(calls[2].status, EK_OK);
	close_box(box);
}

struct open_call {
	struct box *box;
	int fd;
	ek_status status;
};

static void *open_it(void *arg)
{
	struct open_call *call = arg;

	call->status =
		ekd_holder_open_local(call->box->client, "/x", &call->fd, NULL);
	return NULL;
}

static void test_descriptor(void **state)
{
	struct box *box = open_box();
	struct open_call call = {.box = box, .fd = -1};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, open_it, &call);
	hear(box);
	say(box, EKD_OP_OPEN, true, box->m.seq, EK_OK, 0, box->fds.api);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_OK);
	assert_true(fcntl(call.fd, F_GETFD) & FD_CLOEXEC);
	close(call.fd);
	/* A success that brings none is none. */
	pthread_create(&thread, NULL, open_it, &call);
	hear(box);
	say(box, EKD_OP_OPEN, true, box->m.seq, EK_OK, 0, -1);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_CORRUPT);
	close_box(box);
}

static void wait_for(int *what, int value)
{
	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) != value)
		usleep(1000);
}

static int new_holder(struct box *box)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	memcpy(to.sun_path, box->path, sizeof(box->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	limit(fd);
	return fd;
}

static void *ready_it(void *arg)
{
	struct box *box = arg;

	assert_int_equal(ekd_holder_ready(box->client, NULL), EK_OK);
	return NULL;
}

static void be_ready(struct box *box)
{
	pthread_t thread;
	uint32_t seq;

	pthread_create(&thread, NULL, ready_it, box);
	hear(box);
	assert_int_equal(box->m.op, EKD_OP_READY);
	seq = box->m.seq;
	/* A connection of the predecessor comes first. */
	say(box, EKD_OP_CONN, false, 0, EK_OK, 5, box->fds.api);
	say(box, EKD_OP_READY, true, seq, EK_OK, 0, -1);
	pthread_join(thread, NULL);
	assert_int_equal(__atomic_load_n(&box->conns, __ATOMIC_SEQ_CST), 5);
}

static void take(struct box *box, unsigned conns)
{
	say(box, EKD_OP_TAKE, false, 3, EK_OK, 0, -1);
	assert_int_equal(hear(box), 4);
	assert_int_equal(box->m.op, EKD_OP_TAKE);
	assert_int_equal(box->m.status, EK_OK);
	assert_int_equal(box->m.hand.role, EKD_ROLE_WORKER);
	assert_int_equal(box->m.hand.pid, getpid());
	assert_int_equal(box->m.hand.conns, conns);
	for (unsigned i = 0; i < conns; i++) {
		assert_int_equal(hear(box), 1);
		assert_int_equal(box->m.op, EKD_OP_CONN);
	}
}

/*
 * The holder dies: who waits is told, a new one comes, gets descriptors and
 * connections, hears that the worker is ready, and can be asked.
 */
static void test_orphan(void **state)
{
	struct box *box = open_box();
	struct umount call = {.box = box, .id = "a"};
	pthread_t thread;

	(void)state;
	be_ready(box);
	pthread_create(&thread, NULL, umount_it, &call);
	hear(box);
	close(box->end);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_IO);
	wait_for(&box->present, -1);
	/* Without a holder connections are only noted. */
	assert_int_equal(
		ekd_holder_keep_conn(box->client, 6, box->fds.api, NULL),
		EK_OK);
	/* One that goes away before it is done: the next one is admitted. */
	box->end = new_holder(box);
	take(box, 2);
	close(box->end);
	/* Who says something else gets nothing. */
	box->end = new_holder(box);
	say(box, EKD_OP_QUIT, false, 0, EK_OK, 0, -1);
	assert_int_equal(recv(box->end, box->scratch, 1, 0), 0);
	close(box->end);
	box->end = new_holder(box);
	take(box, 2);
	say(box, EKD_OP_DONE, false, 0, EK_OK, 0, -1);
	hear(box);
	assert_int_equal(box->m.op, EKD_OP_READY);
	assert_int_equal(box->m.seq, 0);
	wait_for(&box->present, 1);
	pthread_create(&thread, NULL, umount_it, &call);
	hear(box);
	say(box, EKD_OP_UMOUNT, true, box->m.seq, EK_OK, 0, -1);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_OK);
	say(box, EKD_OP_QUIT, false, 0, EK_OK, 0, -1);
	wait_for(&box->stops, 1);
	close_box(box);
}

/* Another holder, which is told that the worker is ready. */
static void succeed(struct box *box, bool ready)
{
	box->end = new_holder(box);
	take(box, 0);
	say(box, EKD_OP_DONE, false, 0, EK_OK, 0, -1);
	if (!ready)
		return;
	hear(box);
	assert_int_equal(box->m.op, EKD_OP_READY);
	assert_int_equal(box->m.seq, 0);
}

/*
 * The holder dies before its worker is up, with or without its request: the
 * next one is asked the same, and hears that the worker is ready.
 */
static void test_start_alone(void **state)
{
	struct box *box = open_box();
	struct open_call call = {.box = box, .fd = -1};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, open_it, &call);
	hear(box);
	close(box->end);
	succeed(box, false);
	hear(box);
	assert_int_equal(box->m.op, EKD_OP_OPEN);
	assert_string_equal(box->m.path, "/x");
	close(box->end);
	succeed(box, false);
	hear(box);
	say(box, EKD_OP_OPEN, true, box->m.seq, EK_OK, 0, box->fds.api);
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_OK);
	close(call.fd);
	/* Nobody need hear READY: whether it is sent or not. */
	pthread_create(&thread, NULL, ready_it, box);
	hear(box);
	close(box->end);
	pthread_join(thread, NULL);
	wait_for(&box->present, -1);
	assert_int_equal(ekd_holder_ready(box->client, NULL), EK_OK);
	succeed(box, true);
	close_box(box);
}

/* Holders die with a request again and again: it ends as well. */
static void test_deaths(void **state)
{
	struct box *box = open_box();
	struct open_call call = {.box = box, .fd = -1};
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, open_it, &call);
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			succeed(box, false);
		hear(box);
		assert_int_equal(box->m.op, EKD_OP_OPEN);
		close(box->end);
	}
	box->end = -1;
	pthread_join(thread, NULL);
	assert_int_equal(call.status, EK_IO);
	close_box(box);
}

/* With nobody to tell, what is kept is kept here: it has the same limit. */
static void test_too_many(void **state)
{
	struct box *box = open_box();

	(void)state;
	close(box->end);
	box->end = -1;
	for (int i = 0;
	     i < 2000 && __atomic_load_n(&box->present, __ATOMIC_SEQ_CST) >= 0;
	     i++)
		usleep(5000);
	for (uint64_t id = 1; id <= EKD_CONNS; id++)
		assert_int_equal(ekd_holder_keep_conn(box->client, id,
						      box->fds.api, NULL),
				 EK_OK);
	assert_int_equal(ekd_holder_keep_conn(box->client, EKD_CONNS + 1,
					      box->fds.api, NULL),
			 EK_LIMIT);
	assert_int_equal(ekd_holder_drop_conn(box->client, 7, NULL), EK_OK);
	assert_int_equal(ekd_holder_keep_conn(box->client, EKD_CONNS + 1,
					      box->fds.api, NULL),
			 EK_OK);
	close_box(box);
}

static void test_arguments(void **state)
{
	static struct ekd_mount mount;
	struct box *box = open_box();
	char path[EKD_PATH + 8], secret[EKD_SECRET];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(ekd_holder_open_local(box->client, path, NULL, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_holder_open_local(box->client, "rel", NULL, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_holder_umount(box->client, "../x", 0, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_holder_mount(box->client, &mount, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_holder_credentials(box->client, "", secret, NULL),
			 EK_INVALID);
	close_box(box);
}

const struct CMUnitTest client_tests[] = {
	cmocka_unit_test(test_replies),	    cmocka_unit_test(test_descriptor),
	cmocka_unit_test(test_orphan),	    cmocka_unit_test(test_too_many),
	cmocka_unit_test(test_start_alone), cmocka_unit_test(test_deaths),
	cmocka_unit_test(test_arguments),   UNIT_END};
