// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* One slot for each of the programs on task_getpgid. */
enum { A, B, C, D, NR_SLOTS };

int monitored_pid;
int calls[NR_SLOTS];
int turn[NR_SLOTS];
int turns;
__u64 cookies[NR_SLOTS];

static __always_inline int run(void *ctx, int slot, int verdict)
{
	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	calls[slot]++;
	turn[slot] = ++turns;
	cookies[slot] = bpf_get_attach_cookie(ctx);
	return verdict;
}

/* A, B, C and D have no opinion, so that all programs of the hook run. */
SEC("lsm/task_getpgid")
int BPF_PROG(prog_a, struct task_struct *p)
{
	return run(ctx, A, 0);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_b, struct task_struct *p)
{
	return run(ctx, B, 0);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_c, struct task_struct *p)
{
	return run(ctx, C, 0);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_d, struct task_struct *p)
{
	return run(ctx, D, 0);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_deny, struct task_struct *p)
{
	return run(ctx, A, -13);
}

/* None of these is a replacement for any of the programs above. */
SEC("lsm/task_getsid")
int BPF_PROG(other_hook, struct task_struct *p)
{
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(other_type, int a)
{
	return 0;
}

SEC("socket")
int not_tracing(struct __sk_buff *skb)
{
	return 0;
}
