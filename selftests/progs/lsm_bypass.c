// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int policy_calls;
int security_calls;
int seen_ret;
int files;
int no_files;
int no_creds;
int verdict;
int sink;

struct tails {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};

/* An array is for programs that are alike, hence one for each test. */
struct tails tails SEC(".maps");
struct tails open_tails SEC(".maps");
struct tails alloc_tails SEC(".maps");

extern int bpf_path_d_path(struct path *path, char *buf, size_t buf__sz) __ksym __weak;

static __always_inline bool monitored(void)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid;
}

SEC("?lsm/task_getsid")
int BPF_PROG(deny, struct task_struct *p)
{
	if (!monitored())
		return 0;
	policy_calls++;
	return -EACCES;
}

SEC("?kprobe")
int override(struct pt_regs *ctx)
{
	if (monitored())
		bpf_override_return(ctx, 0);
	return 0;
}

SEC("?fentry/bpf_lsm_task_getsid")
int BPF_PROG(enter_stub, struct task_struct *p)
{
	return 0;
}

SEC("?fexit/bpf_lsm_task_getsid")
int BPF_PROG(leave_stub, struct task_struct *p, int ret)
{
	return 0;
}

SEC("?fentry/security_task_getsid")
int BPF_PROG(enter_security, struct task_struct *p)
{
	if (monitored())
		security_calls++;
	return 0;
}

SEC("?fexit/security_task_getsid")
int BPF_PROG(leave_security, struct task_struct *p, int ret)
{
	if (!monitored())
		return 0;
	security_calls++;
	seen_ret = ret;
	return 0;
}

SEC("?fmod_ret/bpf_lsm_task_getsid")
int BPF_PROG(modify_stub, struct task_struct *p)
{
	return 0;
}

SEC("?fmod_ret/deny")
int BPF_PROG(modify_program, struct task_struct *p)
{
	return 0;
}

/* The verifier does not tell it how many arguments come before what it returns. */
SEC("?fexit/deny")
int leave_program(void *ctx)
{
	__u64 ret = 0;

	if (!monitored())
		return 0;
	bpf_get_func_ret(ctx, &ret);
	security_calls++;
	seen_ret = ret;
	return 0;
}

SEC("?lsm/task_getsid")
int tail_caller(void *ctx)
{
	bpf_tail_call(ctx, &tails, 0);
	return 0;
}

SEC("?lsm/task_getsid")
int tail_same(void *ctx)
{
	return monitored() ? -EACCES : 0;
}

SEC("?lsm/task_setnice")
int tail_other(void *ctx)
{
	return 0;
}

SEC("?lsm_cgroup/task_getsid")
int tail_cgroup(void *ctx)
{
	return 1;
}

SEC("?lsm/file_open")
int open_caller(void *ctx)
{
	bpf_tail_call(ctx, &open_tails, 0);
	return 0;
}

SEC("?lsm/file_open")
int open_plain(void *ctx)
{
	return 0;
}

SEC("?lsm.s/file_open")
int open_sleepable(void *ctx)
{
	return 0;
}

SEC("?lsm/file_alloc_security")
int alloc_caller(void *ctx)
{
	bpf_tail_call(ctx, &alloc_tails, 0);
	return 0;
}

SEC("?lsm/file_alloc_security")
int alloc_plain(void *ctx)
{
	return 0;
}

/* Fine where a file is opened. */
SEC("?lsm/file_open")
int BPF_PROG(open_trusting, struct file *file)
{
	char path[16];

	bpf_path_d_path(&file->f_path, path, sizeof(path));
	return 0;
}

SEC("?lsm/task_getsid")
int BPF_PROG(write_user, struct task_struct *p)
{
	int value = 0;

	bpf_probe_write_user((void *)8, &value, sizeof(value));
	return 0;
}

SEC("?lsm/task_getsid")
int BPF_PROG(read_user, struct task_struct *p)
{
	int value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)8);
	return 0;
}

SEC("?lsm/mmap_file")
int BPF_PROG(map_nothing, struct file *file)
{
	if (!monitored())
		return 0;
	if (file) {
		files++;
		return 0;
	}
	/* Nothing that the other branch does, or the compiler joins the two. Then
	 * the test works even if the verifier takes it for needless.
	 */
	__sync_fetch_and_add(&no_files, 1);
	return -EACCES;
}

SEC("?lsm/task_kill")
int BPF_PROG(kill_untested, struct task_struct *p, struct kernel_siginfo *info, int sig,
	     const struct cred *cred)
{
	sink = cred->uid.val;
	return 0;
}

SEC("?lsm/task_kill")
int BPF_PROG(kill_tested, struct task_struct *p, struct kernel_siginfo *info, int sig,
	     const struct cred *cred)
{
	if (!monitored() || sig)
		return 0;
	if (cred)
		sink = cred->uid.val;
	else
		no_creds++;
	return -EACCES;
}

static __always_inline int say_verdict(void)
{
	int ret = verdict;

	if (!monitored() || ret < -4095)
		return 0;
	/* One comparison of another register would do, but not for the verifier. */
	barrier_var(ret);
	return ret > 0 ? 0 : ret;
}

SEC("?lsm/socket_recvmsg")
int BPF_PROG(receive, struct socket *sock, struct msghdr *msg, int size, int flags)
{
	return say_verdict();
}

SEC("?lsm.s/socket_recvmsg")
int BPF_PROG(receive_sleepable, struct socket *sock, struct msghdr *msg, int size, int flags)
{
	return say_verdict();
}
