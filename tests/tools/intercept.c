/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold a program at a chosen moment: run a command of ours just before another
 * process may open (or read) a file, by a permission event of fanotify.
 *
 *	intercept open|read FILE COMMAND [ARG]...
 *
 * Prints "ready" when the watch stands. At the first event it runs COMMAND,
 * lets the other process go on, and leaves. Without an event it leaves after
 * 60 seconds with status 3. So a test can change a source file between two
 * steps of a builder without sleeping and hoping.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000

static int complain(const char *what)
{
	fprintf(stderr, "intercept: %s: %s\n", what, strerror(errno));
	return 1;
}

static int run(char **command)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return complain("fork");
	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (waitpid(child, &status, 0) < 0)
		return complain("waitpid");
	return status == 0 ? 0 : 1;
}

static int answer(int fd, int event_fd)
{
	struct fanotify_response response = {
		.fd = event_fd,
		.response = FAN_ALLOW,
	};

	if (write(fd, &response, sizeof(response)) != sizeof(response))
		return complain("answer");
	close(event_fd);
	return 0;
}

/*
 * Serve the first event. Others that wait meanwhile are let through by the
 * kernel when the group is closed.
 */
static int serve(int fd, char **command)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	struct fanotify_event_metadata event;
	int status;

	if (poll(&wait, 1, PATIENCE_MS) != 1)
		return 3;
	if (read(fd, &event, sizeof(event)) != sizeof(event))
		return complain("read");
	/*
	 * The mark must go first: the command itself may open the file, and
	 * nobody would answer its event.
	 */
	if (fanotify_mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL) != 0)
		return complain("unmark");
	status = run(command);
	if (answer(fd, event.fd) != 0)
		return 1;
	return status;
}

int main(int argc, char **argv)
{
	unsigned long long mask;
	int fd, status;

	if (argc < 4 || (strcmp(argv[1], "open") && strcmp(argv[1], "read"))) {
		fprintf(stderr, "usage: intercept open|read FILE COMMAND...\n");
		return 2;
	}
	mask = argv[1][0] == 'o' ? FAN_OPEN_PERM : FAN_ACCESS_PERM;
	fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (fd < 0)
		return complain("fanotify_init");
	if (fanotify_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD, argv[2]) != 0)
		return complain(argv[2]);
	printf("ready\n");
	fflush(stdout);
	status = serve(fd, argv + 3);
	close(fd);
	return status;
}
