// SPDX-License-Identifier: GPL-2.0

/* BPF_PROG_QUERY tells what is attached to an LSM hook, in run order; who may
 * not see what others attach is not told. And what is attached runs whatever
 * becomes of ftrace.
 *
 * This would catch: programs that are missing, stale or in another order than
 * they run in; ids of links that belong to other programs; a count or an error
 * that does not say that there are more; a revision that stands still when
 * something changes; writing to where an older user space has no field; a
 * capability that is not asked for.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_attach.skel.h"

#define FTRACE_ENABLED "/proc/sys/kernel/ftrace_enabled"
#define UNTOUCHED 0xdead

/* What a program's slot is called in progs/lsm_attach.c. */
enum { A, B, C, NR_SLOTS };

static struct lsm_attach *skel;
static struct bpf_link *links[NR_SLOTS];
static int hook_id;

static bool setup(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel cannot be asked");
		return false;
	}
	hook_id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	if (!ASSERT_GT(hook_id, 0, "hook_id"))
		return false;
	skel = lsm_attach__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static struct bpf_program *program(int slot)
{
	struct bpf_program *progs[NR_SLOTS] = {
		skel->progs.prog_a, skel->progs.prog_b, skel->progs.prog_c,
	};

	return progs[slot];
}

static bool attach(int slot)
{
	links[slot] = bpf_program__attach_lsm(program(slot));
	return ASSERT_OK_PTR(links[slot], "attach");
}

static void detach(int slot)
{
	bpf_link__destroy(links[slot]);
	links[slot] = NULL;
}

static void teardown(void)
{
	int slot;

	for (slot = 0; slot < NR_SLOTS; slot++)
		detach(slot);
	lsm_attach__destroy(skel);
	skel = NULL;
}

static __u32 prog_id(int slot)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(program(slot)), &info, &len),
		  "prog info");
	return info.id;
}

static __u32 link_id(int slot)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(links[slot]), &info, &len), "link info");
	return info.id;
}

struct answer {
	__u32 prog_ids[4];
	__u32 link_ids[4];
	__u32 prog_flags[4];
	__u32 count;
	__u64 revision;
};

/* Ask with room for @room programs. Returns 0 or -errno. */
static int query(struct answer *answer, __u32 room)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	int i, err;

	for (i = 0; i < ARRAY_SIZE(answer->prog_ids); i++) {
		answer->prog_ids[i] = UNTOUCHED;
		answer->link_ids[i] = UNTOUCHED;
		answer->prog_flags[i] = UNTOUCHED;
	}
	opts.prog_ids = answer->prog_ids;
	opts.link_ids = answer->link_ids;
	opts.prog_attach_flags = answer->prog_flags;
	opts.count = room;
	err = bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &opts);
	answer->count = opts.count;
	answer->revision = opts.revision;
	return err;
}

/* Do @slots, @nr of them, run in this order, and does the kernel say so? */
static void check_order(const int *slots, int nr)
{
	struct answer answer;
	int i;

	if (!ASSERT_OK(query(&answer, 4), "query"))
		return;
	ASSERT_EQ(answer.count, nr, "count");
	memset(skel->bss->turn, 0, sizeof(skel->bss->turn));
	skel->bss->turns = 0;
	syscall(__NR_getpgid, getpid());
	ASSERT_EQ(skel->bss->turns, nr, "programs that ran");
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(skel->bss->turn[slots[i]], i + 1, "turn");
		ASSERT_EQ(answer.prog_ids[i], prog_id(slots[i]), "prog id");
		ASSERT_EQ(answer.link_ids[i], link_id(slots[i]), "link id");
		ASSERT_EQ(answer.prog_flags[i], 0, "flags");
	}
	ASSERT_EQ(answer.prog_ids[nr], UNTOUCHED, "prog id behind the last");
	ASSERT_EQ(answer.link_ids[nr], UNTOUCHED, "link id behind the last");
}

static void run_order(void)
{
	static const int abc[] = { A, B, C }, ac[] = { A, C }, acb[] = { A, C, B };

	if (!setup())
		return;
	check_order(NULL, 0);
	if (!attach(A) || !attach(B) || !attach(C))
		goto out;
	check_order(abc, 3);
	detach(B);
	check_order(ac, 2);
	if (!attach(B))
		goto out;
	check_order(acb, 3);
	detach(A);
	detach(B);
	detach(C);
	check_order(NULL, 0);
out:
	teardown();
}

static void count_only(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	struct answer answer;

	if (!setup())
		return;
	if (!attach(A) || !attach(B))
		goto out;
	ASSERT_OK(bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &opts), "query without arrays");
	ASSERT_EQ(opts.count, 2, "count without arrays");
	ASSERT_OK(query(&answer, 0), "query without room");
	ASSERT_EQ(answer.count, 2, "count without room");
	ASSERT_EQ(answer.prog_ids[0], UNTOUCHED, "prog id without room");
out:
	teardown();
}

static void no_space(void)
{
	struct answer answer;

	if (!setup())
		return;
	if (!attach(A) || !attach(B) || !attach(C))
		goto out;
	ASSERT_EQ(query(&answer, 2), -ENOSPC, "query with too little room");
	ASSERT_EQ(answer.count, 3, "count");
	ASSERT_EQ(answer.prog_ids[0], prog_id(A), "first");
	ASSERT_EQ(answer.prog_ids[1], prog_id(B), "second");
	ASSERT_EQ(answer.link_ids[1], link_id(B), "link of the second");
	ASSERT_EQ(answer.prog_ids[2], UNTOUCHED, "third");
	ASSERT_EQ(answer.link_ids[2], UNTOUCHED, "link of the third");
	ASSERT_OK(query(&answer, 3), "query with just enough room");
out:
	teardown();
}

static __u64 revision(void)
{
	struct answer answer;

	return ASSERT_OK(query(&answer, 4), "query") ? answer.revision : 0;
}

static void revision_grows(void)
{
	__u64 empty, attached, detached;

	if (!setup())
		return;
	empty = revision();
	ASSERT_GT(empty, 0, "revision");
	ASSERT_EQ(revision(), empty, "revision without a change");
	if (!attach(A))
		goto out;
	attached = revision();
	ASSERT_GT(attached, empty, "revision after attach");
	detach(A);
	detached = revision();
	ASSERT_GT(detached, attached, "revision after detach");
	ASSERT_EQ(revision(), detached, "revision without a change");
out:
	teardown();
}

static void wrong_arguments(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .query_flags = BPF_F_QUERY_EFFECTIVE);
	union bpf_attr attr = {};
	int id;

	if (!setup())
		return;
	ASSERT_EQ(bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &opts), -EINVAL, "effective");
	opts.query_flags = 0;
	ASSERT_EQ(bpf_prog_query_opts(0, BPF_LSM_MAC, &opts), -ENOENT, "no BTF id");

	id = libbpf_find_vmlinux_btf_id("security_file_open", BPF_TRACE_FENTRY);
	if (ASSERT_GT(id, 0, "a function that is no hook"))
		ASSERT_EQ(bpf_prog_query_opts(id, BPF_LSM_MAC, &opts), -ENOENT, "no hook");

	attr.query.target_btf_id = hook_id;
	attr.query.attach_type = BPF_LSM_MAC;
	attr.query.attach_flags = BPF_F_ALLOW_MULTI;
	ASSERT_EQ(syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)), -1, "attach flags");
	ASSERT_EQ(errno, EINVAL, "errno of attach flags");

	attr.query.attach_flags = 0;
	attr.query.prog_ids = 1;
	attr.query.count = 1;
	ASSERT_OK(syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)), "bad array, no program");
	if (!attach(A))
		goto out;
	attr.query.count = 1;
	ASSERT_EQ(syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)), -1, "bad array");
	ASSERT_EQ(errno, EFAULT, "errno of a bad array");
out:
	teardown();
}

/* User space whose bpf_attr ends where it did before tcx. */
static void old_user_space(void)
{
	size_t size = offsetof(union bpf_attr, query.link_ids);
	union bpf_attr attr = {};
	__u32 id = UNTOUCHED;

	if (!setup())
		return;
	if (!attach(A))
		goto out;
	attr.query.target_btf_id = hook_id;
	attr.query.attach_type = BPF_LSM_MAC;
	attr.query.prog_ids = ptr_to_u64(&id);
	attr.query.count = 1;
	memset((char *)&attr + size, 0x5a, sizeof(attr) - size);
	ASSERT_OK(syscall(__NR_bpf, BPF_PROG_QUERY, &attr, size), "query");
	ASSERT_EQ(attr.query.count, 1, "count");
	ASSERT_EQ(id, prog_id(A), "prog id");
	ASSERT_EQ(attr.query.revision, 0x5a5a5a5a5a5a5a5aULL, "revision");
out:
	teardown();
}

/* What query() returns without some capabilities. */
static int query_without(__u64 caps)
{
	struct answer answer;
	__u64 old = 0;
	int ret;

	if (!ASSERT_OK(cap_disable_effective(caps, &old), "drop capabilities"))
		return -ECHILD;
	ret = query(&answer, 4);
	ASSERT_OK(cap_enable_effective(old, NULL), "restore capabilities");
	return ret;
}

static int query_in_userns(void)
{
	struct answer answer;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(unshare(CLONE_NEWUSER) ? ECHILD : -query(&answer, 4));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static void capabilities(void)
{
	__u64 sys = 1ULL << CAP_SYS_ADMIN, net = 1ULL << CAP_NET_ADMIN;
	__u64 bpf = 1ULL << CAP_BPF, mac = 1ULL << CAP_MAC_ADMIN;

	if (!setup())
		return;
	ASSERT_EQ(query_without(sys), -EPERM, "without SYS_ADMIN");
	ASSERT_EQ(query_without(sys | net | bpf | mac), -EPERM, "without any");
	ASSERT_OK(query_without(net | bpf | mac), "without any but SYS_ADMIN");
	ASSERT_EQ(query_in_userns(), -EPERM, "root of a user namespace");
	teardown();
}

static bool set_ftrace(const char *value)
{
	return ASSERT_OK(write_sysctl(FTRACE_ENABLED, value), "set " FTRACE_ENABLED);
}

static int calls_of(int slot)
{
	skel->bss->calls[slot] = 0;
	syscall(__NR_getpgid, getpid());
	return skel->bss->calls[slot];
}

/* Hooks do not depend on tracing, which root may switch off. */
static void ftrace_disabled(void)
{
	static const int ab[] = { A, B }, b[] = { B };

	if (!setup())
		return;
	if (!attach(A))
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls before");
	if (!set_ftrace("0"))
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls with ftrace disabled");
	if (attach(B)) {
		check_order(ab, 2);
		detach(A);
		check_order(b, 1);
		if (lsm_enforcing()) {
			skel->bss->verdict[B] = -EACCES;
			ASSERT_EQ(syscall(__NR_getpgid, getpid()), -1, "denial");
			ASSERT_EQ(errno, EACCES, "errno of the denial");
		}
	}
	set_ftrace("1");
	ASSERT_EQ(calls_of(B), 1, "calls with ftrace enabled again");
out:
	teardown();
}

void serial_test_lsm_query(void)
{
	if (test__start_subtest("run_order"))
		run_order();
	if (test__start_subtest("count_only"))
		count_only();
	if (test__start_subtest("no_space"))
		no_space();
	if (test__start_subtest("revision_grows"))
		revision_grows();
	if (test__start_subtest("wrong_arguments"))
		wrong_arguments();
	if (test__start_subtest("old_user_space"))
		old_user_space();
	if (test__start_subtest("capabilities"))
		capabilities();
	if (test__start_subtest("ftrace_disabled"))
		ftrace_disabled();
}
