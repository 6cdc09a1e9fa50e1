/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/api/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern const struct CMUnitTest server_tests[];

/* A server at an abstract address, whose handler echoes path and body. */
struct fixture {
	struct ekd_api *api;
	struct sockaddr_un at;
	socklen_t at_n;
	int listener;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool blocked; /* "/wait" waits while this is set */
	unsigned waiting, kept, dropped;
	unsigned kept_then; /* when a request was handled */
	useconds_t slow_us; /* keeping one takes so long */
	bool hangs;	    /* or as long as this is set */
	int kept_fd;
	uint64_t kept_id;
};

static void handle(void *arg, const struct ekd_http_request *r,
		   const char *body, struct ekd_api_answer *a)
{
	struct fixture *f = arg;
	int n;

	pthread_mutex_lock(&f->lock);
	f->kept_then = f->kept;
	if (strcmp(r->path, "/wait") == 0) {
		f->waiting++;
		pthread_cond_broadcast(&f->change);
		while (f->blocked)
			pthread_cond_wait(&f->change, &f->lock);
		f->waiting--;
	}
	pthread_mutex_unlock(&f->lock);
	if (strcmp(r->path, "/nothing") == 0) {
		a->status = 204;
		return;
	}
	a->type = "text/plain";
	n = asprintf(&a->body, "%s:%s", r->path, body);
	a->n = n < 0 ? 0 : (size_t)n;
}

static void keep(void *arg, uint64_t id, int fd)
{
	struct fixture *f = arg;
	useconds_t slow_us;

	pthread_mutex_lock(&f->lock);
	while (f->hangs)
		pthread_cond_wait(&f->change, &f->lock);
	slow_us = f->slow_us;
	pthread_mutex_unlock(&f->lock);
	usleep(slow_us);
	pthread_mutex_lock(&f->lock);
	if (f->kept_fd < 0) {
		f->kept_fd = dup(fd);
		f->kept_id = id;
	}
	f->kept++;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
}

static void drop(void *arg, uint64_t id)
{
	struct fixture *f = arg;

	(void)id;
	pthread_mutex_lock(&f->lock);
	f->dropped++;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
}

static void start(struct fixture *f)
{
	const struct ekd_api_options o = {
		.listener = f->listener,
		.first_id = 100,
		.handle = handle,
		.keep = keep,
		.drop = drop,
		.arg = f,
	};

	assert_int_equal(ekd_api_new(&o, &f->api, NULL), EK_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->kept_fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->change, NULL);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->at.sun_family = AF_UNIX;
	f->at_n = sizeof(f->at.sun_family);
	/* The kernel chooses an abstract address. */
	if (bind(f->listener, (struct sockaddr *)&f->at, f->at_n) != 0 ||
	    listen(f->listener, 100) != 0)
		return -1;
	f->at_n = sizeof(f->at);
	if (getsockname(f->listener, (struct sockaddr *)&f->at, &f->at_n) != 0)
		return -1;
	start(f);
	*state = f;
	return ekd_api_start(f->api, NULL) == EK_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ekd_api_free(f->api);
	close(f->listener);
	if (f->kept_fd >= 0)
		close(f->kept_fd);
	pthread_cond_destroy(&f->change);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	const struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&f->at, f->at_n), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* One answer: its status; the body in @body. */
static unsigned get(int fd, char body[512])
{
	char text[2048];
	size_t n = 0, head = 0, len = 0;
	unsigned status = 0;

	while (n < sizeof(text)) {
		ssize_t got = recv(fd, text + n, 1, 0);

		if (got <= 0)
			return 0;
		n++;
		if (!head && ekd_http_parse_answer(text, n, &status, &head,
						   &len) != EKD_HTTP_WHOLE)
			continue;
		if (n == head + len)
			break;
	}
	memcpy(body, text + head, len);
	body[len] = 0;
	return status;
}

static bool at_end(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0;
}

/* What may end the process is begun when the connection is kept. */
static void kept_before(void **state)
{
	struct fixture *f = *state;
	char body[512];
	int fd;

	pthread_mutex_lock(&f->lock);
	f->slow_us = 50000;
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 1; i < 4; i++) {
		fd = dial(f);
		put(fd, "POST /a HTTP/1.1\r\n\r\n");
		assert_int_equal(get(fd, body), 200);
		pthread_mutex_lock(&f->lock);
		assert_int_equal(f->kept_then, i);
		pthread_mutex_unlock(&f->lock);
		close(fd);
	}
	/* Whoever keeps them is not waited for without end. */
	pthread_mutex_lock(&f->lock);
	f->hangs = true;
	pthread_mutex_unlock(&f->lock);
	fd = dial(f);
	put(fd, "POST /a HTTP/1.1\r\n\r\n");
	assert_int_equal(get(fd, body), 200);
	pthread_mutex_lock(&f->lock);
	assert_int_equal(f->kept_then, 3);
	f->hangs = false;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
	close(fd);
}

static void keep_alive(void **state)
{
	int fd = dial(*state);
	char body[512];

	put(fd, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/a:hi");
	put(fd, "GET /nothing HTTP/1.1\r\n\r\n");
	assert_int_equal(get(fd, body), 204);
	/* In pieces, then two at once. */
	put(fd, "PUT /b HTT");
	usleep(20000);
	put(fd, "P/1.1\r\nContent-Length: 4\r\n\r\nab");
	usleep(20000);
	put(fd, "cdGET /c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n"
		"Connection: close\r\n\r\n");
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/b:abcd");
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/c:");
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/d:");
	assert_true(at_end(fd));
	close(fd);
}

static void large_body(void **state)
{
	char *text = malloc(EKD_HTTP_BODY_MAX + 200), *p = text;
	int fd = dial(*state);
	char head[200];
	size_t n;

	p += snprintf(p, 200, "POST /x HTTP/1.1\r\nContent-Length: %u\r\n\r\n",
		      EKD_HTTP_BODY_MAX);
	memset(p, 'z', EKD_HTTP_BODY_MAX);
	p[EKD_HTTP_BODY_MAX] = 0;
	put(fd, text);
	n = 0;
	while (n < EKD_HTTP_BODY_MAX) {
		ssize_t got = recv(fd, text, EKD_HTTP_BODY_MAX, 0);

		assert_true(got > 0);
		if (!n)
			memcpy(head, text, sizeof(head));
		n += (size_t)got;
	}
	assert_memory_equal(head, "HTTP/1.1 200 OK\r\n", 17);
	free(text);
	close(fd);
}

static void refused(void **state)
{
	int fd = dial(*state);
	char body[512];

	put(fd, "garbage\r\n\r\n");
	assert_int_equal(get(fd, body), 400);
	assert_non_null(strstr(body, "\"code\""));
	close(fd);
	fd = dial(*state);
	put(fd, "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
	assert_int_equal(get(fd, body), 413);
	close(fd);
	fd = dial(*state);
	put(fd, "POST /e HTTP/1.1\r\nExpect: 100-continue\r\n"
		"Content-Length: 1\r\n\r\n");
	assert_int_equal(get(fd, body), 100);
	put(fd, "!");
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/e:!");
	close(fd);
}

/* Idle ones stay, whatever others do. */
static void idle(void **state)
{
	struct fixture *f = *state;
	struct pollfd p = {.fd = dial(f), .events = POLLIN | POLLRDHUP};
	char body[512];

	for (int i = 0; i < 50; i++) {
		int fd = dial(f);

		put(fd, "GET /x HTTP/1.1\r\n\r\n");
		assert_int_equal(get(fd, body), 200);
		close(fd);
	}
	pthread_mutex_lock(&f->lock);
	while (f->kept < 51 || f->dropped < 50)
		pthread_cond_wait(&f->change, &f->lock);
	pthread_mutex_unlock(&f->lock);
	assert_int_equal(poll(&p, 1, 50), 0);
	put(p.fd, "GET /late HTTP/1.1\r\n\r\n");
	assert_int_equal(get(p.fd, body), 200);
	close(p.fd);
}

static void block(struct fixture *f, bool on)
{
	pthread_mutex_lock(&f->lock);
	f->blocked = on;
	pthread_cond_broadcast(&f->change);
	pthread_mutex_unlock(&f->lock);
}

static void wait_waiting(struct fixture *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->waiting < n)
		pthread_cond_wait(&f->change, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* The quick one may count a moment longer than its answer takes. */
static int last_one(struct fixture *f)
{
	for (;;) {
		struct pollfd p = {.fd = dial(f), .events = POLLIN};

		put(p.fd, "GET /wait HTTP/1.1\r\n\r\n");
		while (poll(&p, 1, 5) == 0) {
			bool in;

			pthread_mutex_lock(&f->lock);
			in = f->waiting == EKD_API_REQUESTS;
			pthread_mutex_unlock(&f->lock);
			if (in)
				return p.fd;
		}
		close(p.fd);
	}
}

/* Slow requests hold nobody up until there are too many. */
static void many(void **state)
{
	struct fixture *f = *state;
	int fds[EKD_API_REQUESTS], fd = dial(f);
	char body[512];

	block(f, true);
	for (int i = 0; i < EKD_API_REQUESTS - 1; i++) {
		fds[i] = dial(f);
		put(fds[i], "GET /wait HTTP/1.1\r\n\r\n");
	}
	wait_waiting(f, EKD_API_REQUESTS - 1);
	put(fd, "GET /quick HTTP/1.1\r\n\r\n");
	assert_int_equal(get(fd, body), 200);
	fds[EKD_API_REQUESTS - 1] = last_one(f);
	put(fd, "GET /quick HTTP/1.1\r\n\r\n");
	assert_int_equal(get(fd, body), 503);
	block(f, false);
	for (int i = 0; i < EKD_API_REQUESTS; i++) {
		assert_int_equal(get(fds[i], body), 200);
		close(fds[i]);
	}
	close(fd);
}

/*
 * A request that is being handled lies in its socket still: who has a
 * duplicate of the connection handles it anew.
 */
static void successor(void **state)
{
	struct fixture *f = *state;
	struct ekd_api *old = f->api;
	int fd = dial(f), copy;
	char body[512];

	block(f, true);
	put(fd, "GET /wait HTTP/1.1\r\n\r\n");
	wait_waiting(f, 1);
	pthread_mutex_lock(&f->lock);
	while (f->kept_fd < 0)
		pthread_cond_wait(&f->change, &f->lock);
	copy = dup(f->kept_fd);
	pthread_mutex_unlock(&f->lock);
	start(f);
	assert_int_equal(ekd_api_adopt(f->api, f->kept_id, copy, NULL), EK_OK);
	assert_int_equal(ekd_api_start(f->api, NULL), EK_OK);
	wait_waiting(f, 2);
	block(f, false);
	assert_int_equal(get(fd, body), 200);
	assert_string_equal(body, "/wait:");
	ekd_api_free(old);
	close(fd);
}

/* Gone before, while and after it is answered. */
static void rude(void **state)
{
	struct fixture *f = *state;
	char body[512];
	int fd;

	for (int i = 0; i < 20; i++) {
		fd = dial(f);
		put(fd, i % 2 ? "GET /wa" : "GET /x HTTP/1.1\r\n\r\n");
		close(fd);
	}
	block(f, true);
	fd = dial(f);
	put(fd, "GET /wait HTTP/1.1\r\n\r\nGET /r");
	wait_waiting(f, 1);
	close(fd);
	block(f, false);
	pthread_mutex_lock(&f->lock);
	while (f->dropped < 21)
		pthread_cond_wait(&f->change, &f->lock);
	pthread_mutex_unlock(&f->lock);
	fd = dial(f);
	put(fd, "GET /x HTTP/1.1\r\n\r\n");
	assert_int_equal(get(fd, body), 200);
	close(fd);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

const struct CMUnitTest server_tests[] = {
	WITH(kept_before), WITH(keep_alive), WITH(large_body),
	WITH(refused),	   WITH(idle),	     WITH(many),
	WITH(successor),   WITH(rude),	     UNIT_END,
};
