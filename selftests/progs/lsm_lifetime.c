// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* A function of the module bpf_testmod, if that is loaded. */
void bpf_kfunc_common_test(void) __weak __ksym;

/* Of the task that is given; for one that is not yet there, NULL. */
struct task_struct *bpf_task_acquire(struct task_struct *p) __weak __ksym;
void bpf_task_release(struct task_struct *p) __weak __ksym;

int monitored_pid;
int acquired;
int not_acquired;
int calls;
int plain_calls;
int leaver_calls;
int stayer_calls;

static __always_inline bool is_monitored(void)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid;
}

SEC("lsm/task_getpgid")
int BPF_PROG(count, struct task_struct *p)
{
	if (is_monitored())
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("?lsm/task_getpgid")
int BPF_PROG(count_in_module, struct task_struct *p)
{
	bpf_kfunc_common_test();
	if (is_monitored())
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

/* Takes a reference to a task that may never run. */
SEC("?lsm/task_alloc")
int BPF_PROG(acquire, struct task_struct *task, unsigned long clone_flags)
{
	struct task_struct *held;

	if (!is_monitored())
		return 0;
	held = bpf_task_acquire(task);
	if (!held) {
		not_acquired++;
		return 0;
	}
	acquired++;
	bpf_task_release(held);
	return 0;
}

SEC("lsm/socket_bind")
int BPF_PROG(plain, struct socket *sock, struct sockaddr *address, int len)
{
	if (is_monitored())
		__sync_fetch_and_add(&plain_calls, 1);
	return 0;
}

/* For a cgroup that goes. */
SEC("lsm_cgroup/socket_bind")
int BPF_PROG(leaver, struct socket *sock, struct sockaddr *address, int len)
{
	__sync_fetch_and_add(&leaver_calls, 1);
	return 1;
}

/* For one that stays. */
SEC("lsm_cgroup/socket_bind")
int BPF_PROG(stayer, struct socket *sock, struct sockaddr *address, int len)
{
	__sync_fetch_and_add(&stayer_calls, 1);
	bpf_set_retval(-EXDEV);
	return 0;
}
