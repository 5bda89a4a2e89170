// SPDX-License-Identifier: GPL-2.0

/* Attaching and detaching when memory runs out: the first allocation of a command
 * fails, then the second, until one run needs no more than it gets.
 *
 * This would catch: a command that fails and has changed something all the same;
 * a program that is lost, or is there twice, because of what happened to another
 * one; a program that is said to be attached and does not run, or the other way
 * round; a detach that fails, or is never made good; a program, or a place in a
 * hook, that is leaked on the way out. lsm_update does the same to updates and
 * to a link that is detached.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/syscall.h>

#include "cgroup_helpers.h"
#include "lsm_helpers.h"
#include "lsm_update.skel.h"

#define CGROUP "/lsm_nomem"

/* There are fewer allocations than that in any command. */
#define MAX_NTH 300

/* What a program's slot is called in progs/lsm_update.c. */
enum { A, B, C, D, NR_SLOTS };

static struct lsm_update *skel;
static int fail = -1, hook_id;

static bool setup(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel cannot be asked what is attached");
		return false;
	}
	fail = lsm_open_fail_nth();
	if (fail < 0)
		return false;
	hook_id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	skel = lsm_update__open_and_load();
	if (!ASSERT_GT(hook_id, 0, "task_getpgid") || !ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_update__destroy(skel);
	skel = NULL;
	if (fail >= 0)
		close(fail);
	fail = -1;
}

static int prog_fd(int slot)
{
	struct bpf_program *progs[NR_SLOTS] = {
		skel->progs.prog_a, skel->progs.prog_b, skel->progs.prog_c,
		skel->progs.prog_d,
	};

	return bpf_program__fd(progs[slot]);
}

static __u32 prog_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Which programs run, in order? "" is none, "AC" two of them. */
static const char *who_runs(void)
{
	static char names[NR_SLOTS + 1];
	int slot;

	memset(skel->bss->turn, 0, sizeof(skel->bss->turn));
	skel->bss->turns = 0;
	syscall(__NR_getpgid, getpid());
	memset(names, 0, sizeof(names));
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (skel->bss->turn[slot])
			names[skel->bss->turn[slot] - 1] = 'A' + slot;
	return names;
}

/* The same according to the kernel. What is none of these is a "-". */
static const char *who_is_listed(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	static char names[NR_SLOTS + 2];
	__u32 ids[NR_SLOTS + 1];
	int i, slot;

	memset(names, 0, sizeof(names));
	opts.prog_ids = ids;
	opts.count = ARRAY_SIZE(ids);
	if (bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &opts))
		return "an error";
	for (i = 0; i < opts.count; i++) {
		names[i] = '-';
		for (slot = 0; slot < NR_SLOTS; slot++)
			if (ids[i] == prog_id(prog_fd(slot)))
				names[i] = 'A' + slot;
	}
	return names;
}

/* @runs are attached, and among them programs of cgroups in @listed. */
static bool check(const char *runs, const char *listed, const char *when)
{
	return ASSERT_STREQ(who_runs(), runs, when) &
	       ASSERT_STREQ(who_is_listed(), listed, when);
}

/* What has been detached may be in force until there is memory. It is @before
 * till it is @after, and nothing in between.
 */
static bool check_becomes(const char *before, const char *after, const char *when)
{
	const char *runs = "";
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		runs = who_runs();
		if (!strcmp(runs, after))
			return true;
		if (!ASSERT_STREQ(runs, before, when))
			return false;
		usleep(10 * 1000);
	}
	return ASSERT_STREQ(runs, after, when);
}

/* Attach A behind @others, and see each attempt fail or succeed altogether. */
static void check_attach(const char *others, const char *with_a)
{
	int nth, fd = -1, failures = 0;
	bool failed = true;

	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		if (!ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			return;
		fd = lsm_raw_tp_open(prog_fd(A));
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		if (fd < 0) {
			failures++;
			if (!ASSERT_TRUE(failed, "failed for a reason") ||
			    !ASSERT_TRUE(fd == -ENOMEM || fd == -ENFILE, "error") ||
			    !check(others, others, "not attached"))
				return;
			continue;
		}
		if (!check(with_a, with_a, "attached"))
			failed = false;
		close(fd);
		check(others, others, "closed");
	}
	ASSERT_LT(nth, MAX_NTH, "it came to an end");
	ASSERT_GT(failures, 3, "attempts that failed");
	ASSERT_GE(fd, 0, "attach with memory");
}

static void attach_first(void)
{
	__u32 id = 0;

	if (setup()) {
		id = prog_id(prog_fd(A));
		check_attach("", "A");
	}
	teardown();
	if (id)
		ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

static void attach_another(void)
{
	int b = -1, c = -1;
	__u32 id = 0;

	if (setup()) {
		id = prog_id(prog_fd(A));
		b = lsm_raw_tp_open(prog_fd(B));
		c = lsm_raw_tp_open(prog_fd(C));
		if (ASSERT_OK_FD(b, "attach B") && ASSERT_OK_FD(c, "attach C"))
			check_attach("BC", "BCA");
	}
	if (b >= 0)
		close(b);
	if (c >= 0)
		close(c);
	teardown();
	if (id)
		ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

/* The last FD of B's link goes. Nobody would know whom to tell of an error. */
static void close_one_of_three(void)
{
	int a = -1, b = -1, c = -1, nth;
	bool failed = true;
	__u32 id = 0;

	if (!setup())
		goto out;
	id = prog_id(prog_fd(B));
	a = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(a, "attach A"))
		goto out;
	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		b = lsm_raw_tp_open(prog_fd(B));
		c = lsm_raw_tp_open(prog_fd(C));
		if (!ASSERT_OK_FD(b, "attach B") || !ASSERT_OK_FD(c, "attach C") ||
		    !check("ABC", "ABC", "before") ||
		    !ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		close(b);
		b = -1;
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		/* It is not a member any more, whether or not it still runs. */
		if (!ASSERT_STREQ(who_is_listed(), "AC", "listed") ||
		    !check_becomes("ABC", "AC", "B has gone"))
			goto out;
		close(c);
		c = -1;
	}
	ASSERT_GT(nth, 2, "allocations that failed");
	ASSERT_LT(nth, MAX_NTH, "it came to an end");
out:
	if (c >= 0)
		close(c);
	if (b >= 0)
		close(b);
	if (a >= 0)
		close(a);
	teardown();
	if (id)
		ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

/* The last program goes, and for that no memory is needed. */
static void close_the_last(void)
{
	bool failed = true;
	int nth, fd;

	if (setup()) {
		for (nth = 1; failed && nth < MAX_NTH; nth++) {
			fd = lsm_raw_tp_open(prog_fd(A));
			if (!ASSERT_OK_FD(fd, "attach") ||
			    !ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
				break;
			close(fd);
			failed = lsm_has_failed(fail);
			lsm_fail_nth(fail, 0);
			if (!check("", "", "closed"))
				break;
		}
	}
	teardown();
}

/* A is detached while there is no memory, and something else happens before it
 * is made good.
 */
static void attach_after_detach(void)
{
	int a = -1, b = -1, c = -1, nth;
	bool failed = true;

	if (!setup())
		goto out;
	b = lsm_raw_tp_open(prog_fd(B));
	if (!ASSERT_OK_FD(b, "attach B"))
		goto out;
	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		a = lsm_raw_tp_open(prog_fd(A));
		if (!ASSERT_OK_FD(a, "attach A") ||
		    !ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		ASSERT_OK(bpf_link_detach(a), "detach A");
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		/* A new chain is made of who is there, and nobody else. */
		c = lsm_raw_tp_open(prog_fd(C));
		if (!ASSERT_OK_FD(c, "attach C") || !check("BC", "BC", "A has gone, C has come"))
			goto out;
		/* A is free to come back. */
		close(a);
		a = lsm_raw_tp_open(prog_fd(A));
		if (!ASSERT_OK_FD(a, "attach A again") || !check("BCA", "BCA", "A is back"))
			goto out;
		close(a);
		a = -1;
		close(c);
		c = -1;
		if (!check("B", "B", "as before"))
			goto out;
	}
	ASSERT_GT(nth, 2, "allocations that failed");
out:
	if (c >= 0)
		close(c);
	if (b >= 0)
		close(b);
	if (a >= 0)
		close(a);
	teardown();
}

static int load_cgroup_prog(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_CGROUP,
		    .attach_btf_id = hook_id);

	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_nomem", "GPL", insns, ARRAY_SIZE(insns),
			     &opts);
}

/* Programs of a cgroup take one place in the hook, or none. */
static void cgroup(void)
{
	int cgroup_fd = -1, prog = -1, c = -1, nth, fd = -1, failures = 0;
	bool failed = true;
	__u32 id = 0;

	if (!setup())
		goto out;
	cgroup_fd = test__join_cgroup(CGROUP);
	prog = load_cgroup_prog();
	c = lsm_raw_tp_open(prog_fd(C));
	if (!ASSERT_OK_FD(cgroup_fd, "cgroup") || !ASSERT_OK_FD(prog, "program") ||
	    !ASSERT_OK_FD(c, "attach C"))
		goto out;
	id = prog_id(prog);
	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		if (!ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		fd = bpf_link_create(prog, cgroup_fd, BPF_LSM_CGROUP, NULL);
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		if (fd < 0) {
			failures++;
			if (!ASSERT_TRUE(failed, "failed for a reason") ||
			    !check("C", "C", "not attached"))
				goto out;
			continue;
		}
		if (!check("C", "C-", "attached"))
			goto out;
		close(fd);
		if (!check("C", "C", "closed"))
			goto out;
	}
	ASSERT_GT(failures, 3, "attempts that failed");

	failed = true;
	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		fd = bpf_link_create(prog, cgroup_fd, BPF_LSM_CGROUP, NULL);
		if (!ASSERT_OK_FD(fd, "attach with memory") ||
		    !ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		close(fd);
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		if (!check("C", "C", "closed without memory"))
			goto out;
	}
out:
	if (c >= 0)
		close(c);
	if (prog >= 0)
		close(prog);
	if (cgroup_fd >= 0) {
		close(cgroup_fd);
		join_root_cgroup();
		remove_cgroup(CGROUP);
	}
	teardown();
	if (id)
		ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

void serial_test_lsm_nomem(void)
{
	if (test__start_subtest("attach_first"))
		attach_first();
	if (test__start_subtest("attach_another"))
		attach_another();
	if (test__start_subtest("close_one_of_three"))
		close_one_of_three();
	if (test__start_subtest("close_the_last"))
		close_the_last();
	if (test__start_subtest("attach_after_detach"))
		attach_after_detach();
	if (test__start_subtest("cgroup"))
		cgroup();
}
