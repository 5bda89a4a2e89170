// SPDX-License-Identifier: GPL-2.0

/* Loading a program asks for CAP_BPF and CAP_PERFMON, changing the policy for
 * CAP_MAC_ADMIN, both in the initial user namespace; giving up a link that one
 * holds asks for nothing.
 *
 * This would catch: a check that is missing, that asks for another capability,
 * that is satisfied by root of a user namespace, or that only one of the two
 * commands that attach makes; a detach that depends on who closes the last
 * file descriptor.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_caps.skel.h"

int capset(cap_user_header_t header, const cap_user_data_t data);

#define BIT(cap)	(1ULL << (cap))

/* Every subset of the capabilities that matter. */
static const struct {
	const char *name;
	__u64 caps;
} subsets[] = {
	{ "none", 0 },
	{ "BPF", BIT(CAP_BPF) },
	{ "PERFMON", BIT(CAP_PERFMON) },
	{ "BPF+PERFMON", BIT(CAP_BPF) | BIT(CAP_PERFMON) },
	{ "MAC_ADMIN", BIT(CAP_MAC_ADMIN) },
	{ "MAC_ADMIN+BPF", BIT(CAP_MAC_ADMIN) | BIT(CAP_BPF) },
	{ "MAC_ADMIN+PERFMON", BIT(CAP_MAC_ADMIN) | BIT(CAP_PERFMON) },
	{ "MAC_ADMIN+BPF+PERFMON",
	  BIT(CAP_MAC_ADMIN) | BIT(CAP_BPF) | BIT(CAP_PERFMON) },
};

static struct lsm_caps *skel;
static int hook_id;

/* Keep these capabilities and no other. */
static int set_caps(__u64 caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return capset(&header, data);
}

static int try_load(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .attach_btf_id = hook_id);

	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_caps", "GPL", insns,
			     ARRAY_SIZE(insns), &opts);
}

static int try_raw_tp_open(void)
{
	return lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_a));
}

static int try_link_create(void)
{
	return lsm_link_create(bpf_program__fd(skel->progs.prog_a));
}

/* Call @attempt in a process with @caps. Returns 0 or -errno; -ECHILD means
 * that it did not come that far.
 */
static int attempt_with(__u64 caps, int (*attempt)(void))
{
	int status, fd;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (set_caps(caps))
			_exit(ECHILD);
		fd = attempt();
		_exit(fd < 0 ? -fd : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

/* The same as root of a user namespace, with all capabilities there. */
static int attempt_in_userns(int (*attempt)(void))
{
	int status, fd;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER) || set_caps(BIT(CAP_MAC_ADMIN) | BIT(CAP_BPF) |
						       BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN)))
			_exit(ECHILD);
		fd = attempt();
		_exit(fd < 0 ? -fd : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

static bool setup(void)
{
	hook_id = libbpf_find_vmlinux_btf_id("task_getsid", BPF_LSM_MAC);
	if (!ASSERT_GT(hook_id, 0, "task_getsid"))
		return false;
	skel = lsm_caps__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_caps__destroy(skel);
	skel = NULL;
}

static void call_hook(void)
{
	skel->bss->calls_a = 0;
	skel->bss->calls_b = 0;
	syscall(__NR_getsid, getpid());
}

/* @needed is what makes the attempt succeed. */
static void check_subsets(__u64 needed, int (*attempt)(void))
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(subsets); i++) {
		err = (subsets[i].caps & needed) == needed ? 0 : -EPERM;
		ASSERT_EQ(attempt_with(subsets[i].caps, attempt), err, subsets[i].name);
	}
}

static void load(void)
{
	if (setup())
		check_subsets(BIT(CAP_BPF) | BIT(CAP_PERFMON), try_load);
	teardown();
}

static void load_in_userns(void)
{
	if (setup())
		ASSERT_EQ(attempt_in_userns(try_load), -EPERM, "load");
	teardown();
}

/* Somebody has loaded the program and passes its FD. */
static void attach_with_mac_admin(void)
{
	if (setup()) {
		ASSERT_OK(attempt_with(BIT(CAP_MAC_ADMIN), try_raw_tp_open),
			  "raw tracepoint");
		ASSERT_OK(attempt_with(BIT(CAP_MAC_ADMIN), try_link_create), "link");
	}
	teardown();
}

static bool skip_unless_attach_is_checked(void)
{
	if (lsm_has_chains())
		return false;
	lsm_skip("this kernel asks for no capability to attach");
	return true;
}

static void attach(void)
{
	if (skip_unless_attach_is_checked())
		return;
	if (setup()) {
		check_subsets(BIT(CAP_MAC_ADMIN), try_raw_tp_open);
		check_subsets(BIT(CAP_MAC_ADMIN), try_link_create);
	}
	teardown();
}

/* Not even CAP_SYS_ADMIN stands in for it. */
static void attach_without_mac_admin(void)
{
	__u64 others = ((BIT(CAP_BPF) << 2) - 1) & ~BIT(CAP_MAC_ADMIN);

	if (skip_unless_attach_is_checked())
		return;
	if (setup()) {
		ASSERT_EQ(attempt_with(others, try_raw_tp_open), -EPERM, "raw tracepoint");
		ASSERT_EQ(attempt_with(others, try_link_create), -EPERM, "link");
		call_hook();
		ASSERT_EQ(skel->bss->calls_a, 0, "calls");
	}
	teardown();
}

static void attach_in_userns(void)
{
	if (skip_unless_attach_is_checked())
		return;
	if (setup()) {
		ASSERT_EQ(attempt_in_userns(try_raw_tp_open), -EPERM, "raw tracepoint");
		ASSERT_EQ(attempt_in_userns(try_link_create), -EPERM, "link");
	}
	teardown();
}

/* The last FD of one link among two is closed by a process that may nothing. */
static void check_detach_by_nobody(void)
{
	int a = -1, b = -1, go[2] = { -1, -1 }, status;
	pid_t pid;
	char c;

	a = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_a));
	b = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_b));
	if (!ASSERT_OK_FD(a, "attach A") || !ASSERT_OK_FD(b, "attach B") ||
	    !ASSERT_OK(pipe(go), "pipe"))
		goto out;

	pid = fork();
	if (!pid) {
		close(go[1]);
		if (set_caps(0) || read(go[0], &c, 1) != 1)
			_exit(1);
		close(b);
		_exit(0);
	}
	close(b);
	b = -1;
	call_hook();
	ASSERT_EQ(skel->bss->calls_a, 1, "A beside B");
	ASSERT_EQ(skel->bss->calls_b, 1, "B beside A");

	ASSERT_EQ(write(go[1], "", 1), 1, "tell the child");
	ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
	ASSERT_EQ(status, 0, "status of the child");
	call_hook();
	ASSERT_EQ(skel->bss->calls_a, 1, "A alone");
	ASSERT_EQ(skel->bss->calls_b, 0, "B has gone");
out:
	close(go[0]);
	close(go[1]);
	close(a);
	close(b);
}

static void detach_needs_nothing(void)
{
	if (setup())
		check_detach_by_nobody();
	teardown();
}

static int read_number(const char *path, long *value)
{
	FILE *file = fopen(path, "r");
	int err = -1;

	if (!file)
		return -errno;
	if (fscanf(file, "%ld", value) == 1)
		err = 0;
	fclose(file);
	return err;
}

static int write_number(const char *path, long value)
{
	FILE *file = fopen(path, "w");
	int err;

	if (!file)
		return -errno;
	fprintf(file, "%ld", value);
	err = fclose(file);
	return err ? -errno : 0;
}

/* Nor does it matter how much memory is left for those without privileges. */
static void detach_at_jit_limit(void)
{
	static const char path[] = "/proc/sys/net/core/bpf_jit_limit";
	long limit;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel warns and leaves the program attached");
		return;
	}
	if (read_number(path, &limit)) {
		lsm_skip("no bpf_jit_limit");
		return;
	}
	if (setup() && ASSERT_OK(write_number(path, 1), "lower the limit")) {
		check_detach_by_nobody();
		ASSERT_OK(write_number(path, limit), "restore the limit");
	}
	teardown();
}

void test_lsm_caps(void)
{
	if (test__start_subtest("load"))
		load();
	if (test__start_subtest("load_in_userns"))
		load_in_userns();
	if (test__start_subtest("attach_with_mac_admin"))
		attach_with_mac_admin();
	if (test__start_subtest("attach"))
		attach();
	if (test__start_subtest("attach_without_mac_admin"))
		attach_without_mac_admin();
	if (test__start_subtest("attach_in_userns"))
		attach_in_userns();
	if (test__start_subtest("detach_needs_nothing"))
		detach_needs_nothing();
	if (test__start_subtest("detach_at_jit_limit"))
		detach_at_jit_limit();
}
