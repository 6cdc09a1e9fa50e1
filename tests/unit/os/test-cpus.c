/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp.h"
#include "unit.h"

#include "os/cpus.h"
#include "os/pool.h"

#include <sched.h>
#include <sys/stat.h>

struct place {
	struct tmp tmp;
	char proc[512], mount[512];
};

static void make_place(struct place *p, const char *proc)
{
	tmp_make(&p->tmp);
	assert_int_equal(mkdirat(p->tmp.fd, "cg", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "cg/cpu", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "cg/cpu/a", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "cg/a", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "cg/a/b", 0700), 0);
	tmp_write(&p->tmp, "proc", proc);
	tmp_path(&p->tmp, "proc", p->proc);
	tmp_path(&p->tmp, "cg", p->mount);
}

static void version_2(void **state)
{
	struct place p;

	(void)state;
	make_place(&p, "0::/a/b\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), EK_CPUS_UNLIMITED);
	tmp_write(&p.tmp, "cg/a/b/cpu.max", "max 100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), EK_CPUS_UNLIMITED);
	tmp_write(&p.tmp, "cg/a/b/cpu.max", "400000 100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 4);
	tmp_write(&p.tmp, "cg/a/cpu.max", "150000 100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 2);
	tmp_write(&p.tmp, "cg/cpu.max", "1000 100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 1);
	/* Not our parent: what is above the mount is never asked. */
	tmp_write(&p.tmp, "cpu.max", "1 100000\n");
	tmp_write(&p.tmp, "cg/cpu.max", "max 100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 2);
	tmp_write(&p.tmp, "cg/a/cpu.max", "5 0\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 4);
	tmp_remove(&p.tmp);
}

static void version_1(void **state)
{
	struct place p;

	(void)state;
	make_place(&p, "4:memory:/a\n3:cpuset:/x\n2:cpuacct,cpu:/a\n0::/\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), EK_CPUS_UNLIMITED);
	tmp_write(&p.tmp, "cg/cpu/a/cpu.cfs_quota_us", "-1\n");
	tmp_write(&p.tmp, "cg/cpu/a/cpu.cfs_period_us", "100000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), EK_CPUS_UNLIMITED);
	tmp_write(&p.tmp, "cg/cpu/a/cpu.cfs_quota_us", "250000\n");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), 3);
	tmp_write(&p.tmp, "proc", "2:cpuset:/a");
	assert_int_equal(ek_cpus_quota(p.proc, p.mount), EK_CPUS_UNLIMITED);
	tmp_remove(&p.tmp);
}

static void strange_files(void **state)
{
	static const char *const texts[] = {
		"", "\n", "::", "0::", "x", "0::/../..", "1:cpu", "0::/nowhere",
	};
	struct place p;

	(void)state;
	make_place(&p, "");
	tmp_write(&p.tmp, "cg/a/cpu.max", "rubbish");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tmp_write(&p.tmp, "proc", texts[i]);
		assert_int_equal(ek_cpus_quota(p.proc, p.mount),
				 EK_CPUS_UNLIMITED);
	}
	assert_int_equal(ek_cpus_quota("/nowhere", p.mount), EK_CPUS_UNLIMITED);
	tmp_remove(&p.tmp);
}

static void affinity_counts(void **state)
{
	cpu_set_t old, one;
	int first = 0;

	(void)state;
	assert_true(ek_cpus() >= 1);
	if (sched_getaffinity(0, sizeof(old), &old))
		skip();
	while (first < CPU_SETSIZE - 1 && !CPU_ISSET(first, &old))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		skip();
	assert_int_equal(ek_cpus(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(old), &old), 0);
}

extern const struct CMUnitTest cpus_tests[];
const struct CMUnitTest cpus_tests[] = {
	cmocka_unit_test(version_2),
	cmocka_unit_test(version_1),
	cmocka_unit_test(strange_files),
	cmocka_unit_test(affinity_counts),
	UNIT_END,
};
