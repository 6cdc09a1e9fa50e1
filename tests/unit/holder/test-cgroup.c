/* SPDX-License-Identifier: Apache-2.0 */

/* The worker's control group, over files that look like one. */

#include "unit.h"

#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT (UINT64_C(512) << 20)

static char top[64];

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static const char *get(const char *name)
{
	static char text[64];
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

/* Group /u with its holder; its worker only with @worker. */
static int make(const char *controllers, bool worker)
{
	static const char *const dirs[] = {"u", "u/holder", "u/worker"};
	char path[128];
	int fd;

	snprintf(top, sizeof(top), "/tmp/ekd-group-XXXXXX");
	assert_non_null(mkdtemp(top));
	for (unsigned i = 0; i < (worker ? 3 : 2); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	put("u/cgroup.controllers", controllers);
	put("u/cgroup.subtree_control", "");
	if (worker) {
		put("u/worker/memory.max", "");
		put("u/worker/cgroup.procs", "");
		put("u/worker/memory.events", "low 1\noom 7\noom_kill 3\n");
	}
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void end(int root)
{
	static const char *const names[] = {
		"u/worker/memory.max",	    "u/worker/cgroup.procs",
		"u/worker/memory.events",   "u/cgroup.controllers",
		"u/cgroup.subtree_control",
	};
	static const char *const dirs[] = {"u/worker", "u/holder", "u", ""};
	char path[128];

	close(root);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, names[i]);
		unlink(path);
	}
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, dirs[i]);
		rmdir(path);
	}
	assert_int_not_equal(access(top, F_OK), 0);
}

static void test_limit(void **state)
{
	int root = make("cpu memory pids\n", true), group = -1;
	struct ek_err err = {.text = ""};

	(void)state;
	assert_int_equal(ekd_group_make(root, "/u/holder", LIMIT, &group, &err),
			 EK_OK);
	assert_true(group >= EKD_HIGH_FD);
	assert_int_equal(fcntl(group, F_GETFD), FD_CLOEXEC);
	assert_string_equal(get("u/cgroup.subtree_control"), "+memory");
	assert_string_equal(get("u/worker/memory.max"), "536870912");
	assert_true(ekd_group_enter(group));
	assert_string_equal(get("u/worker/cgroup.procs"), "0");
	assert_int_equal(ekd_group_kills(group), 3);
	put("u/worker/memory.events", "oom_killer 9\n");
	assert_int_equal(ekd_group_kills(group), 0);
	close(group);
	assert_false(ekd_group_enter(group));
	end(root);
}

static void refused(const char *controllers, const char *own, const char *says)
{
	int root = make(controllers, true), group = -1;
	struct ek_err err = {.text = ""};

	assert_int_equal(ekd_group_make(root, own, LIMIT, &group, &err),
			 EK_NOTFOUND);
	assert_non_null(strstr(err.text, says));
	assert_int_equal(group, -1);
	assert_string_equal(get("u/cgroup.subtree_control"), "");
	end(root);
}

static void test_refused(void **state)
{
	(void)state;
	refused("memory\n", "/u", "called holder");
	refused("memory\n", "", "called holder");
	refused("memory\n", "/", "called holder");
	refused("memory\n", "/u/household", "called holder");
	refused("memory\n", "/u/myholder", "called holder");
	refused("cpu memory_x pids\n", "/u/holder", "no memory controller");
	refused("", "/u/holder", "no memory controller");
	refused("memory\n", "/v/holder", "");
}

/* What the kernel does not make is no control group. */
static void test_no_group(void **state)
{
	int root = make("memory", false), group = -1;
	struct ek_err err = {.text = ""};

	(void)state;
	assert_int_not_equal(
		ekd_group_make(root, "/u/holder", LIMIT, &group, &err), EK_OK);
	assert_non_null(strstr(err.text, "memory.max"));
	assert_int_equal(group, -1);
	end(root);
}

const struct CMUnitTest group_tests[] = {
	cmocka_unit_test(test_limit), cmocka_unit_test(test_refused),
	cmocka_unit_test(test_no_group), UNIT_END};
