// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_PROGS 64

char _license[] SEC("license") = "GPL";

int monitored_pid;
int calls[MAX_PROGS];

/* Loaded many times over. The cookie tells which one it is. */
SEC("lsm/task_getpgid")
int BPF_PROG(count, struct task_struct *p)
{
	__u64 i = bpf_get_attach_cookie(ctx);

	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid && i < MAX_PROGS)
		calls[i]++;
	return 0;
}
