// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int calls_a;
int calls_b;

/* What an extension may take the place of. */
__noinline int opinion(int nothing)
{
	barrier_var(nothing);
	return nothing;
}

SEC("lsm/task_getsid")
int BPF_PROG(prog_a, struct task_struct *p)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		calls_a++;
	return opinion(0) ? -13 : 0;
}

SEC("lsm/task_getsid")
int BPF_PROG(prog_b, struct task_struct *p)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		calls_b++;
	return 0;
}

/* A main function whose argument the verifier takes for the context. */
SEC("lsm/task_getsid")
int tagged(unsigned long long *ctx __arg_ctx)
{
	return 0;
}

/* Functions that do not ask any LSM, or nothing that belongs to one. */
SEC("fmod_ret/bpf_modify_return_test")
int BPF_PROG(modify_other, int a, int *b)
{
	return 0;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	return opinion(0);
}

SEC("fmod_ret/security_task_getsid")
int BPF_PROG(modify_security, struct task_struct *p)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid ? -13 : 0;
}

/* This one has no opinion of its own. */
SEC("fmod_ret/security_task_getsid")
int BPF_PROG(modify_by_opinion, struct task_struct *p)
{
	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	return opinion(0) ? -13 : 0;
}

/* This one only looks. */
SEC("fexit/security_task_getsid")
int BPF_PROG(observe_security, struct task_struct *p, int ret)
{
	return 0;
}
