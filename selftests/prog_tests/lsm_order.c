// SPDX-License-Identifier: GPL-2.0

/* Programs come after the security modules that are built in, and are not
 * asked about what one of them has already denied.
 *
 * This would catch: programs that run first and so see, and could log as
 * permitted, what Yama or Landlock then denies; a denial that is lost or
 * replaced by the program's opinion; a module's permission that keeps programs
 * from being asked.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_order.skel.h"

#define PTRACE_SCOPE	"/proc/sys/kernel/yama/ptrace_scope"

static struct lsm_order *skel;

/* Is the module active, and asked before the BPF LSM? */
static bool skip_unless_before_bpf(__u64 id)
{
	int module = lsm_position(id), bpf = lsm_position(LSM_TEST_ID_BPF);

	if (module < 0) {
		lsm_skip("the module is not in the lsm= list");
		return true;
	}
	/* Where programs run last anyway the list does not matter. */
	if (module > bpf && !lsm_has_chains()) {
		lsm_skip("the module comes after bpf in the lsm= list");
		return true;
	}
	return false;
}

static bool setup(void)
{
	skel = lsm_order__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	return ASSERT_OK(lsm_order__attach(skel), "attach");
}

static void teardown(void)
{
	lsm_order__destroy(skel);
	skel = NULL;
}

/* The child says with its exit status which errno it met. */
static int errno_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int read_scope(void)
{
	int fd = open(PTRACE_SCOPE, O_RDONLY | O_CLOEXEC);
	char c = 0;

	if (fd < 0 || read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c - '0';
}

static int write_scope(int scope)
{
	int fd = open(PTRACE_SCOPE, O_WRONLY | O_CLOEXEC);
	char c = '0' + scope;
	int err;

	err = write(fd, &c, 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

/* Attach to a process without CAP_SYS_PTRACE, and return errno. */
static int ptrace_errno(void)
{
	pid_t target, tracer;
	int err;

	target = fork();
	if (!target) {
		for (;;)
			pause();
	}
	skel->bss->ptrace_calls = 0;
	tracer = fork();
	if (!tracer) {
		if (cap_disable_effective(1ULL << CAP_SYS_PTRACE, NULL))
			_exit(ECHILD);
		skel->bss->monitored_pid = getpid();
		_exit(ptrace(PTRACE_SEIZE, target, 0, 0) ? errno : 0);
	}
	err = errno_of(tracer);
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	return err;
}

static void yama_ptrace(void)
{
	int scope;

	if (skip_unless_before_bpf(LSM_TEST_ID_YAMA))
		return;
	scope = read_scope();
	if (!ASSERT_GE(scope, 0, "read " PTRACE_SCOPE))
		return;
	if (scope > 2) {
		lsm_skip("ptrace_scope cannot be changed any more");
		return;
	}
	if (!setup())
		goto out;

	/* Only those with CAP_SYS_PTRACE may. */
	if (!ASSERT_OK(write_scope(2), "restrict"))
		goto out;
	ASSERT_EQ(ptrace_errno(), EPERM, "ptrace when Yama denies");
	ASSERT_EQ(skel->bss->ptrace_calls, 0, "calls when Yama denies");

	if (!ASSERT_OK(write_scope(0), "permit"))
		goto out;
	ASSERT_OK(ptrace_errno(), "ptrace when Yama permits");
	ASSERT_EQ(skel->bss->ptrace_calls, 1, "calls when Yama permits");
out:
	write_scope(scope);
	teardown();
}

/* From now on this process may do nothing of @access. */
static int landlock(__u64 access)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = access };
	int fd, err;

	fd = syscall(__NR_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return -errno;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	err = syscall(__NR_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return err;
}

static int open_file(int dir)
{
	int fd = openat(dir, "file", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int make_directory(int dir)
{
	return mkdirat(dir, "directory", 0700) ? errno : 0;
}

/* Call @operation in a child, restricted by Landlock if there is an @access
 * to restrict, and return errno.
 */
static int landlocked_errno(int dir, int (*operation)(int dir), __u64 access)
{
	pid_t pid;

	skel->bss->open_calls = 0;
	skel->bss->mkdir_calls = 0;
	pid = fork();
	if (!pid) {
		if (access && landlock(access))
			_exit(ECHILD);
		skel->bss->monitored_pid = getpid();
		_exit(operation(dir));
	}
	return errno_of(pid);
}

static void check_landlock(int (*operation)(int dir), __u64 access, int *calls)
{
	int dir = lsm_mount("tmpfs");

	if (!ASSERT_OK_FD(dir, "mount tmpfs"))
		return;
	ASSERT_OK(mknodat(dir, "file", S_IFREG | 0600, 0), "make a file");

	ASSERT_EQ(landlocked_errno(dir, operation, access), EACCES, "when Landlock denies");
	ASSERT_EQ(*calls, 0, "calls when Landlock denies");
	ASSERT_EQ(landlocked_errno(dir, operation, 0), 0, "when Landlock permits");
	ASSERT_EQ(*calls, 1, "calls when Landlock permits");
	close(dir);
}

static void landlock_open(void)
{
	if (skip_unless_before_bpf(LSM_TEST_ID_LANDLOCK))
		return;
	if (setup())
		check_landlock(open_file, LANDLOCK_ACCESS_FS_READ_FILE,
			       &skel->bss->open_calls);
	teardown();
}

static void landlock_mkdir(void)
{
	if (skip_unless_before_bpf(LSM_TEST_ID_LANDLOCK))
		return;
	if (setup())
		check_landlock(make_directory, LANDLOCK_ACCESS_FS_MAKE_DIR,
			       &skel->bss->mkdir_calls);
	teardown();
}

void test_lsm_order(void)
{
	if (test__start_subtest("yama_ptrace"))
		yama_ptrace();
	if (test__start_subtest("landlock_open"))
		landlock_open();
	if (test__start_subtest("landlock_mkdir"))
		landlock_mkdir();
}
