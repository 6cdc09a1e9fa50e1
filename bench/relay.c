/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A TCP relay that delays each direction: half of a far registry's round trip.
 * What comes in is stamped, kept, and sent on when its time has come, so rate
 * is not limited by the delay.
 *
 * usage: relay LISTEN-ADDRESS PORT TO-ADDRESS PORT DELAY-US
 */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE  (64u << 10)
#define PIECES 512 /* 32 MiB are under way at most */

struct piece {
	int64_t due;
	ssize_t n; /* 0: the end */
	char bytes[PIECE];
};

struct way {
	int from, to;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct piece *pieces[PIECES];
	unsigned head, tail;
};

struct both {
	struct way ways[2];
};

static int64_t delay_us;
static struct sockaddr_in target;

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void *take(void *arg)
{
	struct way *w = arg;
	ssize_t n = 1;

	while (n > 0) {
		struct piece *p = malloc(sizeof(*p));

		if (!p)
			abort();
		n = recv(w->from, p->bytes, PIECE, 0);
		p->n = n > 0 ? n : 0;
		p->due = now_us() + delay_us;
		pthread_mutex_lock(&w->lock);
		while (w->tail - w->head == PIECES)
			pthread_cond_wait(&w->cond, &w->lock);
		w->pieces[w->tail++ % PIECES] = p;
		pthread_cond_broadcast(&w->cond);
		pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

static void send_all(int fd, const char *p, ssize_t n)
{
	while (n > 0) {
		ssize_t did = send(fd, p, (size_t)n, MSG_NOSIGNAL);

		if (did <= 0)
			return;
		p += did;
		n -= did;
	}
}

static void *give(void *arg)
{
	struct way *w = arg;
	ssize_t n = 1;

	while (n > 0) {
		struct timespec at;
		struct piece *p;

		pthread_mutex_lock(&w->lock);
		while (w->tail == w->head)
			pthread_cond_wait(&w->cond, &w->lock);
		p = w->pieces[w->head++ % PIECES];
		pthread_cond_broadcast(&w->cond);
		pthread_mutex_unlock(&w->lock);
		at.tv_sec = p->due / 1000000;
		at.tv_nsec = p->due % 1000000 * 1000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		n = p->n;
		send_all(w->to, p->bytes, n);
		free(p);
	}
	shutdown(w->to, SHUT_WR);
	return NULL;
}

static void *serve(void *arg)
{
	struct both *b = calloc(1, sizeof(*b));
	int one = 1, in = (int)(intptr_t)arg;
	int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_t threads[4];

	if (!b || connect(out, (void *)&target, sizeof(target)) != 0) {
		close(in);
		close(out);
		free(b);
		return NULL;
	}
	setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	b->ways[0] = (struct way){.from = in, .to = out};
	b->ways[1] = (struct way){.from = out, .to = in};
	for (int i = 0; i < 2; i++) {
		pthread_mutex_init(&b->ways[i].lock, NULL);
		pthread_cond_init(&b->ways[i].cond, NULL);
		pthread_create(&threads[2 * i], NULL, take, &b->ways[i]);
		pthread_create(&threads[2 * i + 1], NULL, give, &b->ways[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	close(in);
	close(out);
	free(b);
	return NULL;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	inet_pton(AF_INET, host, &a.sin_addr);
	return a;
}

int main(int argc, char **argv)
{
	struct sockaddr_in here;
	int fd, one = 1;

	if (argc != 6) {
		fprintf(stderr, "usage: relay ADDRESS PORT ADDRESS PORT US\n");
		return 2;
	}
	here = address(argv[1], argv[2]);
	target = address(argv[3], argv[4]);
	delay_us = strtol(argv[5], NULL, 10);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&here, sizeof(here)) != 0 || listen(fd, 64) != 0) {
		perror("relay");
		return 1;
	}
	for (;;) {
		int in = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (in >= 0 && pthread_create(&thread, NULL, serve,
					      (void *)(intptr_t)in) == 0)
			pthread_detach(thread);
	}
}
