/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The system calls of a worker: files that it has or makes, sockets, threads,
 * memory, time. Whatever else is tried fails with EPERM, so that a library
 * which only asks goes on; what only an attacker tries ends the process.
 */

#include "cachefilesd/worker/boot.h"

#include <errno.h>
#include <seccomp.h>
#include <unistd.h>

#ifndef __has_feature /* clang's word; gcc has macros */
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||           \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1 /* their run times trace, re-execute and set limits */
#else
#define SANITIZED 0
#endif

static const char *const allowed[] = {
	/* files */
	"read",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"lseek",
	"_llseek",
	"open",
	"openat",
	"openat2",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"fcntl64",
	"flock",
	"stat",
	"stat64",
	"fstat",
	"fstat64",
	"lstat",
	"lstat64",
	"newfstatat",
	"fstatat64",
	"statx",
	"statfs",
	"statfs64",
	"fstatfs",
	"fstatfs64",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"getdents",
	"mkdir",
	"mkdirat",
	"rmdir",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	"link",
	"linkat",
	"symlink",
	"symlinkat",
	"ftruncate",
	"ftruncate64",
	"fallocate",
	"fsync",
	"fdatasync",
	"syncfs",
	"sync_file_range",
	"fadvise64",
	"fadvise64_64",
	"fchmod",
	"fchmodat",
	"chmod",
	"utimensat",
	"umask",
	"getcwd",
	"chdir",
	"fchdir",
	"ioctl",
	"sendfile",
	"sendfile64",
	"copy_file_range",
	"splice",
	"memfd_create",
	"fgetxattr",
	"fsetxattr",
	/* sockets and waiting */
	"socket",
	"socketpair",
	"connect",
	"accept",
	"accept4",
	"bind",
	"listen",
	"getsockname",
	"getpeername",
	"getsockopt",
	"setsockopt",
	"sendto",
	"recvfrom",
	"sendmsg",
	"recvmsg",
	"sendmmsg",
	"recvmmsg",
	"shutdown",
	"send",
	"recv",
	"poll",
	"ppoll",
	"select",
	"_newselect",
	"pselect6",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"signalfd",
	"signalfd4",
	"pipe",
	"pipe2",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	/* memory */
	"brk",
	"mmap",
	"mmap2",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"mlock",
	"munlock",
	"mincore",
	"msync",
	"membarrier",
	/* threads, signals, time */
	"clone",
	"clone3",
	"futex",
	"futex_waitv",
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"set_tid_address",
	"gettid",
	"getpid",
	"getppid",
	"tgkill",
	"tkill",
	"exit",
	"exit_group",
	"restart_syscall",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"rt_sigpending",
	"rt_sigsuspend",
	"rt_sigqueueinfo",
	"sigaltstack",
	"sigreturn",
	"sched_yield",
	"sched_getaffinity",
	"sched_setaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"nanosleep",
	"clock_nanosleep",
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
	"times",
	"wait4",
	"getrandom",
	"sysinfo",
	"uname",
	"getrusage",
	"getrlimit",
	"ugetrlimit",
	"prlimit64",
	"prctl",
	"arch_prctl",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getuid32",
	"geteuid32",
	"getgid32",
	"getegid32",
	"getgroups",
	"getresuid",
	"getresgid",
	"capget",
	"getcpu",
	"setpriority",
	"getpriority",
	"ioprio_set",
	NULL,
};

/* What a worker has no reason to try. */
static const char *const fatal[] = {
	"execve",
	"execveat",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"mount",
	"umount2",
	"fsopen",
	"fsmount",
	"move_mount",
	"open_tree",
	"pivot_root",
	"chroot",
	"setns",
	"unshare",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"keyctl",
	"add_key",
	"request_key",
	"open_by_handle_at",
	"setuid",
	"setgid",
	"setresuid",
	"setresgid",
	"setgroups",
	"reboot",
	"swapon",
	"io_uring_setup",
	NULL,
};

static int add_rules(scmp_filter_ctx filter)
{
	int sys = 0;

	for (int i = 0; allowed[i] && sys == 0; i++) {
		int number = seccomp_syscall_resolve_name(allowed[i]);

		if (number >= 0) /* else: not of this machine */
			sys = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number,
					       0);
	}
	for (int i = 0; fatal[i] && sys == 0; i++) {
		int number = seccomp_syscall_resolve_name(fatal[i]);

		if (number >= 0)
			sys = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS,
					       number, 0);
	}
	/* It may signal itself, as abort() does, and nobody else. */
	if (sys == 0)
		sys = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return sys;
}

ek_status ekd_boot_seccomp(const struct ekd_boot *boot, struct ek_err *err)
{
	scmp_filter_ctx filter;
	int sys;

	filter = seccomp_init(SANITIZED ? SCMP_ACT_ALLOW
					: SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return ek_fail(err, EK_NOMEM, "no memory for a seccomp filter");
	sys = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (sys == 0)
		sys = SANITIZED ? 0 : add_rules(filter);
	if (sys == 0)
		sys = seccomp_load(filter);
	seccomp_release(filter);
	if (sys == -EINVAL || sys == -EOPNOTSUPP)
		return ek_fail(err, EK_UNSUPPORTED,
			       "the kernel has no seccomp filters");
	if (sys < 0)
		return ek_fail_sys(err, -sys, "seccomp filter");
	if (boot->step)
		boot->step(boot->arg, "boot:confined");
	return EK_OK;
}
