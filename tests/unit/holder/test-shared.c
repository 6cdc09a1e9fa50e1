/* SPDX-License-Identifier: Apache-2.0 */

/* The shared memory: the record whole after a death at any point. */

#include "unit.h"

#include "cachefilesd/holder/protocol.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t record[EKD_STATE];

static struct ekd_shared *make(int *fd)
{
	struct ekd_shared *shared = NULL;

	assert_int_equal(ekd_shared_make(fd, NULL), EK_OK);
	assert_int_equal(ekd_shared_map(*fd, &shared, NULL), EK_OK);
	return shared;
}

static void test_record(void **state)
{
	struct ekd_shared *shared, *other = NULL;
	uint32_t version;
	size_t n = 1;
	int fd;

	(void)state;
	shared = make(&fd);
	ekd_shared_get(shared, &version, record, &n);
	assert_int_equal(n, 0);
	for (unsigned i = 1; i < 6; i++) {
		assert_int_equal(
			ekd_shared_put(shared, i, "0123456789", i, NULL),
			EK_OK);
		/* Another process maps it anew. */
		assert_int_equal(ekd_shared_map(fd, &other, NULL), EK_OK);
		ekd_shared_get(other, &version, record, &n);
		assert_int_equal(version, i);
		assert_int_equal(n, i);
		assert_memory_equal(record, "0123456789", n);
		ekd_shared_unmap(other);
	}
	assert_int_equal(ekd_shared_put(shared, 9, record, EKD_STATE + 1, NULL),
			 EK_LIMIT);
	assert_int_equal(ekd_shared_put(shared, 9, record, EKD_STATE, NULL),
			 EK_OK);
	ekd_shared_get(shared, &version, record, &n);
	assert_int_equal(n, EKD_STATE);
	ekd_shared_unmap(shared);
	close(fd);
}

/* Records are runs of one byte; a mixture would show. */
static void write_for_ever(struct ekd_shared *shared)
{
	static uint8_t bytes[EKD_STATE];

	for (unsigned i = 0;; i++) {
		memset(bytes, (int)(i % 251), sizeof(bytes));
		ekd_shared_put(shared, i % 251, bytes, sizeof(bytes), NULL);
	}
}

static void test_death(void **state)
{
	struct ekd_shared *shared;
	uint32_t version;
	size_t n;
	int fd;

	(void)state;
	shared = make(&fd);
	ekd_shared_put(shared, 0, record, 0, NULL);
	for (unsigned round = 0; round < 50; round++) {
		pid_t pid = fork();

		if (pid == 0)
			write_for_ever(shared);
		usleep(1000 + 37 * round);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ekd_shared_get(shared, &version, record, &n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(record[i], version);
	}
	ekd_shared_unmap(shared);
	close(fd);
}

static void test_wrong(void **state)
{
	struct ekd_shared *shared = NULL;
	uint8_t *map;
	int fd;

	(void)state;
	/* A memory that its giver could shorten under our feet. */
	fd = memfd_create("x", MFD_ALLOW_SEALING);
	assert_int_equal(ekd_shared_map(fd, &shared, NULL), EK_INVALID);
	close(fd);
	fd = open("/dev/null", O_RDWR);
	assert_int_equal(ekd_shared_map(fd, &shared, NULL), EK_INVALID);
	close(fd);
	assert_int_equal(ekd_shared_map(-1, &shared, NULL), EK_INVALID);
	/* Of another version. */
	assert_int_equal(ekd_shared_make(&fd, NULL), EK_OK);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[8] = 2;
	assert_int_equal(ekd_shared_map(fd, &shared, NULL), EK_INVALID);
	map[8] = 1;
	map[0] = 'x';
	assert_int_equal(ekd_shared_map(fd, &shared, NULL), EK_INVALID);
	munmap(map, 4096);
	assert_int_not_equal(ftruncate(fd, 0), 0);
	close(fd);
}

static void test_gauges(void **state)
{
	struct ekd_shared *shared;
	int fd;

	(void)state;
	shared = make(&fd);
	assert_int_equal(ekd_shared_generation(shared), 0);
	ekd_shared_gauge(shared)->waiting = 5;
	ekd_shared_gauge(shared)->taken = 6;
	ekd_shared_beat(shared);
	assert_int_equal(ekd_shared_beats(shared), 1);
	ekd_shared_next(shared);
	assert_int_equal(ekd_shared_generation(shared), 1);
	assert_int_equal(ekd_shared_gauge(shared)->waiting, 0);
	assert_int_equal(ekd_shared_gauge(shared)->taken, 6);
	ekd_shared_unmap(shared);
	close(fd);
}

const struct CMUnitTest shared_tests[] = {
	cmocka_unit_test(test_record), cmocka_unit_test(test_death),
	cmocka_unit_test(test_wrong), cmocka_unit_test(test_gauges), UNIT_END};
