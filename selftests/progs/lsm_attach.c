// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

/* One slot for each of the programs below. */
enum { A, B, C, NR_SLOTS };

int monitored_pid;
int verdict[NR_SLOTS];
int calls[NR_SLOTS];
/* Which call, of all programs' calls, was this program's last one? */
int turn[NR_SLOTS];
int turns;
int void_calls;

static __always_inline int run(int slot)
{
	long ret = verdict[slot];

	if (bpf_get_current_pid_tgid() >> 32 != monitored_pid)
		return 0;
	__sync_fetch_and_add(&calls[slot], 1);
	turn[slot] = ++turns;

	/* The verifier has to see both ends of the range. */
	if (ret > 0)
		return 0;
	barrier_var(ret);
	if (ret < -4095)
		return 0;
	return ret;
}

/* A hook that one cheap system call runs once: getpgid(). */
SEC("lsm/task_getpgid")
int BPF_PROG(prog_a, struct task_struct *p)
{
	return run(A);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_b, struct task_struct *p)
{
	return run(B);
}

SEC("lsm/task_getpgid")
int BPF_PROG(prog_c, struct task_struct *p)
{
	return run(C);
}

/* A hook returns int: no opinion, whatever the upper half of R0 says. */
SEC("lsm/task_getpgid")
__naked int prog_high_bits(void)
{
	asm volatile ("r0 = 1;"
		      "r0 <<= 32;"
		      "exit;"
		      ::: __clobber_all);
}

/* The same the other way round: -EPERM as an int, a large number in R0. */
SEC("lsm/task_getpgid")
__naked int prog_int_verdict(void)
{
	asm volatile ("w0 = -1;"
		      "exit;"
		      ::: __clobber_all);
}

/* A hook that returns nothing: it runs for each file below /proc/<pid>. */
SEC("lsm/task_to_inode")
int BPF_PROG(prog_void, struct task_struct *p, struct inode *inode)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		__sync_fetch_and_add(&void_calls, 1);
	return 0;
}
