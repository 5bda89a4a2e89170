// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int scheduler_calls[2];
int mmap_calls;

static __always_inline int deny(int *calls)
{
	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	__sync_fetch_and_add(calls, 1);
	return -EPERM;
}

SEC("lsm/task_getscheduler")
int BPF_PROG(deny_scheduler_0, struct task_struct *p)
{
	return deny(&scheduler_calls[0]);
}

SEC("lsm/task_getscheduler")
int BPF_PROG(deny_scheduler_1, struct task_struct *p)
{
	return deny(&scheduler_calls[1]);
}

SEC("lsm/mmap_addr")
int BPF_PROG(deny_mmap, unsigned long addr)
{
	return deny(&mmap_calls);
}
