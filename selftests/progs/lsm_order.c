// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int ptrace_calls;
int open_calls;
int mkdir_calls;

static __always_inline void count(int *calls)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		__sync_fetch_and_add(calls, 1);
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(count_ptrace, struct task_struct *child, unsigned int mode)
{
	count(&ptrace_calls);
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(count_open, struct file *file)
{
	count(&open_calls);
	return 0;
}

SEC("lsm/path_mkdir")
int BPF_PROG(count_mkdir, const struct path *dir, struct dentry *dentry)
{
	count(&mkdir_calls);
	return 0;
}
