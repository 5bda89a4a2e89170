// SPDX-License-Identifier: GPL-2.0
/* The programs, written as instructions: they are too short for a compiler. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define RETURN(value) \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (value) }, \
	{ .code = BPF_JMP | BPF_EXIT }

static char verifier_log[8192];

/* The reason, which is the last line but for the statistics. */
const char *program_refusal(void)
{
	char *end = strstr(verifier_log, "processed ");
	char *line;

	if (end)
		*end = '\0';
	for (end = verifier_log + strlen(verifier_log); end > verifier_log && end[-1] == '\n';)
		*--end = '\0';
	line = strrchr(verifier_log, '\n');
	return line ? line + 1 : verifier_log;
}

static int load(enum bpf_prog_type type, int attach_type, int btf_id, __u32 flags,
		const struct bpf_insn *insns, size_t nr)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.expected_attach_type = attach_type,
		.attach_btf_id = btf_id,
		.prog_flags = flags,
	);
	int fd;

	verifier_log[0] = '\0';
	fd = bpf_prog_load(type, "bench", "GPL", insns, nr, &opts);
	if (fd >= 0)
		return fd;
	/* Once more, for the reason. */
	opts.log_level = 1;
	opts.log_buf = verifier_log;
	opts.log_size = sizeof(verifier_log);
	fd = bpf_prog_load(type, "bench", "GPL", insns, nr, &opts);
	if (fd < 0 && !verifier_log[0])
		snprintf(verifier_log, sizeof(verifier_log), "%s", strerror(-fd));
	return fd;
}

static int load_return(int attach_type, int btf_id, __u32 flags, int value)
{
	const struct bpf_insn insns[] = { RETURN(value) };

	return load(BPF_PROG_TYPE_LSM, attach_type, btf_id, flags, insns, ARRAY_SIZE(insns));
}

int load_noop(int btf_id)
{
	return load_return(BPF_LSM_MAC, btf_id, 0, 0);
}

int load_sleepable(int btf_id)
{
	return load_return(BPF_LSM_MAC, btf_id, BPF_F_SLEEPABLE, 0);
}

int load_deny(int btf_id)
{
	return load_return(BPF_LSM_MAC, btf_id, 0, -EPERM);
}

/* To a program of a control group, 1 is to allow. */
int load_cgroup(int btf_id)
{
	return load_return(BPF_LSM_CGROUP, btf_id, 0, 1);
}

/* Adds 1 to the map's 64-bit number at @slot. */
int load_counter(int btf_id, int map, unsigned int slot)
{
	const struct bpf_insn insns[] = {
		{
			.code = BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_PSEUDO_MAP_VALUE,
			.imm = map,
		},
		{ .imm = slot * sizeof(uint64_t) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 1 },
		{
			.code = BPF_STX | BPF_DW | BPF_ATOMIC,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_REG_2,
			.imm = BPF_ADD,
		},
		RETURN(0),
	};

	return load(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, btf_id, 0, insns, ARRAY_SIZE(insns));
}

int load_tracing(int btf_id, int attach_type)
{
	const struct bpf_insn insns[] = { RETURN(0) };

	return load(BPF_PROG_TYPE_TRACING, attach_type, btf_id, 0, insns, ARRAY_SIZE(insns));
}

int attach(int prog, uint64_t cookie)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = cookie);

	return bpf_link_create(prog, 0, BPF_LSM_MAC, &opts);
}

int attach_cgroup(int prog, int cgroup)
{
	return bpf_link_create(prog, cgroup, BPF_LSM_CGROUP, NULL);
}

int attach_tracing(int prog, int attach_type)
{
	return bpf_link_create(prog, 0, attach_type, NULL);
}
