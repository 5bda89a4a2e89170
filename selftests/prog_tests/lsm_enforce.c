// SPDX-License-Identifier: GPL-2.0

/* With CONFIG_BPF_LSM_ENFORCE=n every program runs and nothing is denied, and
 * otherwise a denial is a denial.
 *
 * This would catch: an audit-only kernel that denies, or that stops at the
 * first program with an opinion; a kernel that is meant to enforce and does
 * not.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lsm_helpers.h"
#include "lsm_enforce.skel.h"

static struct lsm_enforce *skel;

static bool setup(void)
{
	skel = lsm_enforce__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

static void teardown(void)
{
	lsm_enforce__destroy(skel);
	skel = NULL;
}

/* Meet the hook of these programs alone, and return 0 or -errno. */
static int get_scheduler(void)
{
	int ret;

	memset(skel->bss->scheduler_calls, 0, sizeof(skel->bss->scheduler_calls));
	skel->bss->monitored_pid = getpid();
	ret = syscall(__NR_sched_getscheduler, 0);
	skel->bss->monitored_pid = 0;
	return ret < 0 ? -errno : 0;
}

static int map_page(void)
{
	long size = sysconf(_SC_PAGESIZE);
	void *page;
	int err;

	skel->bss->mmap_calls = 0;
	skel->bss->monitored_pid = getpid();
	page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	err = page == MAP_FAILED ? -errno : 0;
	skel->bss->monitored_pid = 0;
	if (!err)
		munmap(page, size);
	return err;
}

static void one_program(void)
{
	int fd;

	if (!setup())
		return;
	fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.deny_scheduler_0));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(get_scheduler(), lsm_enforcing() ? -EPERM : 0, "verdict");
	ASSERT_EQ(skel->bss->scheduler_calls[0], 1, "calls");
	close(fd);
	ASSERT_OK(get_scheduler(), "verdict after detach");
	ASSERT_EQ(skel->bss->scheduler_calls[0], 0, "calls after detach");
out:
	teardown();
}

/* Where verdicts are not applied the first does not hide the second. */
static void two_programs(void)
{
	int fds[2];

	if (!setup())
		return;
	fds[0] = lsm_raw_tp_open(bpf_program__fd(skel->progs.deny_scheduler_0));
	fds[1] = lsm_raw_tp_open(bpf_program__fd(skel->progs.deny_scheduler_1));
	if (!ASSERT_OK_FD(fds[0], "attach 0") || !ASSERT_OK_FD(fds[1], "attach 1"))
		goto out;
	ASSERT_EQ(get_scheduler(), lsm_enforcing() ? -EPERM : 0, "verdict");
	ASSERT_EQ(skel->bss->scheduler_calls[0] + skel->bss->scheduler_calls[1],
		  lsm_enforcing() ? 1 : 2, "programs that ran");
	close(fds[0]);
	close(fds[1]);
out:
	teardown();
}

static void another_hook(void)
{
	int fd;

	if (!setup())
		return;
	fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.deny_mmap));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(map_page(), lsm_enforcing() ? -EPERM : 0, "verdict");
	ASSERT_EQ(skel->bss->mmap_calls, 1, "calls");
	close(fd);
	ASSERT_OK(map_page(), "verdict after detach");
out:
	teardown();
}

void test_lsm_enforce(void)
{
	if (test__start_subtest("one_program"))
		one_program();
	if (test__start_subtest("two_programs"))
		two_programs();
	if (test__start_subtest("another_hook"))
		another_hook();
}
