// SPDX-License-Identifier: GPL-2.0

/* An LSM program runs from when it is attached until the last reference to the
 * link goes, whichever way it goes, and several programs share a hook.
 *
 * This would catch: a program that still runs after detach, or that stops
 * while a file descriptor, a pin or another process holds the link; a hook
 * that loses the other programs when one leaves; a call that meets no program
 * while the programs of its hook are being changed; programs that run in
 * another order than they were attached in; a denial that a later program
 * overrules; a wrong limit; links that show the wrong type or target; runs
 * that are not counted while run statistics are on, or that are when they are
 * off.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "lsm_helpers.h"
#include "lsm_attach.skel.h"

/* What a program's slot is called in progs/lsm_attach.c. */
enum { A, B, C, NR_SLOTS };

static struct lsm_attach *skel;

static bool setup(void)
{
	skel = lsm_attach__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_attach__destroy(skel);
	skel = NULL;
}

static int prog_fd(int slot)
{
	struct bpf_program *progs[NR_SLOTS] = {
		skel->progs.prog_a, skel->progs.prog_b, skel->progs.prog_c,
	};

	return bpf_program__fd(progs[slot]);
}

/* Run the hook once. Returns 0 or the -errno with which it was denied. */
static int call_hook(void)
{
	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	memset(skel->bss->turn, 0, sizeof(skel->bss->turn));
	skel->bss->turns = 0;
	return syscall(__NR_getpgid, getpid()) < 0 ? -errno : 0;
}

/* How often does the program in @slot run when its hook does? */
static int calls_of(int slot)
{
	call_hook();
	return skel->bss->calls[slot];
}

/* Some references go without anybody waiting for them. */
static bool eventually_detached(int slot)
{
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if (!calls_of(slot))
			return true;
		usleep(10 * 1000);
	}
	return false;
}

static void check_attach_by(int (*attach)(int prog_fd))
{
	int fd;

	if (!setup())
		return;
	ASSERT_EQ(calls_of(A), 0, "calls before");
	fd = attach(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls while attached");
	close(fd);
	ASSERT_EQ(calls_of(A), 0, "calls after close");

	fd = attach(prog_fd(A));
	if (ASSERT_OK_FD(fd, "attach again"))
		ASSERT_EQ(calls_of(A), 1, "calls while attached again");
	close(fd);
out:
	teardown();
}

static void raw_tracepoint_open(void)
{
	check_attach_by(lsm_raw_tp_open);
}

static void link_create(void)
{
	check_attach_by(lsm_link_create);
}

static void wrong_arguments(void)
{
	union bpf_attr attr = {};
	int fd;

	if (!setup())
		return;
	attr.raw_tracepoint.prog_fd = prog_fd(A);
	attr.raw_tracepoint.name = ptr_to_u64("task_getpgid");
	fd = syscall(__NR_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
	if (!ASSERT_EQ(fd, -1, "raw tracepoint with a name"))
		close(fd);
	else
		ASSERT_EQ(errno, EINVAL, "errno with a name");

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = prog_fd(A);
	attr.link_create.attach_type = BPF_TRACE_FENTRY;
	fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (!ASSERT_EQ(fd, -1, "link of another type"))
		close(fd);
	else
		ASSERT_EQ(errno, EINVAL, "errno of another type");
	ASSERT_EQ(calls_of(A), 0, "calls");
	teardown();
}

static void close_detaches(void)
{
	struct bpf_link *link;

	if (!setup())
		return;
	link = bpf_program__attach_lsm(skel->progs.prog_a);
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls while attached");
	bpf_link__destroy(link);
	ASSERT_EQ(calls_of(A), 0, "calls after detach");
out:
	teardown();
}

static void dup_keeps(void)
{
	int fd, copy;

	if (!setup())
		return;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	copy = dup(fd);
	close(fd);
	ASSERT_EQ(calls_of(A), 1, "calls with one of two closed");
	close(copy);
	ASSERT_EQ(calls_of(A), 0, "calls with both closed");
out:
	teardown();
}

/* The program's own FD is not what keeps it attached. */
static void prog_fd_closed(void)
{
	int prog, fd;

	if (!setup())
		return;
	prog = dup(prog_fd(A));
	fd = lsm_raw_tp_open(prog);
	close(prog);
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	bpf_program__unload(skel->progs.prog_a);
	ASSERT_EQ(calls_of(A), 1, "calls without a program FD");
	close(fd);
	ASSERT_EQ(calls_of(A), 0, "calls after close");
out:
	teardown();
}

static int pin(int fd, int bpffs)
{
	LIBBPF_OPTS(bpf_obj_pin_opts, opts, .file_flags = BPF_F_PATH_FD, .path_fd = bpffs);

	return bpf_obj_pin_opts(fd, "link", &opts);
}

static int open_pin(int bpffs)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_PATH_FD, .path_fd = bpffs);

	return bpf_obj_get_opts("link", &opts);
}

/* Attach program A, pin its link and close it. Returns the bpffs. */
static int setup_pinned(void)
{
	int bpffs, fd, err;

	bpffs = lsm_mount("bpf");
	if (!ASSERT_OK_FD(bpffs, "mount bpffs"))
		return -1;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto err;
	err = pin(fd, bpffs);
	close(fd);
	if (!ASSERT_OK(err, "pin"))
		goto err;
	return bpffs;
err:
	close(bpffs);
	return -1;
}

static void pin_keeps(void)
{
	int bpffs;

	if (!setup())
		return;
	bpffs = setup_pinned();
	if (bpffs < 0)
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls while pinned");
	close(bpffs);
	ASSERT_TRUE(eventually_detached(A), "detached with the filesystem");
out:
	teardown();
}

static void reopen_pin(void)
{
	int bpffs, fd;

	if (!setup())
		return;
	bpffs = setup_pinned();
	if (bpffs < 0)
		goto out;
	fd = open_pin(bpffs);
	if (!ASSERT_OK_FD(fd, "open the pin"))
		goto close;
	ASSERT_OK(unlinkat(bpffs, "link", 0), "unlink");
	ASSERT_EQ(calls_of(A), 1, "calls of the reopened link");
	close(fd);
	ASSERT_TRUE(eventually_detached(A), "detached after both are gone");
close:
	close(bpffs);
out:
	teardown();
}

static void unlink_detaches(void)
{
	int bpffs;

	if (!setup())
		return;
	bpffs = setup_pinned();
	if (bpffs < 0)
		goto out;
	ASSERT_EQ(calls_of(A), 1, "calls while pinned");
	ASSERT_OK(unlinkat(bpffs, "link", 0), "unlink");
	ASSERT_TRUE(eventually_detached(A), "detached after unlink");
	close(bpffs);
out:
	teardown();
}

static void two_programs(void)
{
	int a, b;

	if (!setup())
		return;
	a = lsm_raw_tp_open(prog_fd(A));
	b = lsm_raw_tp_open(prog_fd(B));
	if (!ASSERT_OK_FD(a, "attach A") || !ASSERT_OK_FD(b, "attach B"))
		goto out;
	ASSERT_OK(call_hook(), "both allow");
	ASSERT_EQ(skel->bss->calls[A], 1, "A beside B");
	ASSERT_EQ(skel->bss->calls[B], 1, "B beside A");

	close(a);
	ASSERT_EQ(calls_of(B), 1, "B alone");
	ASSERT_EQ(skel->bss->calls[A], 0, "A has gone");

	a = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(a, "attach A again");
	close(b);
	ASSERT_EQ(calls_of(A), 1, "A alone");
	ASSERT_EQ(skel->bss->calls[B], 0, "B has gone");
	close(a);
	ASSERT_EQ(calls_of(A), 0, "both have gone");
out:
	teardown();
}

/* Whoever denies first is the last to run, and the one that is reported. */
static void first_denial_wins(void)
{
	static const int verdicts[NR_SLOTS] = { -EACCES, -EPERM, -ESRCH };
	int fds[NR_SLOTS], slot, first = -1, err;

	if (lsm_skip_unless_enforcing() || !setup())
		return;
	for (slot = 0; slot < NR_SLOTS; slot++) {
		fds[slot] = lsm_raw_tp_open(prog_fd(slot));
		if (!ASSERT_OK_FD(fds[slot], "attach"))
			goto out;
		skel->bss->verdict[slot] = verdicts[slot];
	}

	err = call_hook();
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (skel->bss->turn[slot] == 1)
			first = slot;
	if (!ASSERT_GE(first, 0, "somebody ran first"))
		goto out;
	ASSERT_EQ(skel->bss->turns, 1, "programs that ran");
	ASSERT_EQ(err, verdicts[first], "verdict of the first");

	/* With the first in agreement another decides. */
	skel->bss->verdict[first] = 0;
	err = call_hook();
	ASSERT_EQ(skel->bss->turns, 2, "programs that ran with the first in agreement");
	ASSERT_EQ(skel->bss->calls[first], 1, "calls of the first");
	ASSERT_NEQ(err, 0, "denied by another");
	ASSERT_NEQ(err, verdicts[first], "verdict of another");

	/* Who has no opinion after all others does not turn a denial around. */
	close(fds[first]);
	ASSERT_NEQ(call_hook(), 0, "denied without the first");
	memset(skel->bss->verdict, 0, sizeof(skel->bss->verdict));
	ASSERT_OK(call_hook(), "nobody denies");
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (slot != first)
			close(fds[slot]);
out:
	teardown();
}

/* Bits above an int neither deny, nor keep the programs behind from running. */
static void high_bits(void)
{
	int high = -1, a = -1, verdict = -1;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel takes 1 << 32 for a verdict, and for success");
		return;
	}
	if (lsm_skip_unless_enforcing() || !setup())
		return;
	high = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_high_bits));
	if (!ASSERT_OK_FD(high, "attach 1 << 32"))
		goto out;
	ASSERT_OK(call_hook(), "1 << 32 is no verdict");

	a = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(a, "attach behind it"))
		goto out;
	skel->bss->verdict[A] = -EACCES;
	ASSERT_EQ(call_hook(), -EACCES, "verdict of the program behind");
	ASSERT_EQ(skel->bss->calls[A], 1, "calls of the program behind");
	close(a);
	a = -1;

	verdict = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_int_verdict));
	if (ASSERT_OK_FD(verdict, "attach an int verdict"))
		ASSERT_EQ(call_hook(), -EPERM, "verdict of 32 bits");
out:
	if (verdict >= 0)
		close(verdict);
	if (a >= 0)
		close(a);
	if (high >= 0)
		close(high);
	teardown();
}

static void attach_order(void)
{
	int fds[NR_SLOTS], slot;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel runs the newest program first");
		return;
	}
	if (!setup())
		return;
	for (slot = 0; slot < NR_SLOTS; slot++) {
		fds[slot] = lsm_raw_tp_open(prog_fd(slot));
		if (!ASSERT_OK_FD(fds[slot], "attach"))
			goto out;
	}
	call_hook();
	ASSERT_EQ(skel->bss->turn[A], 1, "A was attached first");
	ASSERT_EQ(skel->bss->turn[B], 2, "B was attached second");
	ASSERT_EQ(skel->bss->turn[C], 3, "C was attached third");

	/* Who comes back comes last. */
	close(fds[A]);
	fds[A] = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(fds[A], "attach again");
	call_hook();
	ASSERT_EQ(skel->bss->turn[B], 1, "B is first now");
	ASSERT_EQ(skel->bss->turn[C], 2, "C is second now");
	ASSERT_EQ(skel->bss->turn[A], 3, "A is last now");
	for (slot = 0; slot < NR_SLOTS; slot++)
		close(fds[slot]);
out:
	teardown();
}

/* Another program with the instructions, and the counters, of program A. */
static int clone_prog(int hook_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .attach_btf_id = hook_id);

	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_clone", "GPL",
			     bpf_program__insns(skel->progs.prog_a),
			     bpf_program__insn_cnt(skel->progs.prog_a), &opts);
}

#define MAX_PROGS 38

static void many_programs(void)
{
	int progs[MAX_PROGS + 1], links[MAX_PROGS + 1];
	int hook_id, nr_progs, nr = 0;

	hook_id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	if (!ASSERT_GT(hook_id, 0, "task_getpgid") || !setup())
		return;
	for (nr_progs = 0; nr_progs <= MAX_PROGS; nr_progs++) {
		progs[nr_progs] = clone_prog(hook_id);
		if (!ASSERT_OK_FD(progs[nr_progs], "load"))
			goto out;
	}
	for (nr = 0; nr < MAX_PROGS; nr++) {
		links[nr] = lsm_raw_tp_open(progs[nr]);
		if (!ASSERT_OK_FD(links[nr], "attach"))
			goto out;
	}
	ASSERT_EQ(calls_of(A), MAX_PROGS, "calls of a full hook");
	ASSERT_EQ(lsm_raw_tp_open(progs[MAX_PROGS]), -E2BIG, "attach one more");
	ASSERT_EQ(calls_of(A), MAX_PROGS, "calls after the refusal");

	/* It is those attached at the same time that are counted. */
	close(links[0]);
	ASSERT_EQ(calls_of(A), MAX_PROGS - 1, "calls with one gone");
	links[0] = lsm_raw_tp_open(progs[MAX_PROGS]);
	ASSERT_OK_FD(links[0], "attach in its place");
	ASSERT_EQ(calls_of(A), MAX_PROGS, "calls of a full hook again");
out:
	while (nr > 0)
		close(links[--nr]);
	ASSERT_EQ(calls_of(A), 0, "calls with all gone");
	while (nr_progs > 0)
		close(progs[--nr_progs]);
	teardown();
}

static void same_program_twice(void)
{
	int fd;

	if (!setup())
		return;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(lsm_raw_tp_open(prog_fd(A)), -EBUSY, "attach twice");
	ASSERT_EQ(lsm_link_create(prog_fd(A)), -EBUSY, "link twice");
	ASSERT_EQ(calls_of(A), 1, "calls after the refusal");
	close(fd);
	ASSERT_EQ(calls_of(A), 0, "calls after close");
	fd = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(fd, "attach once more");
	close(fd);
out:
	teardown();
}

static void sigkill_owner(void)
{
	int ready[2], status;
	pid_t pid;
	char c;

	if (!setup())
		return;
	if (!ASSERT_OK(pipe(ready), "pipe"))
		goto out;
	pid = fork();
	if (!pid) {
		close(ready[0]);
		if (lsm_raw_tp_open(prog_fd(A)) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (!ASSERT_GT(pid, 0, "fork"))
		goto close;
	if (ASSERT_EQ(read(ready[0], &c, 1), 1, "attached in the child"))
		ASSERT_EQ(calls_of(A), 1, "calls while the owner lives");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ASSERT_TRUE(WIFSIGNALED(status), "killed");
	ASSERT_TRUE(eventually_detached(A), "detached with its owner");
close:
	close(ready[0]);
out:
	teardown();
}

static void void_hook(void)
{
	struct bpf_link *link;
	char path[32];
	int before;

	if (!setup())
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", getpid());
	link = bpf_program__attach_lsm(skel->progs.prog_void);
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	ASSERT_OK(access(path, F_OK), "access while attached");
	ASSERT_GT(skel->bss->void_calls, 0, "calls while attached");
	bpf_link__destroy(link);
	before = skel->bss->void_calls;
	ASSERT_OK(access(path, F_OK), "access after detach");
	ASSERT_EQ(skel->bss->void_calls, before, "calls after detach");
out:
	teardown();
}

/* The value of @field in /proc/self/fdinfo/@fd, or -1. */
static long long read_fdinfo(int fd, const char *field, char *text, size_t size)
{
	char path[64], line[128], name[64], value[64];
	long long found = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63[^:]: %63s", name, value) != 2 || strcmp(name, field))
			continue;
		if (text)
			snprintf(text, size, "%s", value);
		found = strtoll(value, NULL, 0);
		break;
	}
	fclose(file);
	return found;
}

static void link_info(void)
{
	struct bpf_prog_info prog_info = {};
	__u32 prog_info_len = sizeof(prog_info);
	struct bpf_link_info info = {};
	__u32 info_len = sizeof(info);
	char type[64] = "";
	int fd, by_id, id;

	if (!setup())
		return;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &info_len), "link info") ||
	    !ASSERT_OK(bpf_prog_get_info_by_fd(prog_fd(A), &prog_info, &prog_info_len),
		       "prog info"))
		goto close;
	ASSERT_EQ(info.type, BPF_LINK_TYPE_TRACING, "type");
	ASSERT_EQ(info.prog_id, prog_info.id, "prog_id");
	ASSERT_EQ(info.tracing.attach_type, BPF_LSM_MAC, "attach_type");
	ASSERT_GT(prog_info.attach_btf_obj_id, 0, "the kernel's BTF");
	ASSERT_EQ(info.tracing.target_obj_id, prog_info.attach_btf_obj_id, "target_obj_id");
	ASSERT_EQ(info.tracing.target_btf_id, id, "target_btf_id");
	ASSERT_EQ(prog_info.attach_btf_id, id, "attach_btf_id");
	ASSERT_EQ(prog_info.type, BPF_PROG_TYPE_LSM, "prog type");

	read_fdinfo(fd, "link_type", type, sizeof(type));
	ASSERT_STREQ(type, "tracing", "fdinfo link_type");
	ASSERT_EQ(read_fdinfo(fd, "link_id", NULL, 0), info.id, "fdinfo link_id");
	ASSERT_EQ(read_fdinfo(fd, "prog_id", NULL, 0), info.prog_id, "fdinfo prog_id");
	ASSERT_EQ(read_fdinfo(fd, "attach_type", NULL, 0), BPF_LSM_MAC, "fdinfo attach_type");
	ASSERT_EQ(read_fdinfo(fd, "target_obj_id", NULL, 0), info.tracing.target_obj_id,
		  "fdinfo target_obj_id");
	ASSERT_EQ(read_fdinfo(fd, "target_btf_id", NULL, 0), id, "fdinfo target_btf_id");

	/* What bpftool does to list links: it holds a link while it looks. */
	by_id = bpf_link_get_fd_by_id(info.id);
	ASSERT_OK_FD(by_id, "link by id");
	close(fd);
	ASSERT_EQ(calls_of(A), 1, "calls while looked at");
	fd = by_id;
close:
	close(fd);
	ASSERT_EQ(calls_of(A), 0, "calls after close");
out:
	teardown();
}

static bool churning;
static int churned;

/* Come and go beside a program that denies. */
static void *churn(void *arg)
{
	int fd;

	while (__atomic_load_n(&churning, __ATOMIC_RELAXED)) {
		fd = lsm_raw_tp_open(prog_fd(B));
		if (fd < 0)
			return (void *)(long)fd;
		close(fd);
		__atomic_add_fetch(&churned, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* While other programs come and go a denial is in force without a gap. */
static void no_gap(void)
{
	__u64 end = get_time_ns() + 2000000000ULL;
	long calls = 0, allowed = 0;
	pthread_t thread;
	void *ret;
	int fd;

	if (lsm_skip_unless_enforcing() || !setup())
		return;
	skel->bss->verdict[A] = -EACCES;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	churned = 0;
	churning = true;
	if (!ASSERT_OK(pthread_create(&thread, NULL, churn, NULL), "pthread_create"))
		goto close;
	while (get_time_ns() < end || !__atomic_load_n(&churned, __ATOMIC_RELAXED)) {
		if (syscall(__NR_getpgid, getpid()) >= 0 || errno != EACCES)
			allowed++;
		calls++;
	}
	__atomic_store_n(&churning, false, __ATOMIC_RELAXED);
	pthread_join(thread, &ret);
	ASSERT_OK((long)ret, "attach in the thread");
	ASSERT_GT(calls, 0, "calls");
	ASSERT_EQ(allowed, 0, "calls that were allowed");
close:
	close(fd);
out:
	teardown();
}

/* Attaching must not succeed and then do nothing. */
static void not_in_lsm_list(void)
{
	int fd;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel attaches a program that never runs");
		return;
	}
	if (lsm_position(LSM_TEST_ID_BPF) >= 0) {
		lsm_skip("bpf is in the lsm= list");
		return;
	}
	if (!setup())
		return;
	fd = lsm_raw_tp_open(prog_fd(A));
	ASSERT_EQ(fd, -EOPNOTSUPP, "attach");
	if (fd >= 0)
		close(fd);
	ASSERT_EQ(lsm_link_create(prog_fd(A)), -EOPNOTSUPP, "link");
	teardown();
}

static __u64 runs_of(int slot)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(prog_fd(slot), &info, &len), "prog info"))
		return 0;
	return info.run_cnt;
}

static bool statistics_are_on(void)
{
	FILE *file = fopen("/proc/sys/kernel/bpf_stats_enabled", "r");
	bool on = file && fgetc(file) == '1';

	if (file)
		fclose(file);
	return on;
}

/* One program is there before the statistics are switched on, one comes after. */
static void run_statistics(void)
{
	int first = -1, second = -1, stats = -1, i;
	__u64 runs;

	if (statistics_are_on()) {
		lsm_skip("run statistics are on already: kernel.bpf_stats_enabled");
		return;
	}
	if (!setup())
		return;
	first = lsm_link_create(prog_fd(A));
	if (!ASSERT_OK_FD(first, "attach"))
		goto out;
	call_hook();
	ASSERT_EQ(runs_of(A), 0, "runs that are counted before");

	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_OK_FD(stats, "enable statistics"))
		goto out;
	second = lsm_link_create(prog_fd(B));
	if (!ASSERT_OK_FD(second, "attach another one"))
		goto out;
	for (i = 0; i < 100; i++)
		call_hook();
	ASSERT_EQ(skel->bss->calls[A], 1, "calls of the first in one round");
	ASSERT_EQ(skel->bss->calls[B], 1, "calls of the second in one round");
	/* Other tasks call the hook as well. */
	ASSERT_GE(runs_of(A), 100, "runs of the first");
	ASSERT_GE(runs_of(B), 100, "runs of the second");

	close(stats);
	stats = -1;
	runs = runs_of(A);
	for (i = 0; i < 100; i++)
		call_hook();
	ASSERT_EQ(skel->bss->calls[A], 1, "calls without statistics");
	ASSERT_EQ(runs_of(A), runs, "runs that are counted after");
out:
	if (stats >= 0)
		close(stats);
	if (second >= 0)
		close(second);
	if (first >= 0)
		close(first);
	teardown();
}

void test_lsm_attach(void)
{
	if (test__start_subtest("raw_tracepoint_open"))
		raw_tracepoint_open();
	if (test__start_subtest("link_create"))
		link_create();
	if (test__start_subtest("wrong_arguments"))
		wrong_arguments();
	if (test__start_subtest("close_detaches"))
		close_detaches();
	if (test__start_subtest("dup_keeps"))
		dup_keeps();
	if (test__start_subtest("prog_fd_closed"))
		prog_fd_closed();
	if (test__start_subtest("pin_keeps"))
		pin_keeps();
	if (test__start_subtest("reopen_pin"))
		reopen_pin();
	if (test__start_subtest("unlink_detaches"))
		unlink_detaches();
	if (test__start_subtest("two_programs"))
		two_programs();
	if (test__start_subtest("first_denial_wins"))
		first_denial_wins();
	if (test__start_subtest("high_bits"))
		high_bits();
	if (test__start_subtest("attach_order"))
		attach_order();
	if (test__start_subtest("many_programs"))
		many_programs();
	if (test__start_subtest("same_program_twice"))
		same_program_twice();
	if (test__start_subtest("sigkill_owner"))
		sigkill_owner();
	if (test__start_subtest("void_hook"))
		void_hook();
	if (test__start_subtest("link_info"))
		link_info();
	if (test__start_subtest("run_statistics"))
		run_statistics();
	if (test__start_subtest("no_gap"))
		no_gap();
	if (test__start_subtest("not_in_lsm_list"))
		not_in_lsm_list();
}
