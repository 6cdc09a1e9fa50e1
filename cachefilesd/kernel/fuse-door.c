/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The FUSE door: threads that read /dev/fuse, answers from anywhere.
 *
 * One lock for the table, the pool of requests and the counts of what is under
 * way. A request object is given away with a read and comes back with its
 * answer; what is not a read is answered where it was read.
 */

#include "base/try.h"
#include "cachefilesd/kernel/door-ops.h"
#include "cachefilesd/kernel/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define THREADS	    4u
#define MAX_THREADS 64u
/* Idle request objects that are kept, with the pages that they touched. */
#define POOL	    48u
#define WAKE_SIGNAL (SIGRTMIN + 3)

struct request {
	/* buffer: EKD_DOOR_READ bytes of address space */
	struct ekd_door_request base; /* first */
	struct fuse_door *door;
	struct request *next; /* in the pool */
	struct ekd_fuse_file *file;
	uint64_t unique;
	_Alignas(8) uint8_t in[EKD_FUSE_BUFFER];
};

struct fuse_door {
	struct ekd_door base; /* first */
	int fd;
	struct ekd_door_kept kept;
	struct ekd_door_hooks hooks;
	struct ekd_door_gauge *gauge;
	struct ekd_door_gauge own_gauge; /* when the caller has none */
	pthread_mutex_t lock;
	pthread_cond_t returned; /* a request came back */
	struct ekd_fuse_table table;
	struct request *pool;
	uint32_t pooled, live; /* live: reads under way */
	struct ekd_door_stats stats;
	pthread_t threads[MAX_THREADS];
	unsigned wanted, started, running; /* running: under the lock */
	bool stopping, broken;		   /* atomic */
};

const char *const ekd_door_steps[] = {
	"door:taken",	 "door:read",	"door:before-answer",
	"door:answered", "door:resend", NULL,
};

static struct fuse_door *own(struct ekd_door *door)
{
	return (struct fuse_door *)door;
}

static void step(struct fuse_door *door, const char *name)
{
	if (door->hooks.step)
		door->hooks.step(door->hooks.arg, name);
}

static void free_request(struct request *request)
{
	if (!request)
		return;
	munmap(request->base.buffer, EKD_DOOR_READ);
	free(request);
}

static struct request *new_request(struct fuse_door *door)
{
	struct request *request;

	pthread_mutex_lock(&door->lock);
	request = door->pool;
	if (request) {
		door->pool = request->next;
		door->pooled--;
	}
	pthread_mutex_unlock(&door->lock);
	if (request)
		return request;
	request = malloc(sizeof(*request));
	if (!request)
		return NULL;
	request->base.ops = &ekd_door_fuse;
	request->door = door;
	request->file = NULL;
	request->base.buffer =
		mmap(NULL, EKD_DOOR_READ, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (request->base.buffer == MAP_FAILED) {
		free(request);
		return NULL;
	}
	return request;
}

/* Nothing of the door or the file may be touched by the caller afterwards. */
static void put_request(struct request *request)
{
	struct fuse_door *door = request->door;
	bool keep;

	pthread_mutex_lock(&door->lock);
	if (request->file) {
		request->file->under_way--;
		request->file = NULL;
		door->live--;
		pthread_cond_broadcast(&door->returned);
	}
	keep = door->pooled < POOL;
	if (keep) {
		request->next = door->pool;
		door->pool = request;
		door->pooled++;
	}
	pthread_mutex_unlock(&door->lock);
	if (!keep)
		free_request(request);
}

/* Write an answer; ENOENT: the request is gone, nobody waits. */
static void reply(struct fuse_door *door, uint64_t unique, int error,
		  const void *body, size_t n)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + (error ? 0 : n)),
		.error = -error,
		.unique = unique,
	};
	union {
		const void *from;
		void *to; /* an iovec does not know what is only read */
	} bytes = {.from = body};
	struct iovec iov[2] = {{&head, sizeof(head)}, {bytes.to, n}};
	ssize_t done;
	int tries = 0;

	do {
		done = writev(door->fd, iov, error || n == 0 ? 1 : 2);
	} while (done < 0 &&
		 (errno == EINTR || ((errno == ENOMEM || errno == EAGAIN) &&
				     tries++ < 100 && usleep(1000) == 0)));
	__atomic_fetch_add(&door->gauge->answered, 1, __ATOMIC_RELAXED);
	if (done >= 0)
		return;
	if (errno == ENOENT)
		__atomic_fetch_add(&door->stats.late, 1, __ATOMIC_RELAXED);
	else if (errno == ENODEV || errno == ENOTCONN)
		__atomic_store_n(&door->broken, true, __ATOMIC_RELAXED);
	else if (!error)
		/* A reader that gets no bytes gets an error, not silence. */
		reply(door, unique, EIO, NULL, 0);
}

static void answer_lookup(struct fuse_door *door, const struct ekd_fuse_in *in)
{
	struct ekd_fuse_file *file = NULL;
	struct fuse_entry_out out;

	pthread_mutex_lock(&door->lock);
	if (in->node == FUSE_ROOT_ID && ekd_fuse_name_ok(in->name))
		file = ekd_fuse_table_find(&door->table,
					   ekd_fuse_node(in->name));
	if (file)
		ekd_fuse_entry(file, &out);
	pthread_mutex_unlock(&door->lock);
	reply(door, in->unique, file ? 0 : ENOENT, &out, sizeof(out));
}

static void answer_getattr(struct fuse_door *door, const struct ekd_fuse_in *in)
{
	struct fuse_attr_out out = {.attr_valid = 1};
	struct ekd_fuse_file *file;
	bool known = in->node == FUSE_ROOT_ID;

	pthread_mutex_lock(&door->lock);
	file = ekd_fuse_table_find(&door->table, in->node);
	known = known || file;
	ekd_fuse_attr(file, &out.attr);
	pthread_mutex_unlock(&door->lock);
	reply(door, in->unique, known ? 0 : ENOENT, &out, sizeof(out));
}

static void answer_open(struct fuse_door *door, const struct ekd_fuse_in *in)
{
	struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
	bool directory = in->opcode == FUSE_OPENDIR;
	bool known = directory;
	int error;

	if (directory) {
		out.open_flags = 0;
	} else {
		pthread_mutex_lock(&door->lock);
		known = ekd_fuse_table_find(&door->table, in->node);
		pthread_mutex_unlock(&door->lock);
	}
	error = known ? 0 : ENOENT;
	if (!error && (in->flags & O_ACCMODE) != O_RDONLY)
		error = EROFS;
	reply(door, in->unique, error, &out, sizeof(out));
}

static void answer_readdir(struct request *request,
			   const struct ekd_fuse_in *in)
{
	struct fuse_door *door = request->door;
	size_t n = in->size < EKD_DOOR_READ ? in->size : EKD_DOOR_READ;

	pthread_mutex_lock(&door->lock);
	n = ekd_fuse_readdir(&door->table, in->offset, request->base.buffer, n);
	pthread_mutex_unlock(&door->lock);
	reply(door, in->unique, 0, request->base.buffer, n);
}

static void answer_statfs(struct fuse_door *door, const struct ekd_fuse_in *in)
{
	struct fuse_statfs_out out = {
		.st = {.bsize = 4096, .frsize = 4096, .namelen = EKD_DOOR_NAME},
	};

	reply(door, in->unique, 0, &out, sizeof(out));
}

/* The hook of a read came back: the file may go. */
static void let_go(struct fuse_door *door, struct ekd_fuse_file *file)
{
	pthread_mutex_lock(&door->lock);
	file->under_way--;
	pthread_cond_broadcast(&door->returned);
	pthread_mutex_unlock(&door->lock);
}

/* A read: true when the request was given away. */
static bool give_read(struct request *request, const struct ekd_fuse_in *in)
{
	struct fuse_door *door = request->door;
	struct ekd_fuse_file *file;
	uint64_t size = 0;

	pthread_mutex_lock(&door->lock);
	file = ekd_fuse_table_find(&door->table, in->node);
	if (file && in->offset < file->size && in->size > 0 &&
	    in->size <= EKD_DOOR_READ) {
		size = file->size - in->offset;
		request->base.size =
			size < in->size ? (uint32_t)size : in->size;
		request->base.cookie = file->cookie;
		request->file = file;
		/* One for the answer, one for the hook: it may outlast it. */
		file->under_way += 2;
		door->live++;
	}
	if (!file)
		door->stats.unknown++;
	door->stats.reads++;
	door->stats.read_bytes += in->size;
	pthread_mutex_unlock(&door->lock);
	if (!file || in->size > EKD_DOOR_READ) {
		reply(door, in->unique, EIO, NULL, 0);
		return false;
	}
	if (!request->file) { /* nothing there to read */
		reply(door, in->unique, 0, NULL, 0);
		return false;
	}
	request->unique = in->unique;
	request->base.offset = in->offset;
	request->base.pid = in->pid;
	__atomic_fetch_add(&door->gauge->waiting, 1, __ATOMIC_RELAXED);
	step(door, "door:read");
	door->hooks.read(door->hooks.arg, &request->base);
	let_go(door, file);
	return true;
}

/* Act on a request; true when it was given away. */
static bool act(struct request *request, const struct ekd_fuse_in *in)
{
	struct fuse_door *door = request->door;

	switch (in->opcode) {
	case FUSE_READ:
		return give_read(request, in);
	case FUSE_LOOKUP:
		answer_lookup(door, in);
		break;
	case FUSE_GETATTR:
		answer_getattr(door, in);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer_open(door, in);
		break;
	case FUSE_READDIR:
		answer_readdir(request, in);
		break;
	case FUSE_STATFS:
		answer_statfs(door, in);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_DESTROY:
		reply(door, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break; /* ids are for ever; these have no answer */
	default:
		/*
		 * Of INTERRUPT too: an EINTR would reach whoever reads through
		 * EROFS as a failed read. The kernel asks no more then.
		 */
		reply(door, in->unique, ENOSYS, NULL, 0);
		break;
	}
	return false;
}

/* false: nothing more will come. */
static bool serve_one(struct fuse_door *door, struct request *request,
		      bool *given)
{
	struct ekd_fuse_in in;
	ssize_t n;

	n = read(door->fd, request->in, sizeof(request->in));
	if (n == 0)
		return false;
	if (n < 0)
		return errno == EINTR || errno == ENOENT || errno == EAGAIN;
	__atomic_fetch_add(&door->gauge->taken, 1, __ATOMIC_RELAXED);
	step(door, "door:taken");
	if (ekd_fuse_decode(request->in, (size_t)n, &in, NULL) != EK_OK) {
		if (in.unique)
			reply(door, in.unique, EIO, NULL, 0);
		return true;
	}
	if (in.resent)
		__atomic_fetch_add(&door->stats.resent, 1, __ATOMIC_RELAXED);
	*given = act(request, &in);
	return true;
}

static void *serve(void *arg)
{
	struct fuse_door *door = arg;
	struct request *request = NULL;
	bool given, more = true;

	while (more && !__atomic_load_n(&door->stopping, __ATOMIC_ACQUIRE)) {
		if (!request)
			request = new_request(door);
		if (!request) {
			usleep(10000); /* requests wait in the kernel */
			continue;
		}
		given = false;
		more = serve_one(door, request, &given);
		if (given)
			request = NULL;
	}
	if (!more)
		__atomic_store_n(&door->broken, true, __ATOMIC_RELAXED);
	if (request)
		put_request(request);
	pthread_mutex_lock(&door->lock);
	door->running--;
	pthread_mutex_unlock(&door->lock);
	return NULL;
}

static void wake(int sig)
{
	(void)sig; /* read(2) ends with EINTR, that is all */
}

static ek_status fuse_open(int fd, const struct ekd_door_kept *kept,
			   struct ekd_door_gauge *gauge,
			   const struct ekd_door_hooks *hooks, unsigned threads,
			   struct ekd_door **door, struct ek_err *err)
{
	struct fuse_door *new;

	if (threads > MAX_THREADS)
		return ek_fail(err, EK_INVALID, "%u threads: over %u", threads,
			       MAX_THREADS);
	if (!kept->valid || kept->major != FUSE_KERNEL_VERSION ||
	    kept->max_read > EKD_DOOR_READ)
		return ek_fail(err, EK_INVALID,
			       "FUSE: nothing was agreed with the kernel");
	new = calloc(1, sizeof(*new));
	if (!new)
		return ek_fail(err, EK_NOMEM, "no memory for a door");
	new->base.ops = &ekd_door_fuse;
	new->fd = fd;
	new->kept = *kept;
	new->hooks = *hooks;
	new->gauge = gauge ? gauge : &new->own_gauge;
	new->wanted = threads ? threads : THREADS;
	pthread_mutex_init(&new->lock, NULL);
	pthread_cond_init(&new->returned, NULL);
	*door = &new->base;
	return EK_OK;
}

static ek_status fuse_add(struct ekd_door *base, const char *name,
			  uint64_t size, void *cookie, struct ek_err *err)
{
	struct fuse_door *door = own(base);
	ek_status status;

	if (!ekd_fuse_name_ok(name) || size > INT64_MAX)
		return ek_fail(err, EK_INVALID,
			       "not the name or size of a file at the door");
	pthread_mutex_lock(&door->lock);
	status = ekd_fuse_table_add(&door->table, name, size, cookie, err);
	pthread_mutex_unlock(&door->lock);
	return status;
}

static ek_status fuse_remove(struct ekd_door *base, const char *name,
			     struct ek_err *err)
{
	struct fuse_door *door = own(base);
	struct ekd_fuse_file *file;

	pthread_mutex_lock(&door->lock);
	file = ekd_fuse_table_take(&door->table, name);
	while (file && file->under_way)
		pthread_cond_wait(&door->returned, &door->lock);
	pthread_mutex_unlock(&door->lock);
	if (!file)
		return ek_fail(err, EK_NOTFOUND, "%s: not at the door", name);
	free(file);
	return EK_OK;
}

static void fuse_stop(struct ekd_door *base)
{
	struct fuse_door *door = own(base);
	const struct timespec pause = {.tv_nsec = 1000000};
	unsigned running;

	__atomic_store_n(&door->stopping, true, __ATOMIC_RELEASE);
	/* A signal just before the read is lost: knock until all are out. */
	do {
		pthread_mutex_lock(&door->lock);
		running = door->running;
		pthread_mutex_unlock(&door->lock);
		for (unsigned i = 0; running && i < door->started; i++)
			pthread_kill(door->threads[i], WAKE_SIGNAL);
		if (running)
			nanosleep(&pause, NULL);
	} while (running);
	for (unsigned i = 0; i < door->started; i++)
		pthread_join(door->threads[i], NULL);
	door->started = 0;
}

static ek_status ask_again(struct fuse_door *door, struct ek_err *err)
{
	struct fuse_out_header head = {
		.len = sizeof(head),
		.error = EKD_FUSE_NOTIFY_RESEND,
	};

	step(door, "door:resend");
	if (door->kept.resend &&
	    write(door->fd, &head, sizeof(head)) != (ssize_t)sizeof(head))
		return ek_fail_sys(err, errno, "FUSE: asking for re-delivery");
	return EK_OK;
}

static ek_status fuse_start(struct ekd_door *base, struct ek_err *err)
{
	struct fuse_door *door = own(base);
	struct sigaction action = {.sa_handler = wake};

	sigaction(WAKE_SIGNAL, &action, NULL);
	EK_TRY(ask_again(door, err));
	while (door->started < door->wanted) {
		int sys;

		pthread_mutex_lock(&door->lock);
		sys = pthread_create(&door->threads[door->started], NULL, serve,
				     door);
		if (sys == 0) {
			door->started++;
			door->running++;
		}
		pthread_mutex_unlock(&door->lock);
		if (sys != 0) {
			fuse_stop(base);
			return ek_fail_sys(err, sys, "FUSE: a thread");
		}
	}
	return EK_OK;
}

static void fuse_close(struct ekd_door *base)
{
	struct fuse_door *door = own(base);
	struct request *next;

	fuse_stop(base);
	pthread_mutex_lock(&door->lock);
	while (door->live)
		pthread_cond_wait(&door->returned, &door->lock);
	pthread_mutex_unlock(&door->lock);
	for (struct request *r = door->pool; r; r = next) {
		next = r->next;
		free_request(r);
	}
	for (uint32_t i = 0; i < door->table.n; i++)
		free(door->table.files[i]);
	pthread_cond_destroy(&door->returned);
	pthread_mutex_destroy(&door->lock);
	free(door);
}

static void end(struct request *request)
{
	__atomic_fetch_sub(&request->door->gauge->waiting, 1, __ATOMIC_RELAXED);
	put_request(request);
}

static void fuse_answer(struct ekd_door_request *base, int error)
{
	struct request *request = (struct request *)base;
	struct fuse_door *door = request->door;

	step(door, "door:before-answer");
	if (error)
		__atomic_fetch_add(&door->stats.errors, 1, __ATOMIC_RELAXED);
	reply(door, request->unique, error, base->buffer, base->size);
	step(door, "door:answered");
	end(request);
}

static void fuse_abandon(struct ekd_door_request *base)
{
	end((struct request *)base);
}

static void fuse_stats(struct ekd_door *base, struct ekd_door_stats *stats)
{
	struct fuse_door *door = own(base);

	pthread_mutex_lock(&door->lock);
	stats->reads = door->stats.reads;
	stats->read_bytes = door->stats.read_bytes;
	stats->unknown = door->stats.unknown;
	stats->waiting = door->live;
	stats->files = door->table.n;
	pthread_mutex_unlock(&door->lock);
	stats->taken = __atomic_load_n(&door->gauge->taken, __ATOMIC_RELAXED);
	stats->errors = __atomic_load_n(&door->stats.errors, __ATOMIC_RELAXED);
	stats->resent = __atomic_load_n(&door->stats.resent, __ATOMIC_RELAXED);
	stats->late = __atomic_load_n(&door->stats.late, __ATOMIC_RELAXED);
}

static bool fuse_broken(const struct ekd_door *base)
{
	const struct fuse_door *door = (const struct fuse_door *)base;

	return __atomic_load_n(&door->broken, __ATOMIC_RELAXED);
}

const struct ekd_door_ops ekd_door_fuse = {
	.probe = ekd_fuse_probe,
	.open = fuse_open,
	.add = fuse_add,
	.remove = fuse_remove,
	.start = fuse_start,
	.stop = fuse_stop,
	.close = fuse_close,
	.answer = fuse_answer,
	.abandon = fuse_abandon,
	.stats = fuse_stats,
	.broken = fuse_broken,
};
