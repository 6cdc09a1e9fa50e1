/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/server.h"

#include "cachefilesd/api/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REQUEST_MAX (EKD_HTTP_HEAD_MAX + EKD_HTTP_BODY_MAX)
/* Who does not take an answer for so long is hung up on. */
#define SEND_SECONDS 30
/* For whoever keeps connections, before a request is handled. */
#define KEEP_SECONDS 1
#define EVENTS	     32

struct conn {
	struct ekd_api *api;
	int fd;
	uint64_t id;
	uint64_t kept;	   /* of ekd_keep_add(), or 0 */
	bool busy;	   /* its request is being handled */
	bool continued;	   /* "100 Continue" was sent for the request at hand */
	bool hung_up;	   /* noticed while it was busy */
	bool close;	   /* when it is not busy any more */
	struct conn *next; /* of all */
	struct conn *next_done; /* of those that were answered */
};

struct ekd_api {
	struct ekd_api_options o;
	int epoll, wake;
	pthread_t thread;
	bool started;
	struct ekd_keep *keep;
	struct conn *conns; /* the loop's alone */
	uint64_t next_id;
	char *buffer; /* the loop's: REQUEST_MAX bytes */

	pthread_mutex_t lock;
	struct conn *done;
	uint32_t handling;
	bool stop;
	pthread_cond_t idle;
};

struct task {
	struct conn *conn;
	struct ekd_http_request request;
	char *bytes; /* head, body, NUL */
};

static void wake_up(struct ekd_api *api)
{
	const uint64_t one = 1;

	/* Fails only when the loop is to be woken up anyway. */
	if (write(api->wake, &one, sizeof(one)) < 0)
		return;
}

static bool send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t did = send(fd, bytes, n, MSG_NOSIGNAL);

		if (did < 0 && errno == EINTR)
			continue;
		if (did <= 0)
			return false;
		bytes += did;
		n -= (size_t)did;
	}
	return true;
}

/* Take @n bytes that were looked at out of the socket. */
static bool consume(int fd, char *scratch, size_t n)
{
	while (n) {
		ssize_t did = recv(fd, scratch, n, MSG_DONTWAIT);

		if (did < 0 && errno == EINTR)
			continue;
		if (did <= 0)
			return false;
		n -= (size_t)did;
	}
	return true;
}

/* One piece, so that a small answer is sent whole or not at all. */
static bool send_answer(int fd, const struct ekd_api_answer *a, bool keep_alive)
{
	char *whole = malloc(EKD_HTTP_ANSWER + a->n);
	bool good;
	size_t n;

	if (!whole)
		return false;
	n = ekd_http_answer(whole, a->status, a->type, a->n, keep_alive);
	if (a->n)
		memcpy(whole + n, a->body, a->n);
	good = send_all(fd, whole, n + a->n);
	free(whole);
	return good;
}

static void *run_task(void *arg)
{
	struct task *t = arg;
	struct conn *conn = t->conn;
	struct ekd_api *api = conn->api;
	struct ekd_api_answer a = {.status = 200, .type = "application/json"};

	/* Should this process die with it, a successor has the connection. */
	ekd_keep_wait(api->keep, conn->kept, KEEP_SECONDS);
	api->o.handle(api->o.arg, &t->request, t->bytes + t->request.head, &a);
	if (!send_answer(conn->fd, &a, t->request.keep_alive) ||
	    !consume(conn->fd, t->bytes, t->request.head + t->request.body) ||
	    !t->request.keep_alive)
		conn->close = true;
	free(a.body);
	free(t->bytes);
	free(t);
	pthread_mutex_lock(&api->lock);
	conn->next_done = api->done;
	api->done = conn;
	wake_up(api);
	api->handling--;
	pthread_cond_signal(&api->idle);
	pthread_mutex_unlock(&api->lock);
	return NULL;
}

static void close_conn(struct conn *conn)
{
	struct conn **at = &conn->api->conns;

	while (*at != conn)
		at = &(*at)->next;
	*at = conn->next;
	/* Others have duplicates: closing alone would neither end it here nor
	 * be seen by the peer. */
	epoll_ctl(conn->api->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	shutdown(conn->fd, SHUT_RDWR);
	close(conn->fd);
	ekd_keep_drop(conn->api->keep, conn->id);
	free(conn);
}

/* Answer without a handler and hang up: what follows cannot be read. */
static void refuse(struct conn *conn, unsigned status)
{
	static const char body[] = "{\"code\": \"invalid\", \"message\": "
				   "\"this is no request that can be read\"}\n";
	static const char busy[] = "{\"code\": \"limit\", \"message\": "
				   "\"too many requests at once\"}\n";
	const char *text = status == 503 ? busy : body;
	char head[EKD_HTTP_ANSWER];
	size_t n = ekd_http_answer(head, status, "application/json",
				   strlen(text), false);

	if (send(conn->fd, head, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
		send(conn->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	close_conn(conn);
}

static bool spawn(struct ekd_api *api, struct task *t)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool good;

	pthread_mutex_lock(&api->lock);
	good = api->handling < EKD_API_REQUESTS;
	api->handling += good;
	pthread_mutex_unlock(&api->lock);
	if (!good || pthread_attr_init(&attr) != 0)
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	good = pthread_create(&thread, &attr, run_task, t) == 0;
	pthread_attr_destroy(&attr);
	if (!good) {
		pthread_mutex_lock(&api->lock);
		api->handling--;
		pthread_mutex_unlock(&api->lock);
	}
	return good;
}

static void dispatch(struct conn *conn, size_t n)
{
	struct task *t = malloc(sizeof(*t));
	unsigned status;

	if (t)
		t->bytes = malloc(n + 1);
	if (!t || !t->bytes) {
		free(t);
		refuse(conn, 503);
		return;
	}
	memcpy(t->bytes, conn->api->buffer, n);
	t->bytes[n] = 0;
	t->conn = conn;
	/* Again, since its texts point into the request itself. */
	ekd_http_parse(t->bytes, n, &t->request, &status);
	conn->busy = true;
	conn->continued = false;
	if (spawn(conn->api, t))
		return;
	conn->busy = false;
	free(t->bytes);
	free(t);
	refuse(conn, 503);
}

/* What lies in the socket of a connection that is not busy. */
static void look(struct conn *conn, bool hung_up)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct ekd_http_request request;
	enum ekd_http_parsed parsed;
	unsigned status;
	ssize_t n;

	do
		n = recv(conn->fd, conn->api->buffer, REQUEST_MAX,
			 MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !hung_up)
		return;
	if (n <= 0) {
		close_conn(conn);
		return;
	}
	parsed =
		ekd_http_parse(conn->api->buffer, (size_t)n, &request, &status);
	if (parsed == EKD_HTTP_WRONG) {
		refuse(conn, status);
	} else if (parsed == EKD_HTTP_WHOLE &&
		   (size_t)n >= request.head + request.body) {
		dispatch(conn, request.head + request.body);
	} else if (hung_up) {
		close_conn(conn);
	} else if (parsed == EKD_HTTP_WHOLE && request.expects_continue &&
		   !conn->continued) {
		conn->continued = true;
		send(conn->fd, go_on, sizeof(go_on) - 1,
		     MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static ek_status add_conn(struct ekd_api *api, uint64_t id, int fd, bool keep,
			  struct ek_err *err)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct conn *conn = malloc(sizeof(*conn));
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = conn,
	};

	if (!conn) {
		close(fd);
		return ek_fail(err, EK_NOMEM, "no memory for a connection");
	}
	*conn = (struct conn){.api = api, .fd = fd, .id = id};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (epoll_ctl(api->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		ek_fail_sys(err, errno, "cannot watch a connection");
		close(fd);
		free(conn);
		return EK_IO;
	}
	conn->next = api->conns;
	api->conns = conn;
	if (keep)
		conn->kept = ekd_keep_add(api->keep, id, fd);
	return EK_OK;
}

static void accept_all(struct ekd_api *api)
{
	for (;;) {
		int fd = accept4(api->o.listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			add_conn(api, api->next_id++, fd, true, NULL);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* Out of descriptors: somebody will close one. */
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			usleep(50000);
		return;
	}
}

static void answered(struct ekd_api *api)
{
	struct conn *done, *next;
	uint64_t count;

	if (read(api->wake, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&api->lock);
	done = api->done;
	api->done = NULL;
	pthread_mutex_unlock(&api->lock);
	for (; done; done = next) {
		next = done->next_done;
		done->busy = false;
		if (done->close)
			close_conn(done);
		else
			look(done, done->hung_up);
	}
}

static bool stopping(struct ekd_api *api)
{
	bool stop;

	pthread_mutex_lock(&api->lock);
	stop = api->stop;
	pthread_mutex_unlock(&api->lock);
	return stop;
}

static void *loop(void *arg)
{
	struct ekd_api *api = arg;
	struct epoll_event events[EVENTS];

	while (!stopping(api)) {
		int n = epoll_wait(api->epoll, events, EVENTS, -1);
		bool done = false;

		for (int i = 0; i < n; i++) {
			struct conn *conn = events[i].data.ptr;
			bool hung_up = events[i].events &
				       (EPOLLHUP | EPOLLERR | EPOLLRDHUP);

			if (events[i].data.ptr == &api->o)
				accept_all(api);
			else if (events[i].data.ptr == &api->wake)
				done = true;
			else if (conn->busy)
				conn->hung_up |= hung_up;
			else
				look(conn, hung_up);
		}
		/* Last: it may free connections that had events. */
		if (done)
			answered(api);
	}
	return NULL;
}

static ek_status watch(struct ekd_api *api, int fd, void *what,
		       struct ek_err *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(api->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return ek_fail_sys(err, errno, "cannot watch the API's socket");
	return EK_OK;
}

static ek_status set_up(struct ekd_api *api, struct ek_err *err)
{
	int flags = fcntl(api->o.listener, F_GETFL);
	ek_status s;

	api->epoll = epoll_create1(EPOLL_CLOEXEC);
	api->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (api->epoll < 0 || api->wake < 0 || flags < 0 ||
	    fcntl(api->o.listener, F_SETFL, flags | O_NONBLOCK) < 0)
		return ek_fail_sys(err, errno, "cannot serve the API");
	api->buffer = malloc(REQUEST_MAX);
	if (!api->buffer)
		return ek_fail(err, EK_NOMEM, "no memory for the API");
	s = watch(api, api->o.listener, &api->o, err);
	if (s == EK_OK)
		s = watch(api, api->wake, &api->wake, err);
	if (s == EK_OK)
		s = ekd_keep_new(api->o.keep, api->o.drop, api->o.arg,
				 &api->keep, err);
	return s;
}

ek_status ekd_api_new(const struct ekd_api_options *options,
		      struct ekd_api **api, struct ek_err *err)
{
	struct ekd_api *a = calloc(1, sizeof(*a));
	ek_status s;

	if (!a)
		return ek_fail(err, EK_NOMEM, "no memory for the API");
	a->o = *options;
	a->next_id = options->first_id;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->idle, NULL);
	s = set_up(a, err);
	if (s == EK_OK)
		*api = a;
	else
		ekd_api_free(a);
	return s;
}

ek_status ekd_api_adopt(struct ekd_api *api, uint64_t id, int fd,
			struct ek_err *err)
{
	return add_conn(api, id, fd, false, err);
}

ek_status ekd_api_start(struct ekd_api *api, struct ek_err *err)
{
	int sys = pthread_create(&api->thread, NULL, loop, api);

	if (sys)
		return ek_fail_sys(err, sys, "cannot start the API's thread");
	api->started = true;
	return EK_OK;
}

void ekd_api_free(struct ekd_api *api)
{
	struct conn *conn;

	if (!api)
		return;
	pthread_mutex_lock(&api->lock);
	api->stop = true;
	pthread_mutex_unlock(&api->lock);
	if (api->started) {
		wake_up(api);
		pthread_join(api->thread, NULL);
	}
	pthread_mutex_lock(&api->lock);
	while (api->handling)
		pthread_cond_wait(&api->idle, &api->lock);
	pthread_mutex_unlock(&api->lock);
	ekd_keep_free(api->keep);
	while ((conn = api->conns)) {
		api->conns = conn->next;
		close(conn->fd);
		free(conn);
	}
	if (api->epoll > 0)
		close(api->epoll);
	if (api->wake > 0)
		close(api->wake);
	pthread_cond_destroy(&api->idle);
	pthread_mutex_destroy(&api->lock);
	free(api->buffer);
	free(api);
}
