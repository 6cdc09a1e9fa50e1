/* SPDX-License-Identifier: Apache-2.0 */

/* Walks beneath roots: no symbolic link, no way out; records of mounts. */

#include "unit.h"

#include "cachefilesd/holder/priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64];

static void make_tree(void)
{
	char name[128];
	int fd;

	snprintf(top, sizeof(top), "/tmp/ekd-holder-XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(name, sizeof(name), "%s/a", top);
	mkdir(name, 0755);
	snprintf(name, sizeof(name), "%s/a/b", top);
	mkdir(name, 0755);
	snprintf(name, sizeof(name), "%s/a/link", top);
	assert_int_equal(symlink("/etc", name), 0);
	snprintf(name, sizeof(name), "%s/a/file", top);
	fd = open(name, O_CREAT | O_WRONLY, 0644);
	close(fd);
	snprintf(name, sizeof(name), "%s/a/pipe", top);
	assert_int_equal(mkfifo(name, 0644), 0);
	snprintf(name, sizeof(name), "%s/a/to-file", top);
	assert_int_equal(symlink("file", name), 0);
}

static void remove_tree(void)
{
	static const char *const names[] = {"a/to-file", "a/pipe",  "a/file",
					    "a/link",	 "a/b/c/d", "a/b/c",
					    "a/b",	 "a",	    ""};
	char name[128];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", top, names[i]);
		remove(name);
	}
}

static ek_status beneath(const char *path)
{
	const char *const roots[] = {"/nowhere", top, NULL};
	int fd = -1;
	ek_status status = ekd_path_beneath(roots, path, &fd, NULL);

	if (status == EK_OK)
		assert_int_equal(close(fd), 0);
	return status;
}

static void test_beneath(void **state)
{
	char path[256];

	(void)state;
	make_tree();
	assert_int_equal(beneath(top), EK_OK);
	snprintf(path, sizeof(path), "%s/a/b", top);
	assert_int_equal(beneath(path), EK_OK);
	snprintf(path, sizeof(path), "%s/a/link", top);
	assert_int_equal(beneath(path), EK_IO);
	snprintf(path, sizeof(path), "%s/a/link/ssl", top);
	assert_int_equal(beneath(path), EK_IO);
	snprintf(path, sizeof(path), "%s/a/file", top);
	assert_int_equal(beneath(path), EK_IO);
	snprintf(path, sizeof(path), "%s/../etc", top);
	assert_int_equal(beneath(path), EK_INVALID);
	/* The root's name as the beginning of another's. */
	snprintf(path, sizeof(path), "%sx", top);
	assert_int_equal(beneath(path), EK_INVALID);
	assert_int_equal(beneath("/etc"), EK_INVALID);
	snprintf(path, sizeof(path), "%s/a/b/c/d", top);
	assert_int_equal(beneath(path), EK_NOTFOUND);
	remove_tree();
}

static void test_file(void **state)
{
	char path[128];
	int dir, fd;

	(void)state;
	make_tree();
	snprintf(path, sizeof(path), "%s/a", top);
	dir = open(path, O_PATH | O_DIRECTORY);
	assert_int_equal(ekd_path_file(dir, "file", &fd, NULL), EK_OK);
	close(fd);
	assert_int_equal(ekd_path_file(dir, "to-file", &fd, NULL), EK_IO);
	assert_int_equal(ekd_path_file(dir, "b", &fd, NULL), EK_INVALID);
	assert_int_equal(ekd_path_file(dir, "none", &fd, NULL), EK_NOTFOUND);
	/* Nobody writes to it: it must not wait for one. */
	assert_int_equal(ekd_path_file(dir, "pipe", &fd, NULL), EK_INVALID);
	close(dir);
	remove_tree();
}

static void test_empty(void **state)
{
	char path[128];
	int dir;

	(void)state;
	make_tree();
	snprintf(path, sizeof(path), "%s/a", top);
	dir = open(path, O_PATH | O_DIRECTORY);
	assert_int_equal(ekd_path_empty(dir, "a", NULL), EK_EXISTS);
	close(dir);
	snprintf(path, sizeof(path), "%s/a/b", top);
	dir = open(path, O_PATH | O_DIRECTORY);
	assert_int_equal(ekd_path_empty(dir, "b", NULL), EK_OK);
	close(dir);
	remove_tree();
}

static void test_on_disk(void **state)
{
	int fd = open("/proc/self/mem", O_RDONLY);

	(void)state;
	assert_int_equal(ekd_path_on_disk(fd, "mem", NULL), EK_INVALID);
	close(fd);
	fd = open("/sys/kernel/notes", O_RDONLY);
	if (fd >= 0)
		assert_int_equal(ekd_path_on_disk(fd, "x", NULL), EK_INVALID);
	close(fd);
	fd = open("/etc/passwd", O_RDONLY);
	assert_int_equal(ekd_path_on_disk(fd, "passwd", NULL), EK_OK);
	close(fd);
}

/* What is recorded is found again, in order, and told dead. */
static void test_records(void **state)
{
	struct ekd_state *h = calloc(1, sizeof(*h));
	struct ekd_record *record = calloc(1, sizeof(*record));
	struct ekd_mount *mount = &record->mounted.mount;
	char id[EKD_ID], path[128];

	(void)state;
	make_tree();
	h->run_fd = open(top, O_PATH | O_DIRECTORY);
	mkdirat(h->run_fd, "mounts", 0700);
	assert_int_equal(ekd_record_next(h, "", id, NULL), EK_NOTFOUND);
	strcpy(mount->target, "/mnt/x");
	mount->primary.place = EKD_PLACE_DOOR;
	strcpy(mount->primary.name, "blob");
	strcpy(record->source, "/run/x/images/one/primary");
	strcpy(record->target, "/mnt/x");
	strcpy(mount->id, "one");
	assert_int_equal(ekd_record_write(h, record, true, NULL), EK_OK);
	strcpy(mount->id, "another");
	assert_int_equal(ekd_record_write(h, record, true, NULL), EK_OK);
	assert_int_equal(ekd_record_next(h, "", id, NULL), EK_OK);
	assert_string_equal(id, "another");
	assert_int_equal(ekd_record_next(h, id, id, NULL), EK_OK);
	assert_string_equal(id, "one");
	memset(record, 0, sizeof(*record));
	assert_int_equal(ekd_record_read(h, "one", record, NULL), EK_OK);
	assert_false(record->mounted.alive);
	assert_string_equal(record->mounted.mount.primary.name, "blob");
	assert_string_equal(record->target, "/mnt/x");
	assert_int_equal(ekd_record_read(h, "two", record, NULL), EK_NOTFOUND);
	/* Nothing lives: nothing hinders a stop. */
	assert_int_equal(ekd_record_lazy(h, id, NULL), EK_NOTFOUND);
	/* A damaged one is no record. */
	snprintf(path, sizeof(path), "%s/mounts/one", top);
	assert_int_equal(truncate(path, 5000), 0);
	assert_int_equal(ekd_record_read(h, "one", record, NULL), EK_CORRUPT);
	ekd_record_remove(h, "one");
	ekd_record_remove(h, "another");
	assert_int_equal(ekd_record_next(h, "", id, NULL), EK_NOTFOUND);
	unlinkat(h->run_fd, "mounts", AT_REMOVEDIR);
	close(h->run_fd);
	remove_tree();
	free(record);
	free(h);
}

const struct CMUnitTest path_tests[] = {
	cmocka_unit_test(test_beneath), cmocka_unit_test(test_file),
	cmocka_unit_test(test_empty),	cmocka_unit_test(test_on_disk),
	cmocka_unit_test(test_records), UNIT_END};
