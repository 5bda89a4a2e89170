// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_misc.h"
#include "lsm_mnt_opts.h"

char _license[] SEC("license") = "GPL";

int monitored_pid;
int verdict[NR_HOOKS];
int calls[NR_HOOKS];

/* The only option that is denied; without it, every one. */
char option[16];

static __always_inline int run(int hook, bool asked)
{
	long ret = verdict[hook];

	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	__sync_fetch_and_add(&calls[hook], 1);
	if (!asked)
		return 0;

	/* The verifier has to see both ends of the range. */
	if (ret > 0)
		return 0;
	barrier_var(ret);
	if (ret < -4095)
		return 0;
	return ret;
}

SEC("lsm/fs_context_parse_param")
int BPF_PROG(parse_param, struct fs_context *fc, struct fs_parameter *param)
{
	char key[sizeof(option)] = "";
	int i;

	if (bpf_probe_read_kernel_str(key, sizeof(key), param->key) < 0)
		return 0;
	for (i = 0; option[0] && i < sizeof(key); i++)
		if (key[i] != option[i])
			return run(FS_CONTEXT_PARSE_PARAM, false);
	return run(FS_CONTEXT_PARSE_PARAM, true);
}

SEC("lsm/sb_eat_lsm_opts")
int BPF_PROG(eat_lsm_opts)
{
	return run(SB_EAT_LSM_OPTS, true);
}

SEC("lsm/sb_set_mnt_opts")
int BPF_PROG(set_mnt_opts)
{
	return run(SB_SET_MNT_OPTS, true);
}

SEC("lsm/sb_kern_mount")
int BPF_PROG(kern_mount)
{
	return run(SB_KERN_MOUNT, true);
}

SEC("lsm/sb_remount")
int BPF_PROG(remount)
{
	return run(SB_REMOUNT, true);
}

SEC("lsm/sb_mount")
int BPF_PROG(do_mount)
{
	return run(SB_MOUNT, true);
}

SEC("lsm/sb_show_options")
int BPF_PROG(show_options)
{
	return run(SB_SHOW_OPTIONS, true);
}
