/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/client.h"

#include "base/try.h"
#include "cachefilesd/api/http.h"
#include "cachefilesd/config/config.h"
#include "cachefilesd/config/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Where the daemon listens: option, run directory, configuration, default. */
static ek_status find_socket(const struct ekd_options *o, char to[108],
			     struct ek_err *err)
{
	struct ekd_config config = {0};
	const char *run_dir = o->text[OPT_RUN_DIR];
	int n;

	if (!o->text[OPT_SOCKET] && !run_dir) {
		EK_TRY(ekd_config_read(o->text[OPT_CONFIG], &config, err));
		run_dir = config.run_dir;
	}
	if (o->text[OPT_SOCKET])
		n = snprintf(to, 108, "%s", o->text[OPT_SOCKET]);
	else
		n = snprintf(to, 108, "%s/api.sock", run_dir);
	ekd_config_release(&config);
	if (n >= 108)
		return ek_fail(err, EK_LIMIT, "the socket's path is too long");
	return EK_OK;
}

static ek_status dial(const struct ekd_options *o, int *fd, struct ek_err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int sys;

	EK_TRY(find_socket(o, at.sun_path, err));
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "socket");
	if (connect(*fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return EK_OK;
	sys = errno;
	close(*fd);
	if (sys == ENOENT || sys == ECONNREFUSED)
		return ek_fail(err, EK_IO,
			       "no daemon at %s: start it with "
			       "'erofs-cachefilesd run'",
			       at.sun_path);
	if (sys == EACCES || sys == EPERM)
		return ek_fail(err, EK_IO, "%s: only root may talk to it",
			       at.sun_path);
	return ek_fail_sys(err, sys, "%s", at.sun_path);
}

static ek_status send_all(int fd, const char *bytes, size_t n,
			  struct ek_err *err)
{
	while (n) {
		ssize_t did = send(fd, bytes, n, MSG_NOSIGNAL);

		if (did < 0 && errno == EINTR)
			continue;
		if (did <= 0)
			return ek_fail_sys(err, errno,
					   "the daemon took no request");
		bytes += did;
		n -= (size_t)did;
	}
	return EK_OK;
}

static ek_status send_request(int fd, const char *method, const char *path,
			      struct json_object *json, struct ek_err *err)
{
	const char *body = json ? json_object_to_json_string_ext(
					  json, JSON_C_TO_STRING_PLAIN)
				: "";
	char *text;
	ek_status s;
	int n;

	if (strlen(body) > EKD_HTTP_BODY_MAX)
		return ek_fail(err, EK_LIMIT, "too much for one request");
	n = asprintf(&text,
		     "%s %s HTTP/1.1\r\nHost: unix\r\n"
		     "Content-Type: application/json\r\n"
		     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		     method, path, strlen(body), body);
	if (n < 0)
		return ek_fail(err, EK_NOMEM, "no memory for a request");
	s = send_all(fd, text, (size_t)n, err);
	free(text);
	return s;
}

/* Room for at least one more byte and a NUL. */
static ek_status grow(char **bytes, size_t n, size_t *room, struct ek_err *err)
{
	char *more;

	if (n + 1 < *room)
		return EK_OK;
	if (*room >= EKD_ANSWER_MAX)
		return ek_fail(err, EK_LIMIT, "the answer is too long");
	more = realloc(*bytes, *room ? 2 * *room : 16384);
	if (!more)
		return ek_fail(err, EK_NOMEM, "no memory for an answer");
	*bytes = more;
	*room = *room ? 2 * *room : 16384;
	return EK_OK;
}

/* Whether @bytes hold an answer to its end, as far as that is told. */
static bool is_whole(const char *bytes, size_t n)
{
	unsigned status = 100;
	size_t head, body;

	while (ekd_http_parse_answer(bytes, n, &status, &head, &body) ==
	       EKD_HTTP_WHOLE) {
		if (status / 100 != 1)
			return body != SIZE_MAX && body <= n - head;
		bytes += head;
		n -= head;
	}
	return false;
}

/*
 * An answer, or all that comes until the daemon hangs up. A worker that dies
 * after its answer does not hang up: its successor has the connection.
 */
static ek_status receive(int fd, char **bytes, size_t *n, struct ek_err *err)
{
	size_t room = 0;
	ssize_t got;

	for (*n = 0;; *n += got > 0 ? (size_t)got : 0) {
		EK_TRY(grow(bytes, *n, &room, err));
		got = recv(fd, *bytes + *n, room - 1 - *n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ek_fail_sys(err, errno, "no answer");
		if (got == 0 || is_whole(*bytes, *n + (size_t)got)) {
			*n += (size_t)got;
			return EK_OK;
		}
	}
}

static ek_status split(char *bytes, size_t n, struct ekd_answer *a,
		       struct ek_err *err)
{
	size_t head, body;

	for (;;) {
		enum ekd_http_parsed parsed = ekd_http_parse_answer(
			bytes, n, &a->status, &head, &body);

		if (parsed != EKD_HTTP_WHOLE)
			return ek_fail(err, EK_CORRUPT,
				       n ? "the answer is no HTTP"
					 : "the daemon hung up without an "
					   "answer");
		if (a->status / 100 != 1)
			break;
		bytes += head;
		n -= head;
	}
	if (body != SIZE_MAX && body > n - head)
		return ek_fail(err, EK_CORRUPT, "the answer is cut");
	/* One whose worker died may be given again by the successor. */
	a->n = body != SIZE_MAX ? body : n - head;
	memmove(a->body, bytes + head, a->n);
	a->body[a->n] = 0;
	return EK_OK;
}

/* The daemon's own words. */
static ek_status refused(const struct ekd_answer *a, struct ek_err *err)
{
	struct json_object *json = NULL, *text;
	ek_status s = EK_IO;

	if (ekd_answer_json(a, &json, NULL) == EK_OK &&
	    json_object_object_get_ex(json, "message", &text))
		ek_fail(err, s, "%s", json_object_get_string(text));
	else
		ek_fail(err, s, "the daemon answers with status %u", a->status);
	json_object_put(json);
	return s;
}

ek_status ekd_ask(const struct ekd_options *o, const char *method,
		  const char *path, struct json_object *json,
		  struct ekd_answer *answer, struct ek_err *err)
{
	ek_status s;
	size_t n;
	int fd;

	*answer = (struct ekd_answer){0};
	EK_TRY(dial(o, &fd, err));
	s = send_request(fd, method, path, json, err);
	if (s == EK_OK)
		s = receive(fd, &answer->body, &n, err);
	close(fd);
	if (s == EK_OK)
		s = split(answer->body, n, answer, err);
	if (s == EK_OK && answer->status / 100 != 2)
		s = refused(answer, err);
	if (s != EK_OK)
		ekd_answer_free(answer);
	return s;
}

ek_status ekd_wait_end(const struct ekd_options *o, struct ek_err *err)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	char socket_path[108], path[128];
	int fd, locked = -1;

	EK_TRY(find_socket(o, socket_path, err));
	snprintf(path, sizeof(path), "%.*s/lock",
		 (int)(strlen(socket_path) - strlen(basename(socket_path))),
		 socket_path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return EK_OK;
	for (int i = 0; i < 1000 && locked < 0; i++) {
		locked = flock(fd, LOCK_EX | LOCK_NB);
		if (locked < 0)
			nanosleep(&pause, NULL);
	}
	close(fd);
	return locked < 0 ? ek_fail(err, EK_IO, "the daemon does not end")
			  : EK_OK;
}

void ekd_answer_free(struct ekd_answer *answer)
{
	free(answer->body);
	*answer = (struct ekd_answer){0};
}

ek_status ekd_image_path(const char *path, const char *target, char **text,
			 struct ek_err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";
	char *whole = realpath(target, NULL);
	const char *from = whole ? whole : target;
	size_t n = strlen(path) + 3 * strlen(from) + 16;
	char *to = malloc(n), *end = to + n;

	*text = to;
	if (!to) {
		free(whole);
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	}
	to += snprintf(to, n, "%s%cimage=", path,
		       strchr(path, '?') ? '&' : '?');
	for (; *from; from++)
		if (strchr(plain, *from))
			*to++ = *from;
		else
			to += snprintf(to, (size_t)(end - to), "%%%02X",
				       (unsigned char)*from);
	*to = 0;
	free(whole);
	return EK_OK;
}

ek_status ekd_answer_json(const struct ekd_answer *answer,
			  struct json_object **json, struct ek_err *err)
{
	struct ekd_json parsed;

	EK_TRY(ekd_json_read(answer->body, answer->n, EKD_ANSWER_MAX, &parsed,
			     err));
	*json = parsed.root;
	return EK_OK;
}

int64_t ekd_answer_number(struct json_object *json, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(json, key, &v)
		       ? json_object_get_int64(v)
		       : 0;
}
