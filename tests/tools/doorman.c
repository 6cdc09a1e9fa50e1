/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A small service over the daemon's holder and door, for tests of these two
 * alone: it serves local files, each part of which takes a while when it is
 * read the first time in a worker's life.
 *
 *   doorman run RUN STATE ROOT [upgrade] [no-resend] [suid] [as-worker]
 *		[hang=MS] [deadline=MS] [delay=MS]
 *   doorman ask RUN COMMAND...	one command over RUN/api.sock
 *
 * Commands: ping; delay MS (this worker's); add NAME PATH; remove NAME; mount
 *ID TARGET FLAGS NAME... (primary, devices; of the door); overlay ID TARGET
 *FLAGS ID...; umount ID FLAGS; mounts; open PATH; credentials HOST; stop FLAGS;
 *stats; syscall. EKD_KILL=STEP:N kills whoever comes to that step the N-th
 *time.
 */

#include "cachefilesd/holder/holder.h"
#include "cachefilesd/worker/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LEAF	(64u << 10)
#define FILES	64
#define LEAVES	65536u
#define FILLERS 8
#define CONNS	32
#define LINE	4096

static char kill_step[64];
static atomic_long kill_left;

static void step(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, kill_step) == 0 &&
	    atomic_fetch_sub(&kill_left, 1) == 1)
		kill(getpid(), SIGKILL);
}

static void read_kill(void)
{
	const char *text = getenv("EKD_KILL");
	const char *colon = text ? strrchr(text, ':') : NULL;

	if (!colon || colon - text >= (long)sizeof(kill_step))
		return;
	memcpy(kill_step, text, (size_t)(colon - text));
	atomic_store(&kill_left, strtol(colon + 1, NULL, 10));
}

static void die(const char *what, const struct ek_err *err)
{
	fprintf(stderr, "doorman: %s: %s\n", what, err->text);
	exit(3);
}

/* --- the worker --- */

struct served {
	char name[EKD_DOOR_NAME + 1], path[EKD_PATH];
	int fd; /* -1: free */
	atomic_uchar here[LEAVES];
};

struct item {
	struct item *next;
	struct ekd_door_request *request;
};

static struct {
	struct ekd_boot boot;
	struct ekd_holder *holder;
	struct ekd_door *door;
	struct served files[FILES];
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct item *first, **last;
	atomic_uint delay_ms;
	atomic_ulong waits, reads;
	struct {
		int fd;
		uint64_t id;
	} conns[CONNS];
	uint64_t next_id;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void answer(struct ekd_door_request *request)
{
	const struct served *file = ekd_door_cookie(request);
	ssize_t n =
		pread(file->fd, ekd_door_buffer(request),
		      ekd_door_size(request), (off_t)ekd_door_offset(request));

	ekd_door_answer(request,
			n == (ssize_t)ekd_door_size(request) ? 0 : EIO);
}

static void *fill(void *arg)
{
	for (;;) {
		struct ekd_door_request *request;
		struct served *file;
		struct item *item;

		pthread_mutex_lock(&w.lock);
		while (!w.first)
			pthread_cond_wait(&w.more, &w.lock);
		item = w.first;
		w.first = item->next;
		if (!w.first)
			w.last = &w.first;
		pthread_mutex_unlock(&w.lock);
		usleep(atomic_load(&w.delay_ms) * 1000);
		request = item->request;
		free(item);
		file = ekd_door_cookie(request);
		for (uint64_t at = ekd_door_offset(request) / LEAF;
		     at * LEAF <
		     ekd_door_offset(request) + ekd_door_size(request);
		     at++)
			atomic_store(&file->here[at % LEAVES], 1);
		answer(request);
	}
	return arg;
}

static void on_read(void *arg, struct ekd_door_request *request)
{
	struct served *file = ekd_door_cookie(request);
	uint64_t at = ekd_door_offset(request) / LEAF;
	uint64_t end = ekd_door_offset(request) + ekd_door_size(request);
	struct item *item;
	bool here = true;

	(void)arg;
	atomic_fetch_add(&w.reads, 1);
	for (; at * LEAF < end; at++)
		here = here && atomic_load(&file->here[at % LEAVES]);
	if (here) {
		answer(request);
		return;
	}
	atomic_fetch_add(&w.waits, 1);
	item = malloc(sizeof(*item));
	item->next = NULL;
	item->request = request;
	pthread_mutex_lock(&w.lock);
	*w.last = item;
	w.last = &item->next;
	pthread_cond_signal(&w.more);
	pthread_mutex_unlock(&w.lock);
}

/* What a successor needs: a line a file. */
static ek_status save(struct ek_err *err)
{
	static char text[EKD_STATE];
	size_t n = 0;

	for (int i = 0; i < FILES; i++)
		if (w.files[i].fd >= 0)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "%s %s\n", w.files[i].name,
					      w.files[i].path);
	return ekd_shared_put(w.boot.shared, 1, text, n, err);
}

static ek_status add(const char *name, const char *path, struct ek_err *err)
{
	struct served *file = NULL;
	struct stat st;
	ek_status status;
	int fd;

	for (int i = 0; i < FILES && !file; i++)
		if (w.files[i].fd < 0)
			file = &w.files[i];
	if (!file)
		return ek_fail(err, EK_LIMIT, "too many files");
	status = ekd_holder_open_local(w.holder, path, &fd, err);
	if (status != EK_OK)
		return status;
	fstat(fd, &st);
	memset(file->here, 0, sizeof(file->here));
	snprintf(file->name, sizeof(file->name), "%s", name);
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->fd = fd;
	status = ekd_door_add(w.door, name, (uint64_t)st.st_size, file, err);
	if (status != EK_OK) {
		close(fd);
		file->fd = -1;
		return status;
	}
	return save(err);
}

static ek_status drop(const char *name, struct ek_err *err)
{
	ek_status status = ekd_door_remove(w.door, name, err);

	for (int i = 0; i < FILES && status == EK_OK; i++) {
		if (w.files[i].fd < 0 || strcmp(w.files[i].name, name) != 0)
			continue;
		close(w.files[i].fd);
		w.files[i].fd = -1;
	}
	return status == EK_OK ? save(err) : status;
}

static ek_status mount_image(char **words, int n, struct ek_err *err)
{
	static struct ekd_mount mount;

	memset(&mount, 0, sizeof(mount));
	snprintf(mount.id, sizeof(mount.id), "%s", words[1]);
	if (strcmp(words[2], "-") != 0)
		snprintf(mount.target, sizeof(mount.target), "%s", words[2]);
	mount.flags = (uint32_t)strtoul(words[3], NULL, 0);
	mount.primary.place = EKD_PLACE_DOOR;
	snprintf(mount.primary.name, EKD_FILE, "%s", words[4]);
	if (strchr(words[4], '/'))
		mount.primary.place = EKD_PLACE_STATE;
	for (int i = 5; i < n && mount.n_devices < EKD_DEVICES; i++) {
		struct ekd_source *device = &mount.devices[mount.n_devices++];

		device->place = EKD_PLACE_DOOR;
		snprintf(device->name, EKD_FILE, "%s", words[i]);
	}
	return ekd_holder_mount(w.holder, &mount, err);
}

static ek_status overlay_images(char **words, int n, struct ek_err *err)
{
	static struct ekd_overlay overlay;

	memset(&overlay, 0, sizeof(overlay));
	snprintf(overlay.id, sizeof(overlay.id), "%s", words[1]);
	snprintf(overlay.target, sizeof(overlay.target), "%s", words[2]);
	overlay.flags = (uint32_t)strtoul(words[3], NULL, 0);
	for (int i = 4; i < n && overlay.n_lowers < EKD_LOWERS; i++)
		snprintf(overlay.lowers[overlay.n_lowers++], EKD_ID, "%s",
			 words[i]);
	return ekd_holder_overlay(w.holder, &overlay, err);
}

static void tell_mount(void *arg, const struct ekd_mounted *mounted)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, LINE - n, "%s:%s:%u:%u ",
		 mounted->is_overlay ? mounted->overlay.id : mounted->mount.id,
		 mounted->alive ? "alive" : "dead", mounted->is_overlay,
		 mounted->is_overlay ? mounted->overlay.n_lowers
				     : mounted->mount.n_devices);
}

static void tell_stats(char *out)
{
	struct ekd_door_stats stats;

	ekd_door_stats(w.door, &stats);
	snprintf(out, LINE,
		 "pid=%d generation=%u waits=%lu reads=%lu resent=%lu "
		 "late=%lu errors=%lu files=%u",
		 (int)getpid(), w.boot.generation, atomic_load(&w.waits),
		 atomic_load(&w.reads), (unsigned long)stats.resent,
		 (unsigned long)stats.late, (unsigned long)stats.errors,
		 stats.files);
}

static ek_status run_words(char **words, int n, char *out, struct ek_err *err)
{
	const char *verb = words[0];
	char secret[EKD_SECRET];
	ek_status status;
	int fd;

	if (strcmp(verb, "ping") == 0)
		return EK_OK;
	if (strcmp(verb, "delay") == 0 && n == 2) {
		atomic_store(&w.delay_ms,
			     (unsigned)strtoul(words[1], NULL, 10));
		return EK_OK;
	}
	if (strcmp(verb, "add") == 0 && n == 3)
		return add(words[1], words[2], err);
	if (strcmp(verb, "remove") == 0 && n == 2)
		return drop(words[1], err);
	if (strcmp(verb, "mount") == 0 && n >= 5)
		return mount_image(words, n, err);
	if (strcmp(verb, "overlay") == 0 && n >= 5)
		return overlay_images(words, n, err);
	if (strcmp(verb, "umount") == 0 && n == 3)
		return ekd_holder_umount(w.holder, words[1],
					 (uint32_t)strtoul(words[2], NULL, 0),
					 err);
	if (strcmp(verb, "mounts") == 0)
		return ekd_holder_mounts(w.holder, tell_mount, out, err);
	if (strcmp(verb, "open") == 0 && n == 2) {
		status = ekd_holder_open_local(w.holder, words[1], &fd, err);
		if (status == EK_OK)
			close(fd);
		return status;
	}
	if (strcmp(verb, "credentials") == 0 && n == 2) {
		status =
			ekd_holder_credentials(w.holder, words[1], secret, err);
		if (status == EK_OK)
			snprintf(out, LINE, "%s", secret);
		return status;
	}
	if (strcmp(verb, "stop") == 0 && n == 2)
		return ekd_holder_stop(
			w.holder, (uint32_t)strtoul(words[1], NULL, 0), err);
	if (strcmp(verb, "stats") == 0) {
		tell_stats(out);
		return EK_OK;
	}
	if (strcmp(verb, "syscall") == 0) { /* one that is not allowed */
		snprintf(out, LINE, "%d",
			 personality(0xffffffff) < 0 ? errno : 0);
		return EK_OK;
	}
	return ek_fail(err, EK_INVALID, "no such command");
}

static void serve_conn(int slot)
{
	struct ek_err err = {.text = ""};
	char line[LINE], out[LINE] = "", reply[2 * LINE];
	char *words[80], *save_ptr = NULL;
	ek_status status;
	ssize_t got;
	int n = 0;

	got = recv(w.conns[slot].fd, line, sizeof(line) - 1, 0);
	if (got <= 0) {
		close(w.conns[slot].fd);
		ekd_holder_drop_conn(w.holder, w.conns[slot].id, NULL);
		w.conns[slot].fd = -1;
		return;
	}
	line[got] = 0;
	for (char *word = strtok_r(line, " \n", &save_ptr); word && n < 80;
	     word = strtok_r(NULL, " \n", &save_ptr))
		words[n++] = word;
	status = n ? run_words(words, n, out, &err) : EK_INVALID;
	snprintf(reply, sizeof(reply), "%s %s\n",
		 status == EK_OK ? "ok" : ek_status_name(status),
		 status == EK_OK ? out : err.text);
	send(w.conns[slot].fd, reply, strlen(reply), MSG_NOSIGNAL);
}

static void put_conn(uint64_t id, int fd)
{
	for (int i = 0; i < CONNS; i++) {
		if (w.conns[i].fd >= 0)
			continue;
		w.conns[i].fd = fd;
		w.conns[i].id = id;
		if (id >= w.next_id)
			w.next_id = id + 1;
		return;
	}
	close(fd);
}

static void on_conn(void *arg, uint64_t id, int fd)
{
	(void)arg;
	put_conn(id, fd);
}

static void on_stop(void *arg)
{
	(void)arg;
	_exit(0);
}

static void serve_api(void)
{
	for (;;) {
		struct pollfd polls[CONNS + 1];
		int fd;

		for (int i = 0; i < CONNS; i++)
			polls[i] = (struct pollfd){.fd = w.conns[i].fd,
						   .events = POLLIN};
		polls[CONNS] =
			(struct pollfd){.fd = w.boot.fds.api, .events = POLLIN};
		if (poll(polls, CONNS + 1, -1) <= 0)
			continue;
		for (int i = 0; i < CONNS; i++)
			if (polls[i].revents)
				serve_conn(i);
		if (!polls[CONNS].revents)
			continue;
		fd = accept4(w.boot.fds.api, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			uint64_t id = w.next_id++;

			ekd_holder_keep_conn(w.holder, id, fd, NULL);
			put_conn(id, fd);
		}
	}
}

/* The files of the predecessor, before the door is read. */
static void restore(void)
{
	static char text[EKD_STATE + 1];
	char *save_ptr = NULL;
	uint32_t version;
	struct ek_err err;
	size_t n;

	ekd_shared_get(w.boot.shared, &version, text, &n);
	text[n] = 0;
	for (char *line = strtok_r(text, "\n", &save_ptr); line;
	     line = strtok_r(NULL, "\n", &save_ptr)) {
		char *space = strchr(line, ' ');

		*space = 0;
		if (add(line, space + 1, &err) != EK_OK)
			die("restore", &err);
	}
}

static int run_worker(void)
{
	struct ekd_door_hooks hooks = {.read = on_read, .step = step};
	struct ekd_holder_hooks callbacks = {
		.conn = on_conn, .stop = on_stop, .step = step};
	struct ek_err err = {.text = ""};
	pthread_t thread;

	w.boot.step = step;
	w.next_id = 1;
	w.last = &w.first;
	for (int i = 0; i < FILES; i++)
		w.files[i].fd = -1;
	for (int i = 0; i < CONNS; i++)
		w.conns[i].fd = -1;
	if (ekd_boot_adopt(&w.boot, &err) != EK_OK ||
	    ekd_boot_check(&err) != EK_OK ||
	    ekd_boot_seccomp(&w.boot, &err) != EK_OK ||
	    ekd_boot_heartbeat(&w.boot, &err) != EK_OK)
		die("boot", &err);
	if (pread(w.boot.config, &w.delay_ms, sizeof(w.delay_ms), 0) < 0)
		w.delay_ms = 0;
	if (ekd_holder_connect(&w.boot.fds, w.boot.shared, &callbacks,
			       &w.holder, &err) != EK_OK ||
	    ekd_door_open(&ekd_door_fuse, w.boot.fds.door,
			  ekd_shared_door(w.boot.shared),
			  ekd_shared_gauge(w.boot.shared), &hooks, 4, &w.door,
			  &err) != EK_OK)
		die("connect", &err);
	restore();
	for (int i = 0; i < FILLERS; i++)
		pthread_create(&thread, NULL, fill, NULL);
	if (ekd_door_start(w.door, &err) != EK_OK ||
	    ekd_holder_ready(w.holder, &err) != EK_OK)
		die("start", &err);
	serve_api();
	return 0;
}

/* --- the holder, and a client --- */

static void log_line(void *arg, int level, const char *line)
{
	(void)arg;
	fprintf(stderr, "doorman: %d %s\n", level, line);
}

static int run_holder(int argc, char **argv)
{
	struct ekd_holder_options options = {
		.run_dir = argv[2],
		.state_dir = argv[3],
		.uid = 65534,
		.gid = 65534,
		.open_roots = {argv[4]},
		.mount_roots = {argv[4]},
		.log = log_line,
		.step = step,
	};
	struct ek_err err = {.text = ""};
	unsigned delay = 0;
	int code = 0;

	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "upgrade") == 0)
			options.upgrade = true;
		else if (strcmp(argv[i], "no-resend") == 0)
			options.no_resend = true;
		else if (strcmp(argv[i], "suid") == 0)
			options.allow_suid = true;
		else if (strcmp(argv[i], "as-worker") == 0)
			options.open_as_worker = true;
		else if (strncmp(argv[i], "hang=", 5) == 0)
			options.hang_ms =
				(uint32_t)strtoul(argv[i] + 5, NULL, 10);
		else if (strncmp(argv[i], "deadline=", 9) == 0)
			options.deadline_ms =
				(uint32_t)strtoul(argv[i] + 9, NULL, 10);
		else if (strncmp(argv[i], "delay=", 6) == 0)
			delay = (unsigned)strtoul(argv[i] + 6, NULL, 10);
	}
	options.worker = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	options.config = memfd_create("config", MFD_CLOEXEC);
	if (options.worker < 0 || options.config < 0 ||
	    write(options.config, &delay, sizeof(delay)) < 0)
		return 3;
	if (ekd_holder_run(&options, &code, &err) != EK_OK)
		die("run", &err);
	return code;
}

static int run_ask(int argc, char **argv)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char line[2 * LINE] = "";
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/api.sock", argv[2]);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		perror(to.sun_path);
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		size_t used = strlen(line);

		snprintf(line + used, sizeof(line) - used, "%s ", argv[i]);
	}
	send(fd, line, strlen(line), MSG_NOSIGNAL);
	n = recv(fd, line, sizeof(line) - 1, 0);
	line[n > 0 ? n : 0] = 0;
	fputs(line, stdout);
	return strncmp(line, "ok ", 3) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	read_kill();
	if (argc == 2 && strcmp(argv[1], "work") == 0)
		return run_worker();
	if (argc == 3 && strcmp(argv[1], "credentials") == 0) {
		if (strcmp(argv[2], "known.example") == 0)
			puts("user:word");
		return strcmp(argv[2], "bad.example") == 0;
	}
	if (argc >= 5 && strcmp(argv[1], "run") == 0)
		return run_holder(argc, argv);
	if (argc >= 4 && strcmp(argv[1], "ask") == 0)
		return run_ask(argc, argv);
	fputs("usage: see the head of doorman.c\n", stderr);
	return 16;
}
