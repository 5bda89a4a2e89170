// SPDX-License-Identifier: GPL-2.0

/* Loading a program asks for CAP_BPF and CAP_PERFMON, changing the policy for
 * CAP_MAC_ADMIN, both in the initial user namespace; giving up a link that one
 * holds asks for nothing. A policy is changed by attaching, updating and
 * detaching LSM programs, by extending them, and by modifying what the
 * functions return that call the hooks.
 *
 * This would catch: a check that is missing, that asks for another capability,
 * that is satisfied by root of a user namespace, or that only one of the two
 * commands that attach makes; a detach that depends on who closes the last
 * file descriptor; a side door; a door that is shut for those who only look.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_caps.skel.h"
#include "lsm_caps_ext.skel.h"

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

/* Every capability but the one that changing the policy takes. */
#define ALL_BUT_MAC_ADMIN (((BIT(CAP_BPF) << 2) - 1) & ~BIT(CAP_MAC_ADMIN))

static struct lsm_caps *skel;
static struct lsm_caps_ext *ext;
static int link_fd = -1;
static int hook_id;

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

static int try_update(void)
{
	return bpf_link_update(link_fd, bpf_program__fd(skel->progs.prog_b), NULL);
}

static int try_detach(void)
{
	return bpf_link_detach(link_fd);
}

static int try_modify_security(void)
{
	return lsm_raw_tp_open(bpf_program__fd(skel->progs.modify_security));
}

static int try_modify_other(void)
{
	return lsm_raw_tp_open(bpf_program__fd(skel->progs.modify_other));
}

static int try_observe_security(void)
{
	return lsm_raw_tp_open(bpf_program__fd(skel->progs.observe_security));
}

/* To the target that it was loaded for, which is possible once. */
static int try_extend(void)
{
	return lsm_raw_tp_open(bpf_program__fd(ext->progs.extend_lsm));
}

/* libbpf's wrapper would look up the target, which asks for more. */
static int attach_extension(const struct bpf_program *prog, const struct bpf_program *target)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	opts.target_btf_id = btf__find_by_name_kind(bpf_object__btf(skel->obj), "opinion",
						    BTF_KIND_FUNC);
	return bpf_link_create(bpf_program__fd(prog), bpf_program__fd(target), 0, &opts);
}

/* To a target that is named, which need not be the same. */
static int try_extend_again(void)
{
	return attach_extension(ext->progs.extend_lsm, skel->progs.prog_a);
}

static int try_extend_modify(void)
{
	return attach_extension(ext->progs.extend_modify, skel->progs.modify_by_opinion);
}

static int try_extend_filter(void)
{
	return attach_extension(ext->progs.extend_filter, skel->progs.filter);
}

static int try_observe_lsm(void)
{
	return lsm_raw_tp_open(bpf_program__fd(ext->progs.observe_lsm));
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
		if (lsm_set_caps(caps))
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
		if (unshare(CLONE_NEWUSER) ||
		    lsm_set_caps(BIT(CAP_MAC_ADMIN) | BIT(CAP_BPF) | BIT(CAP_PERFMON) |
				 BIT(CAP_SYS_ADMIN)))
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

static bool setup_extensions(void)
{
	int modify;

	if (!setup())
		return false;
	modify = bpf_program__fd(skel->progs.modify_by_opinion);
	ext = lsm_caps_ext__open();
	if (!ASSERT_OK_PTR(ext, "open extensions"))
		return false;
	return ASSERT_OK(bpf_program__set_attach_target(ext->progs.extend_lsm,
							bpf_program__fd(skel->progs.prog_a),
							"opinion"), "target A") &&
	       ASSERT_OK(bpf_program__set_attach_target(ext->progs.extend_filter,
							bpf_program__fd(skel->progs.filter),
							"opinion"), "target filter") &&
	       ASSERT_OK(bpf_program__set_attach_target(ext->progs.extend_modify, modify,
							"opinion"), "target modify") &&
	       ASSERT_OK(bpf_program__set_attach_target(ext->progs.observe_lsm,
							bpf_program__fd(skel->progs.prog_a),
							"opinion"), "look at A") &&
	       ASSERT_OK(lsm_caps_ext__load(ext), "load extensions");
}

static void teardown(void)
{
	if (link_fd >= 0)
		close(link_fd);
	link_fd = -1;
	lsm_caps_ext__destroy(ext);
	ext = NULL;
	lsm_caps__destroy(skel);
	skel = NULL;
}

/* Returns 0, or the -errno with which it was denied. */
static int call_hook(void)
{
	skel->bss->calls_a = 0;
	skel->bss->calls_b = 0;
	return syscall(__NR_getsid, getpid()) < 0 ? -errno : 0;
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
	if (skip_unless_attach_is_checked())
		return;
	if (setup()) {
		ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_raw_tp_open), -EPERM,
			  "raw tracepoint");
		ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_link_create), -EPERM, "link");
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

/* A is attached, and its link is passed on. */
static bool setup_link(void)
{
	if (!setup())
		return false;
	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_a));
	return ASSERT_OK_FD(link_fd, "attach A");
}

static void check_who_runs(int a, int b, const char *when)
{
	call_hook();
	ASSERT_EQ(skel->bss->calls_a, a, when);
	ASSERT_EQ(skel->bss->calls_b, b, when);
}

static bool skip_unless_links_change(void)
{
	if (lsm_has_chains())
		return false;
	lsm_skip("links of this kernel's LSM programs cannot be updated or detached");
	return true;
}

static void update_by_fd(void)
{
	if (skip_unless_links_change())
		return;
	if (setup_link()) {
		ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_update), -EPERM, "all others");
		ASSERT_EQ(attempt_in_userns(try_update), -EPERM, "in a user namespace");
		check_who_runs(1, 0, "after the refusals");
		check_subsets(BIT(CAP_MAC_ADMIN), try_update);
		check_who_runs(0, 1, "after the update");
	}
	teardown();
}

static void detach_by_fd(void)
{
	if (skip_unless_links_change())
		return;
	if (setup_link()) {
		ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_detach), -EPERM, "all others");
		ASSERT_EQ(attempt_in_userns(try_detach), -EPERM, "in a user namespace");
		check_who_runs(1, 0, "after the refusals");
		check_subsets(BIT(CAP_MAC_ADMIN), try_detach);
		check_who_runs(0, 0, "after the detach");
	}
	teardown();
}

static bool skip_unless_side_doors_are_shut(void)
{
	if (lsm_has_chains())
		return false;
	lsm_skip("this kernel asks for no capability to change what LSMs return");
	return true;
}

static void modify_return(void)
{
	int fd;

	if (skip_unless_side_doors_are_shut())
		return;
	if (setup()) {
		ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_modify_security), -EPERM,
			  "all others");
		ASSERT_EQ(attempt_in_userns(try_modify_security), -EPERM, "in a user namespace");
		check_subsets(BIT(CAP_MAC_ADMIN), try_modify_security);
		ASSERT_OK(call_hook(), "before");
		fd = try_modify_security();
		if (ASSERT_OK_FD(fd, "attach")) {
			ASSERT_EQ(call_hook(), -EACCES, "while attached");
			close(fd);
		}
		ASSERT_OK(call_hook(), "after close");
	}
	teardown();
}

static void modify_return_of_others(void)
{
	if (setup()) {
		ASSERT_OK(attempt_with(0, try_modify_other), "a function that asks no LSM");
		ASSERT_OK(attempt_with(0, try_observe_security), "fexit of one that does");
	}
	teardown();
}

/* A is extended before it is attached, and while it is. */
static void extend_lsm(void)
{
	int fd;

	if (skip_unless_side_doors_are_shut())
		return;
	if (!setup_extensions())
		goto out;
	ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_extend), -EPERM, "all others");
	ASSERT_EQ(attempt_in_userns(try_extend), -EPERM, "in a user namespace");
	ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_extend_again), -EPERM, "by name");
	ASSERT_OK(attempt_with(BIT(CAP_MAC_ADMIN), try_extend), "with the capability");
	check_subsets(BIT(CAP_MAC_ADMIN), try_extend_again);

	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_a));
	if (!ASSERT_OK_FD(link_fd, "attach A"))
		goto out;
	ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_extend_again), -EPERM, "while attached");
	ASSERT_OK(call_hook(), "after the refusal");
	fd = try_extend_again();
	if (!ASSERT_OK_FD(fd, "extend A"))
		goto out;
	ASSERT_EQ(call_hook(), lsm_enforcing() ? -EACCES : 0, "while extended");
	close(fd);
	ASSERT_OK(call_hook(), "after close");
out:
	teardown();
}

/* What modifies the return value of a function that asks LSMs is extended. */
static void extend_modify(void)
{
	int fd;

	if (skip_unless_side_doors_are_shut())
		return;
	if (!setup_extensions())
		goto out;
	ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_extend_modify), -EPERM, "all others");
	ASSERT_EQ(attempt_in_userns(try_extend_modify), -EPERM, "in a user namespace");
	check_subsets(BIT(CAP_MAC_ADMIN), try_extend_modify);

	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.modify_by_opinion));
	if (!ASSERT_OK_FD(link_fd, "attach what modifies"))
		goto out;
	ASSERT_EQ(attempt_with(ALL_BUT_MAC_ADMIN, try_extend_modify), -EPERM, "while attached");
	ASSERT_OK(call_hook(), "after the refusal");
	fd = try_extend_modify();
	if (!ASSERT_OK_FD(fd, "extend it"))
		goto out;
	ASSERT_EQ(call_hook(), -EACCES, "while extended");
	close(fd);
	ASSERT_OK(call_hook(), "after close");
out:
	teardown();
}

/* Load an extension of the main function of @target, which has to fail. */
static void extend_main_of(const struct bpf_program *target, const char *why)
{
	static char log[4096];
	struct bpf_program *prog;
	struct lsm_caps_ext *main_ext = lsm_caps_ext__open();

	if (!ASSERT_OK_PTR(main_ext, "open extensions"))
		return;
	bpf_object__for_each_program(prog, main_ext->obj)
		bpf_program__set_autoload(prog, prog == main_ext->progs.extend_main);
	log[0] = '\0';
	bpf_program__set_log_buf(main_ext->progs.extend_main, log, sizeof(log));
	bpf_program__set_log_level(main_ext->progs.extend_main, 1);
	if (ASSERT_OK(bpf_program__set_attach_target(main_ext->progs.extend_main,
						     bpf_program__fd(target),
						     bpf_program__name(target)), "target")) {
		ASSERT_EQ(lsm_caps_ext__load(main_ext), -EINVAL, bpf_program__name(target));
		ASSERT_HAS_SUBSTR(log, why, "log");
	}
	lsm_caps_ext__destroy(main_ext);
}

/* Nobody checks what an extension returns. The one that would return what a
 * hook gets to see cannot be loaded, as no type of context suits both.
 */
static void extend_main(void)
{
	if (setup()) {
		extend_main_of(skel->progs.prog_a, "Cannot replace static functions");
		extend_main_of(skel->progs.tagged, "is not a pointer to context");
	}
	teardown();
}

static void extend_others(void)
{
	if (setup_extensions()) {
		ASSERT_OK(attempt_with(0, try_extend_filter), "a socket filter");
		ASSERT_OK(attempt_with(0, try_observe_lsm), "fentry of an LSM program");
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
		if (lsm_set_caps(0) || read(go[0], &c, 1) != 1)
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

static void update_at_jit_limit(void)
{
	static const char path[] = "/proc/sys/net/core/bpf_jit_limit";
	long limit;

	if (skip_unless_links_change())
		return;
	if (read_number(path, &limit)) {
		lsm_skip("no bpf_jit_limit");
		return;
	}
	if (setup_link() && ASSERT_OK(write_number(path, 1), "lower the limit")) {
		ASSERT_OK(attempt_with(BIT(CAP_MAC_ADMIN), try_update), "update");
		check_who_runs(0, 1, "after the update");
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
	if (test__start_subtest("update_by_fd"))
		update_by_fd();
	if (test__start_subtest("detach_by_fd"))
		detach_by_fd();
	if (test__start_subtest("modify_return"))
		modify_return();
	if (test__start_subtest("modify_return_of_others"))
		modify_return_of_others();
	if (test__start_subtest("extend_lsm"))
		extend_lsm();
	if (test__start_subtest("extend_modify"))
		extend_modify();
	if (test__start_subtest("extend_main"))
		extend_main();
	if (test__start_subtest("extend_others"))
		extend_others();
	if (test__start_subtest("detach_needs_nothing"))
		detach_needs_nothing();
	if (test__start_subtest("detach_at_jit_limit"))
		detach_at_jit_limit();
	if (test__start_subtest("update_at_jit_limit"))
		update_at_jit_limit();
}
