/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HOLDER_CLIENT_PRIV_H
#define EKD_HOLDER_CLIENT_PRIV_H

/* What client.c (calls) and link.c (the thread that receives) share. */

#include "cachefilesd/holder/client.h"

#include <pthread.h>

/* A call that waits for its reply; on the caller's stack but its message. */
struct call {
	struct call *next;
	uint32_t seq;
	struct ekd_message *message; /* the request, then the reply */
	bool sent, done, lost;
	int fd; /* that came with the reply, or -1 */
};

struct kept_conn {
	uint64_t id; /* 0: free */
	int fd;
};

struct ekd_holder {
	struct ekd_holder_fds fds;
	struct ekd_shared *shared;
	struct ekd_holder_hooks hooks;
	pthread_t thread;
	int wake; /* eventfd: close down */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	int channel; /* -1: no holder */
	bool ready;  /* the worker said so */
	bool giving; /* a new holder gets what there is */
	uint32_t seq;
	struct call *calls;
	struct kept_conn conns[EKD_CONNS];
	uint8_t out[EKD_MESSAGE]; /* under the lock */

	/* Of the thread alone. */
	uint8_t in[EKD_MESSAGE], answer[EKD_MESSAGE];
	struct ekd_message received;
};

void *ekd_link_run(void *arg);
/* Under the lock. false: the table is full. Takes @fd, whatever is said. */
bool ekd_link_keep(struct ekd_holder *holder, uint64_t id, int fd);
void ekd_link_drop(struct ekd_holder *holder, uint64_t id);

#endif
