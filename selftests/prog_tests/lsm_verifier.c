// SPDX-License-Identifier: GPL-2.0

/* What an LSM program must not do is found out when it is loaded, and the log
 * tells why.
 *
 * This would catch: a proprietary program that loads; a program that writes
 * through an argument, and so changes the kernel's objects instead of judging
 * them; a target that is no hook, or a hook that has no use for programs; a
 * return value with which the kernel's callers cannot cope; a pointer that can
 * be NULL and is not tested. Each refusal stands beside a program that differs
 * in that one thing and loads.
 */
#define _GNU_SOURCE
#include <test_progs.h>

#include "lsm_helpers.h"
#include "lsm_verifier.skel.h"

static char log_buf[64 * 1024];

/* Load the program called @name and nothing else. Returns 0 or -errno, and
 * the verifier's log in log_buf.
 */
static int load(const char *name)
{
	struct bpf_program *prog;
	struct lsm_verifier *skel;
	int err;

	log_buf[0] = '\0';
	skel = lsm_verifier__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return -ENOENT;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	if (!ASSERT_OK_PTR(prog, name)) {
		lsm_verifier__destroy(skel);
		return -ENOENT;
	}
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log_buf, sizeof(log_buf));
	bpf_program__set_log_level(prog, 1);
	err = lsm_verifier__load(skel);
	lsm_verifier__destroy(skel);
	return err;
}

static void refused(const char *name, int err, const char *why)
{
	ASSERT_EQ(load(name), err, name);
	ASSERT_HAS_SUBSTR(log_buf, why, name);
}

static void accepted(const char *name)
{
	if (!ASSERT_OK(load(name), name))
		printf("%s\n", log_buf);
}

/* Load "return 0" with another target or license than libbpf would allow. */
static int load_raw_as(const char *license, int btf_id, enum bpf_attach_type type)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .attach_btf_id = btf_id, .log_buf = log_buf,
		    .log_size = sizeof(log_buf), .log_level = 1);
	int fd;

	log_buf[0] = '\0';
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_raw", license, insns,
			   ARRAY_SIZE(insns), &opts);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

static int load_raw(const char *license, int btf_id)
{
	return load_raw_as(license, btf_id, BPF_LSM_MAC);
}

static int kernel_btf_id(const char *name, int kind)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, name, kind);
	btf__free(btf);
	return id;
}

static void non_gpl(void)
{
	int id = kernel_btf_id("bpf_lsm_file_open", BTF_KIND_FUNC);

	if (!ASSERT_GT(id, 0, "bpf_lsm_file_open"))
		return;
	ASSERT_OK(load_raw("GPL", id), "GPL");
	ASSERT_OK(load_raw("Dual MIT/GPL", id), "Dual MIT/GPL");
	ASSERT_EQ(load_raw("Proprietary", id), -EINVAL, "Proprietary");
	ASSERT_HAS_SUBSTR(log_buf, "LSM programs must have a GPL compatible license",
			  "log");
	ASSERT_EQ(load_raw("", id), -EINVAL, "no license");
	ASSERT_HAS_SUBSTR(log_buf, "LSM programs must have a GPL compatible license",
			  "log");
}

static void write_btf_ptr(void)
{
	accepted("read_btf_ptr");
	refused("write_btf_ptr", -EACCES, "only read is supported");
	refused("write_btf_ptr_nested", -EACCES, "only read is supported");
}

/* This one does not get past libbpf: there is nothing to look up. */
static void unknown_hook(void)
{
	char *log;
	int err;

	if (!ASSERT_OK(start_libbpf_log_capture(), "capture"))
		return;
	err = load("unknown_hook");
	log = stop_libbpf_log_capture();
	ASSERT_EQ(err, -ESRCH, "unknown_hook");
	ASSERT_HAS_SUBSTR(log, "failed to find kernel BTF type ID of 'no_such_hook'",
			  "libbpf's log");
	free(log);
}

static void refused_hook(void)
{
	refused("refused_vm_enough_memory", -EINVAL,
		"points to disabled hook bpf_lsm_vm_enough_memory");
	refused("refused_getprocattr", -EINVAL,
		"points to disabled hook bpf_lsm_getprocattr");
}

static void positive_return(void)
{
	accepted("zero_return");
	accepted("errno_return");
	refused("positive_return", -EINVAL, "should have been in [-4095, 0]");
	refused("too_negative_return", -EINVAL, "should have been in [-4095, 0]");
}

static void bool_return(void)
{
	accepted("bool_return");
	refused("bool_return_errno", -EINVAL, "should have been in [0, 1]");
}

static void wrong_target(void)
{
	int id = kernel_btf_id("security_file_open", BTF_KIND_FUNC);

	if (!ASSERT_GT(id, 0, "security_file_open"))
		return;
	ASSERT_EQ(load_raw("GPL", id), -EINVAL, "a function that is no hook");
	ASSERT_HAS_SUBSTR(log_buf, "points to wrong type name security_file_open", "log");

	id = kernel_btf_id("file", BTF_KIND_STRUCT);
	if (!ASSERT_GT(id, 0, "struct file"))
		return;
	ASSERT_EQ(load_raw("GPL", id), -EINVAL, "a structure");
	ASSERT_HAS_SUBSTR(log_buf, "is not a function", "log");

	ASSERT_EQ(load_raw("GPL", 0), -EINVAL, "no target");
}

/* Targets of tracing programs are checked in other ways, which is no way round. */
static void wrong_attach_type(void)
{
	int id = kernel_btf_id("btf_trace_sched_switch", BTF_KIND_TYPEDEF);

	if (!lsm_has_chains()) {
		lsm_skip("this kernel loads such a program, but does not attach it");
		return;
	}
	if (!ASSERT_GT(id, 0, "btf_trace_sched_switch"))
		return;
	ASSERT_EQ(load_raw_as("Proprietary", id, BPF_TRACE_RAW_TP), -EINVAL, "Proprietary");
	ASSERT_HAS_SUBSTR(log_buf, "LSM programs must have a GPL compatible license",
			  "log");
	ASSERT_EQ(load_raw_as("GPL", id, BPF_TRACE_RAW_TP), -EINVAL, "a raw tracepoint");
	ASSERT_HAS_SUBSTR(log_buf, "points to wrong type name", "log");
}

static void ret_argument(void)
{
	accepted("ret_argument");
	refused("argument_out_of_range", -EACCES, "doesn't have 5-th argument");
}

/* Is the first parameter of function @name marked as one that can be NULL? */
static bool first_arg_nullable(const char *name)
{
	static const char suffix[] = "__nullable";
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *proto;
	const char *param;
	bool nullable = false;
	int id;

	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return false;
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	if (!ASSERT_GT(id, 0, name))
		goto out;
	proto = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
	param = btf__name_by_offset(btf, btf_params(proto)->name_off);
	nullable = strlen(param) > strlen(suffix) &&
		   !strcmp(param + strlen(param) - strlen(suffix), suffix);
out:
	btf__free(btf);
	return nullable;
}

static void nullable_untested(void)
{
	if (!lsm_has_chains() && !first_arg_nullable("bpf_lsm_mmap_file")) {
		lsm_skip("this kernel does not mark mmap_file's file as nullable");
		return;
	}
	refused("nullable_untested", -EACCES, "invalid mem access 'trusted_ptr_or_null_'");
}

static void nullable_tested(void)
{
	accepted("nullable_tested");
}

/* Who holds a lock does nothing else: not call, not sleep, not return. */
static void spin_lock(void)
{
	accepted("lock_unlock");
	refused("lock_only", -EINVAL, "bpf_spin_unlock is missing");
	refused("lock_twice", -EINVAL, "function calls are not allowed while holding a lock");
	refused("lock_call", -EINVAL, "function calls are not allowed while holding a lock");
	refused("lock_and_sleep", -EINVAL, "function calls are not allowed while holding a lock");
}

void test_lsm_verifier(void)
{
	if (test__start_subtest("non_gpl"))
		non_gpl();
	if (test__start_subtest("write_btf_ptr"))
		write_btf_ptr();
	if (test__start_subtest("unknown_hook"))
		unknown_hook();
	if (test__start_subtest("refused_hook"))
		refused_hook();
	if (test__start_subtest("positive_return"))
		positive_return();
	if (test__start_subtest("bool_return"))
		bool_return();
	if (test__start_subtest("wrong_target"))
		wrong_target();
	if (test__start_subtest("wrong_attach_type"))
		wrong_attach_type();
	if (test__start_subtest("ret_argument"))
		ret_argument();
	if (test__start_subtest("nullable_untested"))
		nullable_untested();
	if (test__start_subtest("nullable_tested"))
		nullable_tested();
	if (test__start_subtest("spin_lock"))
		spin_lock();
}
