/* SPDX-License-Identifier: Apache-2.0 */

/* Children of the holder: how many there may be, and of which kind. */

#include "unit.h"

#include "cachefilesd/holder/priv.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static struct ekd_holder_options options;

static struct ekd_state *new_state(void)
{
	struct ekd_state *h = calloc(1, sizeof(*h));

	h->options = &options;
	h->door = h->lock = h->api = h->listener = -1;
	ekd_worker_none(h);
	assert_int_equal(ekd_shared_make(&h->shared_fd, NULL), EK_OK);
	assert_int_equal(ekd_shared_map(h->shared_fd, &h->shared, NULL), EK_OK);
	h->results =
		mmap(NULL, sizeof(*h->results) * EKD_JOBS,
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return h;
}

/* As a mount whose reads nobody answers. */
static ek_status wait_for_ever(struct ekd_state *h, struct ekd_result *result,
			       struct ek_err *err)
{
	(void)h;
	(void)result;
	(void)err;
	for (;;)
		pause();
	return EK_OK;
}

static unsigned start_all(struct ekd_state *h, uint32_t op)
{
	unsigned n = 0;

	h->in.op = op;
	while (n <= EKD_JOBS && ekd_job_start(h, wait_for_ever))
		n++;
	return n;
}

static void end_all(struct ekd_state *h)
{
	for (unsigned i = 0; i < EKD_JOBS; i++)
		if (h->jobs[i].pid)
			kill(h->jobs[i].pid, SIGKILL);
	while (ekd_job_any(h)) {
		ekd_job_ended(h);
		poll(NULL, 0, 1);
	}
	ekd_shared_unmap(h->shared);
	close(h->shared_fd);
	munmap(h->results, sizeof(*h->results) * EKD_JOBS);
	free(h);
}

/* All that may wait for a dead worker do: its successor is heard. */
static void test_room(void **state)
{
	struct ekd_state *h = new_state();

	(void)state;
	assert_int_equal(start_all(h, EKD_OP_MOUNT), EKD_JOBS_FUSE);
	assert_int_equal(start_all(h, EKD_OP_OVERLAY), 0);
	assert_int_equal(start_all(h, EKD_OP_UMOUNT), 0);
	assert_int_equal(start_all(h, EKD_OP_MOUNTS), EKD_JOBS - EKD_JOBS_FUSE);
	assert_int_equal(start_all(h, EKD_OP_OPEN), 0);
	end_all(h);
}

const struct CMUnitTest job_tests[] = {cmocka_unit_test(test_room), UNIT_END};
