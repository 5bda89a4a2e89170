// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lsm_cgroup_attach.h"

char _license[] SEC("license") = "GPL";

/* Who ran, in order. */
int turns;
int turn[MAX_TURNS];

/* What "verdict" does. */
int verdict_ret = 1;
int verdict_retval;
bool verdict_sets_retval;

/* What the program that runs after "verdict" is told of it. */
int seen_retval;

/* What "plain" returns, which is in the same hook for every process. */
int plain_ret;
int monitored_pid;

static void note(int who)
{
	int i = turns++;

	if (i >= 0 && i < MAX_TURNS)
		turn[i] = who;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(verdict, struct task_struct *p, int nice)
{
	note(VERDICT);
	if (verdict_sets_retval)
		bpf_set_retval(verdict_retval);
	return verdict_ret & 1;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(see, struct task_struct *p, int nice)
{
	note(SEE);
	seen_retval = bpf_get_retval();
	return 1;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(first, struct task_struct *p, int nice)
{
	note(FIRST);
	return 1;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(second, struct task_struct *p, int nice)
{
	note(SECOND);
	return 1;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(deny_access, struct task_struct *p, int nice)
{
	bpf_set_retval(-EACCES);
	return 0;
}

SEC("lsm_cgroup/task_setnice")
int BPF_PROG(deny_busy, struct task_struct *p, int nice)
{
	bpf_set_retval(-EBUSY);
	return 0;
}

SEC("lsm/task_setnice")
int BPF_PROG(plain, struct task_struct *p, int nice)
{
	int ret = plain_ret;

	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	note(PLAIN);
	return ret < 0 && ret >= -MAX_ERRNO ? ret : 0;
}

SEC("lsm_cgroup/task_getsid")
int BPF_PROG(other_hook, struct task_struct *p)
{
	note(OTHER_HOOK);
	return 1;
}

SEC("lsm_cgroup/socket_bind")
int BPF_PROG(deny_bind, struct socket *sock, struct sockaddr *address, int len)
{
	bpf_set_retval(-EXDEV);
	return 0;
}
