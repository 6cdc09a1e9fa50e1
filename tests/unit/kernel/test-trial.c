/* SPDX-License-Identifier: Apache-2.0 */

/* Doors tried out; what needs a kernel with EROFS and root is skipped. */

#include "unit.h"

#include "cachefilesd/kernel/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a directory of its own, so that what a test leaves goes with it. */
struct place {
	char dir[64], before[4096];
	int primary, device;
};

static void enter(struct place *p)
{
	struct ek_err err;

	strcpy(p->dir, "/var/tmp/ekd-trial-XXXXXX");
	assert_non_null(getcwd(p->before, sizeof(p->before)));
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(chdir(p->dir), 0);
	assert_int_equal(ekd_trial_image(&p->primary, &p->device, &err), EK_OK);
}

static void leave(struct place *p)
{
	close(p->primary);
	close(p->device);
	assert_int_equal(unlink("tree/" EKD_TRIAL_NAME), 0);
	assert_int_equal(rmdir("tree"), 0);
	assert_int_equal(unlink("primary"), 0);
	assert_int_equal(unlink("device"), 0);
	assert_int_equal(chdir(p->before), 0);
	assert_int_equal(rmdir(p->dir), 0);
}

static void skip_without_files(void)
{
	int fd = fsopen("erofs", FSOPEN_CLOEXEC);

	if (fd < 0)
		skip();
	close(fd);
}

/* The data lie in the device, all of them and in order. */
static void test_pair(void **state)
{
	uint8_t want[EKD_TRIAL_BYTES], got[EKD_TRIAL_BYTES];
	struct stat st;
	struct place p;

	(void)state;
	enter(&p);
	ekd_trial_known(want);
	assert_int_equal(fstat(p.primary, &st), 0);
	assert_in_range(st.st_size, 4096, EKD_TRIAL_BYTES - 1);
	assert_int_equal(pread(p.device, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	leave(&p);
}

static void test_files(void **state)
{
	struct ek_err err = {.text = ""};
	struct place p;
	uint8_t byte;
	ek_status s;

	(void)state;
	skip_without_files();
	enter(&p);
	s = ekd_trial_read("primary", "device", &err);
	if (s != EK_UNSUPPORTED) {
		assert_string_equal(err.text, "");
		assert_int_equal(s, EK_OK);
	}
	leave(&p);
	enter(&p);
	assert_int_equal(pread(p.device, &byte, 1, EKD_TRIAL_BYTES - 1), 1);
	byte ^= 1;
	assert_int_equal(pwrite(p.device, &byte, 1, EKD_TRIAL_BYTES - 1), 1);
	if (s == EK_OK)
		assert_int_equal(ekd_trial_read("primary", "device", NULL),
				 EK_DIFFERS);
	leave(&p);
}

/* Holes where data should be are what a door that fails open gives. */
static void test_holes(void **state)
{
	struct place p;
	ek_status s;

	(void)state;
	skip_without_files();
	enter(&p);
	assert_int_equal(ftruncate(p.device, 0), 0);
	assert_int_equal(ftruncate(p.device, 1 << 16), 0);
	s = ekd_trial_read("primary", "device", NULL);
	assert_true(s == EK_DIFFERS || s == EK_UNSUPPORTED);
	leave(&p);
}

static void test_doors(void **state)
{
	struct ekd_trial trial;

	(void)state;
	skip_without_files();
	if (access("/dev/fuse", R_OK | W_OK) != 0)
		skip();
	ekd_trial_run(EKD_TRIAL_FUSE, 60000, &trial);
	if (trial.status != EK_OK)
		assert_non_null(strstr(trial.text, "block devices alone"));
	if (access("/dev/loop-control", R_OK | W_OK) != 0)
		return;
	ekd_trial_run(EKD_TRIAL_LOOP, 60000, &trial);
	assert_string_equal(trial.text, "");
	assert_int_equal(trial.status, EK_OK);
}

/* It ends, whoever waits for what. */
static void test_deadline(void **state)
{
	struct ekd_trial trial;

	(void)state;
	if (geteuid() != 0)
		skip();
	ekd_trial_run(EKD_TRIAL_FUSE, 0, &trial);
	assert_int_equal(trial.status, EK_IO);
	assert_string_equal(trial.text, "the trial did not end in 0 ms");
}

static void test_no_rights(void **state)
{
	struct ekd_trial trial;

	(void)state;
	if (geteuid() == 0)
		skip();
	ekd_trial_run(EKD_TRIAL_FUSE, 1000, &trial);
	assert_int_not_equal(trial.status, EK_OK);
	assert_int_not_equal(trial.text[0], 0);
}

const struct CMUnitTest trial_tests[] = {cmocka_unit_test(test_pair),
					 cmocka_unit_test(test_files),
					 cmocka_unit_test(test_holes),
					 cmocka_unit_test(test_doors),
					 cmocka_unit_test(test_deadline),
					 cmocka_unit_test(test_no_rights),
					 UNIT_END};
