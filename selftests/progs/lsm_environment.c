// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lsm_environment.h"

#define EACCES	13
#define EBUSY	16

char _license[] SEC("license") = "GPL";

__u64 mixed;
__u64 cookie;
__u32 prog_fd;

SEC("lsm/file_ioctl")
int BPF_PROG(mix, struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != LSM_ENVIRONMENT_MIX)
		return 0;
	mixed = lsm_environment_mix(arg);
	cookie = bpf_get_attach_cookie(ctx);
	if (mixed & 1)
		return -EACCES;
	return mixed & 2 ? -EBUSY : 0;
}

/* Attaches what its user could attach. */
SEC("syscall")
int attach(void *ctx)
{
	union bpf_attr attr = {};

	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = BPF_LSM_MAC;
	return bpf_sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}
