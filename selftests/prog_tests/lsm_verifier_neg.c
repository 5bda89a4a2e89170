// SPDX-License-Identifier: GPL-2.0

/* More of what LSM programs must not do, instruction by instruction, and some of
 * it in every hook that there is.
 *
 * This would catch: a context that can be written, so that a program picks what
 * it, or the next program, takes for a pointer; an argument that can be read
 * beyond the last, askew or in part; a helper or a kernel function that works in
 * some other type of program only; a program that sleeps where it may not; a
 * hook whose programs may return what its callers do not expect; a hook with a
 * pointer that can be NULL and is followed all the same.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <linux/filter.h>

#include "lsm_helpers.h"

static struct btf *btf;
static char log_buf[16 * 1024];

static bool setup(void)
{
	btf = btf__load_vmlinux_btf();
	return ASSERT_OK_PTR(btf, "vmlinux BTF");
}

static void teardown(void)
{
	btf__free(btf);
	btf = NULL;
}

/* Returns 0 or -errno, and the verifier's log in log_buf if @verbose. */
static int load(__u32 hook, int type, __u32 flags, const struct bpf_insn *insns, int nr,
		bool verbose)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = hook, .prog_flags = flags);
	int fd;

	log_buf[0] = '\0';
	if (verbose) {
		opts.log_buf = log_buf;
		opts.log_size = sizeof(log_buf);
		opts.log_level = 1;
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_neg", "GPL", insns, nr, &opts);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

static __u32 func_id(const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);

	return id < 0 ? 0 : id;
}

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R5 BPF_REG_5
#define R6 BPF_REG_6
#define R9 BPF_REG_9	/* points to 8 bytes of the stack */
#define R10 BPF_REG_10

#define CALL(func) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func)

/* A call of the kernel function that the case names. */
#define KFUNC_CALL BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, -1)

#define INSNS(...)							\
	.insns = (const struct bpf_insn []){ __VA_ARGS__ },		\
	.nr = sizeof((const struct bpf_insn []){ __VA_ARGS__ }) / sizeof(struct bpf_insn)

struct neg {
	const char *name;
	const char *hook;
	const struct bpf_insn *insns;
	int nr;
	int ret;
	bool bare;		/* the instructions end with an exit of their own */
	bool sleepable;
	bool cgroup;
	bool chains_only;	/* other kernels let that pass */
	const char *kfunc;
	int err;		/* 0: loads, and shows that the others fail for a reason */
	const char *log;
};

static void run_cases(const struct neg *cases, int nr)
{
	const struct bpf_insn before[] = {
		BPF_ST_MEM(BPF_DW, R10, -8, 0),
		BPF_MOV64_REG(R9, R10),
		BPF_ALU64_IMM(BPF_ADD, R9, -8),
	};
	struct bpf_insn insns[32];
	const struct neg *neg;
	int i, j, len, err;
	char name[64];

	if (!setup())
		return;
	for (i = 0; i < nr; i++) {
		neg = &cases[i];
		if (neg->chains_only && !lsm_has_chains())
			continue;
		memcpy(insns, before, sizeof(before));
		memcpy(insns + ARRAY_SIZE(before), neg->insns, neg->nr * sizeof(*insns));
		len = ARRAY_SIZE(before) + neg->nr;
		for (j = ARRAY_SIZE(before); j < len; j++)
			if (insns[j].src_reg == BPF_PSEUDO_KFUNC_CALL && neg->kfunc &&
			    insns[j].code == (BPF_JMP | BPF_CALL))
				insns[j].imm = func_id(neg->kfunc);
		if (!neg->bare) {
			insns[len++] = BPF_MOV64_IMM(R0, neg->ret);
			insns[len++] = BPF_EXIT_INSN();
		}
		snprintf(name, sizeof(name), "bpf_lsm_%s", neg->hook);
		err = load(func_id(name), neg->cgroup ? BPF_LSM_CGROUP : BPF_LSM_MAC,
			   neg->sleepable ? BPF_F_SLEEPABLE : 0, insns, len, true);
		if (!ASSERT_EQ(err, neg->err, neg->name) ||
		    (neg->log && !ASSERT_HAS_SUBSTR(log_buf, neg->log, neg->name)))
			printf("%s\n", log_buf);
	}
	teardown();
}

static void context(void)
{
	const struct neg cases[] = {
		{ .name = "read", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0)) },
		{ .name = "read ret", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 8)) },
		{ .name = "beyond ret", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 16)),
		  .err = -EACCES, .log = "'bpf_lsm_task_getsid' doesn't have" },
		{ .name = "ret of a void hook", .hook = "task_free",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 8)),
		  .err = -EACCES, .log = "'bpf_lsm_task_free' doesn't have" },
		{ .name = "far beyond", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 32000)), .err = -EACCES },
		{ .name = "before", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, -8)), .err = -EACCES },
		{ .name = "askew", .hook = "task_kill",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 4)), .err = -EACCES },
		{ .name = "at a variable offset", .hook = "task_kill",
		  INSNS(BPF_MOV64_REG(R6, R1), CALL(BPF_FUNC_get_prandom_u32),
			BPF_ALU64_IMM(BPF_AND, R0, 8), BPF_ALU64_REG(BPF_ADD, R6, R0),
			BPF_LDX_MEM(BPF_DW, R1, R6, 0)), .err = -EACCES },
		{ .name = "write a pointer", .hook = "task_getsid",
		  INSNS(BPF_ST_MEM(BPF_DW, R1, 0, 0)), .err = -EACCES,
		  .chains_only = true, .log = "invalid bpf_context access" },
		{ .name = "write a number", .hook = "task_kill",
		  INSNS(BPF_ST_MEM(BPF_DW, R1, 16, 0)), .err = -EACCES,
		  .chains_only = true, .log = "invalid bpf_context access" },
		{ .name = "write ret", .hook = "task_getsid",
		  INSNS(BPF_ST_MEM(BPF_DW, R1, 8, 0)), .err = -EACCES,
		  .chains_only = true, .log = "invalid bpf_context access" },
		{ .name = "write a pointer in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(BPF_ST_MEM(BPF_DW, R1, 0, 0)), .ret = 1, .err = -EACCES,
		  .chains_only = true, .log = "invalid bpf_context access" },
		{ .name = "make a pointer and follow it", .hook = "task_getsid",
		  INSNS(BPF_MOV64_IMM(R2, 4096), BPF_STX_MEM(BPF_DW, R1, R2, 0),
			BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_LDX_MEM(BPF_DW, R1, R1, 0)),
		  .err = -EACCES,
		  .chains_only = true, .log = "invalid bpf_context access" },
		{ .name = "add to it", .hook = "task_kill",
		  INSNS(BPF_MOV64_IMM(R2, 1), BPF_RAW_INSN(BPF_STX | BPF_DW | BPF_ATOMIC, R1, R2,
							   16, BPF_ADD)),
		  .err = -EACCES },
		{ .name = "store through an argument", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_ST_MEM(BPF_W, R1, 0, 0)),
		  .err = -EACCES, .log = "only read is supported" },
		{ .name = "add through an argument", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_MOV64_IMM(R2, 1),
			BPF_RAW_INSN(BPF_STX | BPF_DW | BPF_ATOMIC, R1, R2, 0, BPF_ADD)),
		  .err = -EACCES },
		{ .name = "before an argument", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_LDX_MEM(BPF_DW, R1, R1, -8)),
		  .err = -EACCES },
		{ .name = "behind an argument", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_LDX_MEM(BPF_DW, R1, R1, 32000)),
		  .err = -EACCES, .log = "access beyond struct task_struct" },
		{ .name = "a helper that fills an argument", .hook = "task_getsid",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_MOV64_IMM(R2, 16),
			CALL(BPF_FUNC_get_current_comm)), .err = -EACCES },
	};

	run_cases(cases, ARRAY_SIZE(cases));
}

static void helpers(void)
{
	static const char no_helper[] = "program of this type cannot use helper";
	const struct neg cases[] = {
		{ .name = "for packets", .hook = "task_getsid",
		  INSNS(BPF_MOV64_IMM(R2, 0), BPF_MOV64_REG(R3, R9), BPF_MOV64_IMM(R4, 8),
			CALL(BPF_FUNC_skb_load_bytes)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "override_return", .hook = "task_getsid",
		  INSNS(BPF_MOV64_IMM(R2, 0), CALL(BPF_FUNC_override_return)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "set_retval in no cgroup", .hook = "task_getsid",
		  INSNS(BPF_MOV64_IMM(R1, -1), CALL(BPF_FUNC_set_retval)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "set_retval in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(BPF_MOV64_IMM(R1, -1), CALL(BPF_FUNC_set_retval)), .ret = 1 },
		{ .name = "set_retval where there is none", .hook = "task_free", .cgroup = true,
		  INSNS(BPF_MOV64_IMM(R1, -1), CALL(BPF_FUNC_set_retval)), .ret = 1,
		  .err = -EINVAL, .log = "can't modify return value" },
		{ .name = "get_func_ret", .hook = "task_getsid",
		  INSNS(BPF_MOV64_REG(R2, R9), CALL(BPF_FUNC_get_func_ret)) },
		{ .name = "get_func_ret in a void hook", .hook = "task_free", .chains_only = true,
		  INSNS(BPF_MOV64_REG(R2, R9), CALL(BPF_FUNC_get_func_ret)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "get_func_ret in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(BPF_MOV64_REG(R2, R9), CALL(BPF_FUNC_get_func_ret)), .ret = 1,
		  .err = -EINVAL, .log = no_helper },
		{ .name = "cookie in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(CALL(BPF_FUNC_get_attach_cookie)), .ret = 1,
		  .err = -EINVAL, .log = no_helper },
		{ .name = "options of no cgroup's socket", .hook = "socket_post_create",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_MOV64_IMM(R2, 1),
			BPF_MOV64_IMM(R3, 2), BPF_MOV64_REG(R4, R9), BPF_MOV64_IMM(R5, 4),
			CALL(BPF_FUNC_setsockopt)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "options of a socket that others use", .hook = "socket_bind",
		  .cgroup = true,
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_MOV64_IMM(R2, 1),
			BPF_MOV64_IMM(R3, 2), BPF_MOV64_REG(R4, R9), BPF_MOV64_IMM(R5, 4),
			CALL(BPF_FUNC_setsockopt)), .ret = 1,
		  .err = -EINVAL, .log = no_helper },
		{ .name = "sleep", .hook = "file_open", .sleepable = true,
		  INSNS(BPF_MOV64_REG(R1, R9), BPF_MOV64_IMM(R2, 8), BPF_MOV64_IMM(R3, 8),
			CALL(BPF_FUNC_copy_from_user)) },
		{ .name = "sleep in a plain program", .hook = "file_open",
		  INSNS(BPF_MOV64_REG(R1, R9), BPF_MOV64_IMM(R2, 8), BPF_MOV64_IMM(R3, 8),
			CALL(BPF_FUNC_copy_from_user)),
		  .err = -EINVAL, .log = "might sleep in a non-sleepable prog" },
		{ .name = "sleep under RCU", .hook = "file_open", .sleepable = true,
		  .kfunc = "bpf_rcu_read_lock",
		  INSNS(KFUNC_CALL, BPF_MOV64_REG(R1, R9), BPF_MOV64_IMM(R2, 8),
			BPF_MOV64_IMM(R3, 8), CALL(BPF_FUNC_copy_from_user)),
		  .err = -EINVAL, .log = "in rcu_read_lock region" },
		{ .name = "sleepable in an atomic hook", .hook = "task_getsid", .sleepable = true,
		  INSNS(), .err = -EINVAL, .log = "is not sleepable" },
		{ .name = "sleepable in a cgroup", .hook = "file_open", .sleepable = true,
		  .cgroup = true, INSNS(), .ret = 1, .err = -EINVAL, .log = "can be sleepable" },
		{ .name = "value of an inode", .hook = "file_open",
		  INSNS(CALL(BPF_FUNC_inode_storage_get)),
		  .err = -EACCES, .log = "expected=map_ptr" },
		{ .name = "value of an inode that is gone", .hook = "file_free_security",
		  .chains_only = true, INSNS(CALL(BPF_FUNC_inode_storage_get)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "no value of an inode that is gone", .hook = "file_free_security",
		  .chains_only = true, INSNS(CALL(BPF_FUNC_inode_storage_delete)),
		  .err = -EINVAL, .log = no_helper },
		{ .name = "no such helper", .hook = "task_getsid",
		  INSNS(CALL(100000)), .err = -EINVAL, .log = "invalid func" },
	};

	run_cases(cases, ARRAY_SIZE(cases));
}

static void kfuncs(void)
{
	const struct neg cases[] = {
		{ .name = "keep a reference", .hook = "file_open",
		  .kfunc = "bpf_get_task_exe_file",
		  INSNS(CALL(BPF_FUNC_get_current_task_btf), BPF_MOV64_REG(R1, R0), KFUNC_CALL),
		  .err = -EINVAL, .log = "Unreleased reference" },
		{ .name = "a function that is none", .hook = "file_open", .kfunc = "commit_creds",
		  INSNS(BPF_MOV64_IMM(R1, 0), KFUNC_CALL),
		  .err = -EACCES, .log = "is not allowed" },
		{ .name = "the function that calls the hook", .hook = "file_open",
		  .kfunc = "security_file_open",
		  INSNS(BPF_MOV64_IMM(R1, 0), KFUNC_CALL),
		  .err = -EACCES, .log = "is not allowed" },
		{ .name = "the function of the hook", .hook = "file_open",
		  .kfunc = "bpf_lsm_file_open",
		  INSNS(BPF_MOV64_IMM(R1, 0), KFUNC_CALL),
		  .err = -EACCES, .log = "is not allowed" },
		{ .name = "a kfunc of network devices", .hook = "file_open",
		  .kfunc = "bpf_xdp_metadata_rx_timestamp",
		  INSNS(BPF_MOV64_REG(R2, R9), KFUNC_CALL),
		  .err = -EINVAL, .log = "require device-bound program" },
		{ .name = "a kfunc of socket addresses", .hook = "file_open",
		  .kfunc = "bpf_sock_addr_set_sun_path",
		  INSNS(BPF_MOV64_REG(R2, R9), BPF_MOV64_IMM(R3, 8), KFUNC_CALL),
		  .err = -EACCES, .log = "is not allowed" },
		{ .name = "a reference to nothing that is trusted", .hook = "task_free",
		  .kfunc = "bpf_task_acquire",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), KFUNC_CALL),
		  .err = -EINVAL, .log = "must be a rcu pointer" },
		{ .name = "a path of a file that is being made", .hook = "file_alloc_security",
		  .kfunc = "bpf_path_d_path",
		  INSNS(BPF_LDX_MEM(BPF_DW, R1, R1, 0), BPF_MOV64_REG(R2, R9), BPF_MOV64_IMM(R3, 8),
			KFUNC_CALL),
		  .err = -EINVAL, .log = "must be referenced or trusted" },
		{ .name = "no function", .hook = "file_open",
		  INSNS(KFUNC_CALL), .err = -EINVAL },
	};

	run_cases(cases, ARRAY_SIZE(cases));
}

static void returns(void)
{
	static const char range[] = "should have been in";
	const struct neg cases[] = {
		{ .name = "anything", .hook = "task_getsid",
		  INSNS(CALL(BPF_FUNC_get_prandom_u32), BPF_EXIT_INSN()), .bare = true,
		  .err = -EINVAL, .log = range },
		{ .name = "anything for true", .hook = "inode_xattr_skipcap",
		  INSNS(CALL(BPF_FUNC_get_prandom_u32), BPF_EXIT_INSN()), .bare = true,
		  .err = -EINVAL, .log = range },
		{ .name = "anything in a void hook", .hook = "task_free",
		  INSNS(CALL(BPF_FUNC_get_prandom_u32), BPF_EXIT_INSN()), .bare = true },
		{ .name = "nothing", .hook = "task_getsid", INSNS(BPF_EXIT_INSN()), .bare = true,
		  .err = -EACCES, .log = "R0 !read_ok" },
		{ .name = "a pointer", .hook = "task_getsid",
		  INSNS(BPF_MOV64_REG(R0, R1), BPF_EXIT_INSN()), .bare = true,
		  .err = -EINVAL, .log = "R0 is not a known value" },
		{ .name = "what the hook got", .hook = "task_kill",
		  INSNS(BPF_LDX_MEM(BPF_DW, R0, R1, 16), BPF_EXIT_INSN()), .bare = true,
		  .err = -EINVAL, .log = range },
		{ .name = "an errno in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(), .ret = -1, .err = -EINVAL, .log = range },
		{ .name = "two in a cgroup", .hook = "task_getsid", .cgroup = true,
		  INSNS(), .ret = 2, .err = -EINVAL, .log = range },
		{ .name = "no in a void hook of a cgroup", .hook = "task_free", .cgroup = true,
		  INSNS(), .err = -EINVAL, .log = range },
		{ .name = "yes in a void hook of a cgroup", .hook = "task_free", .cgroup = true,
		  INSNS(), .ret = 1 },
		{ .name = "nothing in a void hook of a cgroup", .hook = "task_free",
		  .cgroup = true, .chains_only = true, INSNS(BPF_EXIT_INSN()), .bare = true,
		  .err = -EACCES, .log = "R0 !read_ok" },
	};

	run_cases(cases, ARRAY_SIZE(cases));
}

/* BTF of a program is no place to look for hooks, nor is a program one. */
static void other_objects(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	const struct bpf_insn insns[] = { BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN() };
	int fd = -1, prog_fd = -1, btf_fd = -1;
	struct btf *own = btf__new_empty();
	__u32 hook;

	if (!ASSERT_OK_PTR(own, "new BTF") || !setup())
		goto out;
	hook = func_id("bpf_lsm_file_open");
	btf__add_int(own, "int", 4, BTF_INT_SIGNED);
	if (!ASSERT_OK(btf__load_into_kernel(own), "load BTF"))
		goto out;
	btf_fd = btf__fd(own);

	opts.attach_btf_id = 1;
	opts.attach_btf_obj_fd = btf_fd;
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_neg", "GPL", insns, ARRAY_SIZE(insns), &opts);
	ASSERT_EQ(fd, -524 /* ENOTSUPP */, "BTF of a program");

	opts.attach_btf_id = hook;
	opts.attach_btf_obj_fd = 0;
	prog_fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_neg", "GPL", insns, ARRAY_SIZE(insns),
				&opts);
	if (!ASSERT_OK_FD(prog_fd, "a program"))
		goto out;
	opts.attach_prog_fd = prog_fd;
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_neg", "GPL", insns, ARRAY_SIZE(insns), &opts);
	ASSERT_EQ(fd, -EINVAL, "a program as the hook");
out:
	if (prog_fd >= 0)
		close(prog_fd);
	btf__free(own);
	teardown();
}

typedef void (*check_t)(__u32 id, const char *name, const struct btf_type *proto);

/* Call @check with each hook that takes programs. */
static void check_all_hooks(check_t check, int least)
{
	const struct bpf_insn insns[] = { BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN() };
	const struct btf_type *type;
	const char *name;
	int nr = 0;
	__u32 id;

	if (!setup())
		return;
	for (id = 1; id < btf__type_cnt(btf); id++) {
		type = btf__type_by_id(btf, id);
		if (!btf_is_func(type))
			continue;
		name = btf__name_by_offset(btf, type->name_off);
		if (strncmp(name, "bpf_lsm_", 8) ||
		    load(id, BPF_LSM_MAC, 0, insns, ARRAY_SIZE(insns), false))
			continue;
		check(id, name, btf__type_by_id(btf, type->type));
		nr++;
	}
	ASSERT_GT(nr, least, "hooks");
	teardown();
}

static bool is_bool(const char *name)
{
	return !strcmp(name, "bpf_lsm_inode_xattr_skipcap") ||
	       !strcmp(name, "bpf_lsm_audit_rule_known") ||
	       !strcmp(name, "bpf_lsm_xfrm_state_pol_flow_match");
}

static int load_return(__u32 id, int value)
{
	const struct bpf_insn insns[] = { BPF_MOV64_IMM(R0, value), BPF_EXIT_INSN() };

	return load(id, BPF_LSM_MAC, 0, insns, ARRAY_SIZE(insns), false);
}

static void check_returns(__u32 id, const char *name, const struct btf_type *proto)
{
	if (!proto->type) {
		ASSERT_OK(load_return(id, 1), name);
		return;
	}
	ASSERT_EQ(load_return(id, 1), is_bool(name) ? 0 : -EINVAL, name);
	ASSERT_EQ(load_return(id, -1), is_bool(name) ? -EINVAL : 0, name);
	ASSERT_EQ(load_return(id, 2), -EINVAL, name);
	ASSERT_EQ(load_return(id, -4096), -EINVAL, name);
}

static void returns_of_all_hooks(void)
{
	check_all_hooks(check_returns, 150);
}

/* Neither an argument, nor what is behind the last one. */
static void check_context(__u32 id, const char *name, const struct btf_type *proto)
{
	int nr = btf_vlen(proto), i;

	for (i = 0; i <= nr; i++) {
		const struct bpf_insn insns[] = {
			BPF_ST_MEM(BPF_DW, R1, 8 * i, 0), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN(),
		};

		ASSERT_EQ(load(id, BPF_LSM_MAC, 0, insns, ARRAY_SIZE(insns), false), -EACCES,
			  name);
	}
}

static void context_of_all_hooks(void)
{
	if (lsm_has_chains())
		check_all_hooks(check_context, 150);
	else
		lsm_skip("programs of this kernel may change the arguments of others");
}

/* Look at the start of what the argument points to, after a look at the argument
 * itself if @careful.
 */
static int load_follow(__u32 id, int arg, int size, bool careful)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_DW, R1, R1, 8 * arg),
		BPF_JMP_IMM(BPF_JEQ, R1, careful ? 0 : 1, 1),
		BPF_LDX_MEM(size, R1, R1, 0),
		BPF_MOV64_IMM(R0, 0),
		BPF_EXIT_INSN(),
	};

	return load(id, BPF_LSM_MAC, 0, insns, ARRAY_SIZE(insns), true);
}

static int nullables;

/* Arguments that say that they can be NULL are looked at before they are used. */
static void check_nullable(__u32 id, const char *name, const struct btf_type *proto)
{
	static const int sizes[] = { BPF_DW, BPF_W, BPF_H, BPF_B };
	static const char suffix[] = "__nullable";
	const struct btf_param *params = btf_params(proto);
	const char *param;
	int arg, len, size, err = 0;

	for (arg = 0; arg < btf_vlen(proto); arg++) {
		param = btf__name_by_offset(btf, params[arg].name_off);
		len = strlen(param);
		if (len <= strlen(suffix) || strcmp(param + len - strlen(suffix), suffix))
			continue;
		/* One of these is the size of the structure's first member. */
		for (size = 0; size < ARRAY_SIZE(sizes); size++) {
			err = load_follow(id, arg, sizes[size], true);
			if (!err)
				break;
		}
		if (!ASSERT_OK(err, name)) {
			printf("%s\n", log_buf);
			continue;
		}
		ASSERT_EQ(load_follow(id, arg, sizes[size], false), -EACCES, name);
		ASSERT_HAS_SUBSTR(log_buf, "invalid mem access", name);
		nullables++;
	}
}

static void nullable_of_all_hooks(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel marks few arguments");
		return;
	}
	nullables = 0;
	check_all_hooks(check_nullable, 150);
	ASSERT_GT(nullables, 10, "arguments that can be NULL");
}

void test_lsm_verifier_neg(void)
{
	if (test__start_subtest("context"))
		context();
	if (test__start_subtest("helpers"))
		helpers();
	if (test__start_subtest("kfuncs"))
		kfuncs();
	if (test__start_subtest("returns"))
		returns();
	if (test__start_subtest("other_objects"))
		other_objects();
	if (test__start_subtest("returns_of_all_hooks"))
		returns_of_all_hooks();
	if (test__start_subtest("context_of_all_hooks"))
		context_of_all_hooks();
	if (test__start_subtest("nullable_of_all_hooks"))
		nullable_of_all_hooks();
}
