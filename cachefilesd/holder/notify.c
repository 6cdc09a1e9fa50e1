/* SPDX-License-Identifier: Apache-2.0 */

/* The service manager's protocol: what is told to $NOTIFY_SOCKET, and the
 * descriptors that it keeps while nobody of us lives. */

#include "cachefilesd/holder/priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* of those that it gives back */
#define MOST_FDS 64

static const char *const names[] = {"door", "shared", "api", "listener"};

static void send_text(const char *text, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	union {
		const char *from;
		char *to;
	} word = {.from = text};
	struct iovec iov = {.iov_base = word.to, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	size_t n;
	int sock;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	n = strnlen(path, sizeof(to.sun_path));
	if (n == sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@') /* a name without a file */
		to.sun_path[0] = 0;
	msg.msg_namelen =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	sendmsg(sock, &msg, MSG_NOSIGNAL);
	close(sock);
}

void ekd_notify(const char *text)
{
	send_text(text, -1);
}

void ekd_notify_watch(struct ekd_state *h)
{
	const char *every = getenv("WATCHDOG_USEC");
	const char *whom = getenv("WATCHDOG_PID");

	if (!every || (whom && strtol(whom, NULL, 10) != getpid()))
		return;
	h->alive_ms = strtoll(every, NULL, 10) / 1000 / 2;
	if (h->alive_ms > 0)
		h->alive_at = 1;
}

void ekd_notify_alive(struct ekd_state *h)
{
	int64_t now = ekd_now_ms();

	if (!h->alive_at || now < h->alive_at)
		return;
	ekd_notify("WATCHDOG=1");
	h->alive_at = now + h->alive_ms;
}

static void store(const char *name, int fd)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	send_text(text, fd);
}

static void forget(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	send_text(text, -1);
}

void ekd_notify_store(struct ekd_state *h)
{
	const int fds[] = {h->door, h->shared_fd, h->api, h->listener};

	/* What is left there is of a service that is gone. */
	ekd_notify_forget();
	for (unsigned i = 0; i < 4; i++)
		store(names[i], fds[i]);
}

void ekd_notify_door(struct ekd_state *h)
{
	forget(names[0]);
	if (h->door >= 0)
		store(names[0], h->door);
}

void ekd_notify_forget(void)
{
	for (unsigned i = 0; i < 4; i++)
		forget(names[i]);
}

/* The number of name @i in the list "a:b:c"; -1: none. */
static int find_name(const char *list, const char *name)
{
	int fd = FIRST_FD;

	while (*list && fd < FIRST_FD + MOST_FDS) {
		size_t n = strcspn(list, ":");

		if (n == strlen(name) && strncmp(list, name, n) == 0)
			return fd;
		list += n + (list[n] == ':');
		fd++;
	}
	return -1;
}

/* Whoever stopped the service took its names away. */
static bool have_names(const struct ekd_state *h)
{
	struct stat st;

	if (fstatat(h->run_fd, "holder.sock", &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISSOCK(st.st_mode))
		return false;
	/* It has the other one until a worker was ready. */
	if (fstatat(h->run_fd, "api.sock", &st, AT_SYMLINK_NOFOLLOW) != 0 &&
	    fstatat(h->run_fd, ".api.sock", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	return S_ISSOCK(st.st_mode);
}

/* A door that nobody reads would let its readers wait for ever. */
void ekd_notify_useless(struct ekd_state *h)
{
	int *const had[] = {&h->door, &h->shared_fd, &h->api, &h->listener};

	for (unsigned i = 0; i < 4; i++) {
		if (*had[i] >= 0)
			close(*had[i]);
		*had[i] = -1;
	}
	ekd_notify_forget();
}

void ekd_notify_adopt(struct ekd_state *h, bool *found)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *list = getenv("LISTEN_FDNAMES");
	int *const to[] = {&h->door, &h->shared_fd, &h->api, &h->listener};
	unsigned n = 0;
	long end;

	*found = false;
	if (!pid || !count || !list || strtol(pid, NULL, 10) != getpid())
		return;
	end = strtol(count, NULL, 10);
	for (unsigned i = 0; i < 4; i++) {
		int fd = find_name(list, names[i]);

		if (fd < 0 || fd - FIRST_FD >= end ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			continue;
		*to[i] = fd;
		n++;
	}
	*found = n == 4 && have_names(h);
	if (n && !*found)
		ekd_notify_useless(h);
}
