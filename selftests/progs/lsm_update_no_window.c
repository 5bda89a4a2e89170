// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EACCES		13
#define EBUSY		16
#define PROT_EXEC	0x4

char _license[] SEC("license") = "GPL";

int monitored_pid;

static __always_inline bool denied(unsigned long reqprot)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid && (reqprot & PROT_EXEC);
}

/* Both deny the same, each with an error of its own. */
SEC("lsm/file_mprotect")
int BPF_PROG(deny_eacces, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot)
{
	return denied(reqprot) ? -EACCES : 0;
}

SEC("lsm/file_mprotect")
int BPF_PROG(deny_ebusy, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot)
{
	return denied(reqprot) ? -EBUSY : 0;
}
