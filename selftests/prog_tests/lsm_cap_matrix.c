// SPDX-License-Identifier: GPL-2.0

/* Who may do what: each kind of privilege against each command that has to do
 * with LSM programs.
 *
 * This would catch: a command that asks for no capability, or for another one;
 * one that is content with a capability in a user namespace, or with a BPF token;
 * one that asks for more than it needs. What lsm_caps tests one by one is here
 * side by side, so that no combination is left out.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "cgroup_helpers.h"
#include "lsm_helpers.h"
#include "lsm_caps.skel.h"
#include "lsm_caps_ext.skel.h"

#define CGROUP "/lsm_cap_matrix"

#define BIT(cap)	(1ULL << (cap))

/* What is tried, in this order, by one process for each kind of privilege. */
enum {
	LOAD,
	QUERY,
	RAW_TP_OPEN,
	LINK_CREATE,
	MODIFY_RETURN,
	EXTEND,
	CGROUP_LINK_CREATE,
	CGROUP_LINK_UPDATE,
	CGROUP_LINK_DETACH,
	CGROUP_ATTACH,
	CGROUP_DETACH,
	UPDATE,
	DETACH,
	NR_ATTEMPTS,
};

static const char *const attempt_names[NR_ATTEMPTS] = {
	"load", "query", "raw_tp", "link", "mod_ret", "extend", "cg_link", "cg_upd", "cg_unlink",
	"cg_attach", "cg_detach", "update", "detach",
};

enum where { HERE, IN_USERNS, WITH_TOKEN };

/* All but loading and looking changes the policy. What is not said is denied. */
static const struct subject {
	const char *name;
	__u64 caps;
	enum where where;
	bool loads;
	bool looks;
	bool changes;
} subjects[] = {
	{ "none" },
	{ "BPF", BIT(CAP_BPF) },
	{ "PERFMON", BIT(CAP_PERFMON) },
	{ "BPF+PERFMON", BIT(CAP_BPF) | BIT(CAP_PERFMON), .loads = true },
	{ "MAC_ADMIN", BIT(CAP_MAC_ADMIN), .changes = true },
	{ "BPF+PERFMON+MAC_ADMIN", BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_MAC_ADMIN),
	  .loads = true, .changes = true },
	{ "MAC_OVERRIDE", BIT(CAP_MAC_OVERRIDE) },
	{ "NET_ADMIN", BIT(CAP_NET_ADMIN) },
	{ "SYS_ADMIN", BIT(CAP_SYS_ADMIN), .loads = true, .looks = true },
	{ "SYS_ADMIN+MAC_ADMIN", BIT(CAP_SYS_ADMIN) | BIT(CAP_MAC_ADMIN),
	  .loads = true, .looks = true, .changes = true },
	{ "all but MAC_ADMIN", ((BIT(CAP_BPF) << 2) - 1) & ~BIT(CAP_MAC_ADMIN),
	  .loads = true, .looks = true },
	{ "root of a user namespace", .where = IN_USERNS },
	{ "the same with a token", .where = WITH_TOKEN, .loads = true },
};

static struct lsm_caps *skel;
static struct lsm_caps_ext *ext;
static int cgroup_fd = -1, link_fd = -1, cgroup_link_fd = -1, hook_id, opinion_id;

/* Programs of a cgroup: one that is to come, one with a link and one without. */
enum { NEW, LINKED, ATTACHED, NR_CGROUP_PROGS };

static int cgroup_progs[NR_CGROUP_PROGS] = { -1, -1, -1 };

/* What the process that tries shares with the test, beside its files. */
static struct shared {
	int results[NR_ATTEMPTS];
	int ready;		/* 1: what is needed is there, -1: it is not */
	int fs_fd;
	int mnt_fd;
} *shared;

static int load(enum bpf_attach_type type, int verdict, int token_fd)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = hook_id);

	if (token_fd >= 0) {
		opts.token_fd = token_fd;
		opts.prog_flags = BPF_F_TOKEN_FD;
	}
	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_caps", "GPL", insns, ARRAY_SIZE(insns),
			     &opts);
}

/* Keep the result of a command, and nothing else that it made. */
static void note(int attempt, int ret)
{
	shared->results[attempt] = ret < 0 ? ret : 0;
	if (ret > 0)
		close(ret);
}

/* libbpf's wrapper would look up the function, which asks for more. */
static int extend(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .target_btf_id = opinion_id);

	return bpf_link_create(bpf_program__fd(ext->progs.extend_lsm),
			       bpf_program__fd(skel->progs.prog_a), 0, &opts);
}

static void try_cgroup(void)
{
	int new = cgroup_progs[NEW], attached = cgroup_progs[ATTACHED], ret;

	note(CGROUP_LINK_CREATE, bpf_link_create(new, cgroup_fd, BPF_LSM_CGROUP, NULL));
	note(CGROUP_LINK_UPDATE, bpf_link_update(cgroup_link_fd, new, NULL));
	note(CGROUP_LINK_DETACH, bpf_link_detach(cgroup_link_fd));
	ret = bpf_prog_attach(new, cgroup_fd, BPF_LSM_CGROUP, BPF_F_ALLOW_MULTI);
	note(CGROUP_ATTACH, ret);
	if (!ret)
		bpf_prog_detach2(new, cgroup_fd, BPF_LSM_CGROUP);
	note(CGROUP_DETACH, bpf_prog_detach2(attached, cgroup_fd, BPF_LSM_CGROUP));
}

static void try_all(int token_fd)
{
	LIBBPF_OPTS(bpf_prog_query_opts, query);
	int prog_b = bpf_program__fd(skel->progs.prog_b);

	note(LOAD, load(BPF_LSM_MAC, 0, token_fd));
	note(QUERY, bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &query));
	note(RAW_TP_OPEN, lsm_raw_tp_open(prog_b));
	note(LINK_CREATE, lsm_link_create(prog_b));
	note(MODIFY_RETURN, lsm_raw_tp_open(bpf_program__fd(skel->progs.modify_security)));
	note(EXTEND, extend());
	try_cgroup();
	note(UPDATE, bpf_link_update(link_fd, prog_b, NULL));
	note(DETACH, bpf_link_detach(link_fd));
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = -1;

	if (fd >= 0) {
		ret = write(fd, text, strlen(text)) == strlen(text) ? 0 : -1;
		close(fd);
	}
	return ret;
}

static bool enter_userns(void)
{
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) &&
	       !write_text("/proc/self/setgroups", "deny") &&
	       !write_text("/proc/self/uid_map", "0 0 1") &&
	       !write_text("/proc/self/gid_map", "0 0 1");
}

static void say(int ready)
{
	__atomic_store_n(&shared->ready, ready, __ATOMIC_RELEASE);
}

static void await(int ready)
{
	int now;

	do {
		usleep(1000);
		now = __atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE);
	} while (now >= 0 && now < ready);
}

/* A token is made in a user namespace, of a bpffs that was made there, too, but
 * delegates what somebody outside says. This process shares its files with that
 * somebody.
 */
static int make_token(void)
{
	int dir, token;

	shared->fs_fd = syscall(__NR_fsopen, "bpf", 0);
	if (shared->fs_fd < 0)
		return -errno;
	say(1);
	await(2);
	if (shared->ready < 0)
		return -ECHILD;
	dir = openat(shared->mnt_fd, ".", O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return -errno;
	token = bpf_token_create(dir, NULL);
	close(dir);
	return token;
}

static void delegate(pid_t pid)
{
	static const char *const options[] = {
		"delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs",
	};
	int i, err = 0;

	while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE)) {
		/* It may have come to nothing. */
		if (waitid(P_PID, pid, NULL, WEXITED | WNOHANG | WNOWAIT))
			return;
		usleep(1000);
	}
	if (shared->ready < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(options); i++)
		err |= syscall(__NR_fsconfig, shared->fs_fd, FSCONFIG_SET_STRING, options[i],
			       "any", 0);
	err |= syscall(__NR_fsconfig, shared->fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	shared->mnt_fd = syscall(__NR_fsmount, shared->fs_fd, 0, 0);
	say(err || shared->mnt_fd < 0 ? -1 : 2);
}

static void be(const struct subject *subject)
{
	int token_fd = -1;

	if (subject->where == HERE) {
		if (lsm_set_caps(subject->caps))
			_exit(1);
	} else if (!enter_userns()) {
		say(-1);
		_exit(2);
	}
	if (subject->where == WITH_TOKEN) {
		token_fd = make_token();
		if (token_fd < 0) {
			say(-1);
			_exit(3);
		}
	}
	try_all(token_fd);
	if (token_fd >= 0)
		close(token_fd);
	_exit(0);
}

/* Returns the status of the process that tried. */
static int run_subject(const struct subject *subject)
{
	unsigned long files = subject->where == WITH_TOKEN ? CLONE_FILES : 0;
	int status = -1, i;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	shared->fs_fd = -1;
	shared->mnt_fd = -1;
	for (i = 0; i < NR_ATTEMPTS; i++)
		shared->results[i] = -ECHILD;
	pid = syscall(__NR_clone, files | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		be(subject);
	if (pid < 0)
		return -1;
	if (subject->where == WITH_TOKEN)
		delegate(pid);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (shared->mnt_fd >= 0)
		close(shared->mnt_fd);
	if (shared->fs_fd >= 0)
		close(shared->fs_fd);
	return status;
}

static int expected(const struct subject *subject, int attempt)
{
	bool may = attempt == LOAD ? subject->loads :
		   attempt == QUERY ? subject->looks : subject->changes;

	return may ? 0 : -EPERM;
}

/* One program of each kind is attached, for the subject to meddle with. */
static bool attach_all(void)
{
	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.prog_a));
	cgroup_link_fd = bpf_link_create(cgroup_progs[LINKED], cgroup_fd, BPF_LSM_CGROUP, NULL);
	return ASSERT_OK_FD(link_fd, "attach") &&
	       ASSERT_OK_FD(cgroup_link_fd, "attach to the cgroup") &&
	       ASSERT_OK(bpf_prog_attach(cgroup_progs[ATTACHED], cgroup_fd, BPF_LSM_CGROUP,
					 BPF_F_ALLOW_MULTI), "attach without a link");
}

static void detach_all(void)
{
	/* The subject may have done that. */
	bpf_prog_detach2(cgroup_progs[ATTACHED], cgroup_fd, BPF_LSM_CGROUP);
	if (cgroup_link_fd >= 0)
		close(cgroup_link_fd);
	if (link_fd >= 0)
		close(link_fd);
	cgroup_link_fd = -1;
	link_fd = -1;
}

static void check_subject(const struct subject *subject)
{
	int i;

	if (attach_all() && ASSERT_OK(run_subject(subject), subject->name)) {
		printf("%-24s", subject->name);
		for (i = 0; i < NR_ATTEMPTS; i++)
			printf(" %9d", shared->results[i]);
		printf("\n");
		for (i = 0; i < NR_ATTEMPTS; i++)
			if (!ASSERT_EQ(shared->results[i], expected(subject, i), attempt_names[i]))
				printf("that was: %s\n", subject->name);
	}
	detach_all();
}

static bool setup(void)
{
	int i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (!ASSERT_NEQ(shared, MAP_FAILED, "shared memory"))
		return false;
	hook_id = libbpf_find_vmlinux_btf_id("task_getsid", BPF_LSM_MAC);
	if (!ASSERT_GT(hook_id, 0, "task_getsid"))
		return false;
	skel = lsm_caps__open_and_load();
	ext = lsm_caps_ext__open();
	if (!ASSERT_OK_PTR(skel, "open_and_load") || !ASSERT_OK_PTR(ext, "open extension"))
		return false;
	opinion_id = btf__find_by_name_kind(bpf_object__btf(skel->obj), "opinion", BTF_KIND_FUNC);
	bpf_program__set_autoload(ext->progs.extend_filter, false);
	bpf_program__set_autoload(ext->progs.extend_modify, false);
	bpf_program__set_autoload(ext->progs.observe_lsm, false);
	if (!ASSERT_GT(opinion_id, 0, "opinion") ||
	    !ASSERT_OK(bpf_program__set_attach_target(ext->progs.extend_lsm,
						      bpf_program__fd(skel->progs.prog_a),
						      "opinion"), "target") ||
	    !ASSERT_OK(lsm_caps_ext__load(ext), "load extension"))
		return false;
	cgroup_fd = test__join_cgroup(CGROUP);
	if (!ASSERT_OK_FD(cgroup_fd, "cgroup"))
		return false;
	for (i = 0; i < NR_CGROUP_PROGS; i++) {
		cgroup_progs[i] = load(BPF_LSM_CGROUP, 1, -1);
		if (!ASSERT_OK_FD(cgroup_progs[i], "program of a cgroup"))
			return false;
	}
	return true;
}

static void teardown(void)
{
	int i;

	for (i = 0; i < NR_CGROUP_PROGS; i++) {
		if (cgroup_progs[i] >= 0)
			close(cgroup_progs[i]);
		cgroup_progs[i] = -1;
	}
	if (cgroup_fd >= 0) {
		close(cgroup_fd);
		join_root_cgroup();
		remove_cgroup(CGROUP);
	}
	cgroup_fd = -1;
	lsm_caps_ext__destroy(ext);
	ext = NULL;
	lsm_caps__destroy(skel);
	skel = NULL;
	if (shared != MAP_FAILED)
		munmap(shared, sizeof(*shared));
}

static void matrix(void)
{
	int i;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel asks for other capabilities");
		return;
	}
	if (setup()) {
		printf("%-24s", "");
		for (i = 0; i < NR_ATTEMPTS; i++)
			printf(" %9s", attempt_names[i]);
		printf("\n");
		for (i = 0; i < ARRAY_SIZE(subjects); i++)
			check_subject(&subjects[i]);
	}
	teardown();
}

void test_lsm_cap_matrix(void)
{
	if (test__start_subtest("matrix"))
		matrix();
}
