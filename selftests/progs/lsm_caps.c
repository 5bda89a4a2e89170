// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int calls_a;
int calls_b;

SEC("lsm/task_getsid")
int BPF_PROG(prog_a, struct task_struct *p)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		calls_a++;
	return 0;
}

SEC("lsm/task_getsid")
int BPF_PROG(prog_b, struct task_struct *p)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		calls_b++;
	return 0;
}
