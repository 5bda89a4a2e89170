// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lsm_sleepable.h"

char _license[] SEC("license") = "GPL";

int monitored_pid;
struct lsm_sleepable_seen seen[NR_SLOTS];
int turns;

static __always_inline bool monitored(int option)
{
	return option == LSM_SLEEPABLE_OPTION &&
	       bpf_get_current_pid_tgid() >> 32 == monitored_pid;
}

static __always_inline int judge(int slot, int err, long word)
{
	if (err) {
		seen[slot].err = err;
		return 0;
	}
	seen[slot].word = word;
	return word == LSM_SLEEPABLE_DENY ? -EACCES : 0;
}

/* User memory may have to be brought in: this waits for it. */
static __always_inline int read_and_wait(int slot, int option, unsigned long addr)
{
	long word = 0;
	int err;

	if (!monitored(option))
		return 0;
	__sync_fetch_and_add(&seen[slot].calls, 1);
	seen[slot].turn = ++turns;
	if (!addr)
		return 0;
	err = bpf_copy_from_user(&word, sizeof(word), (void *)addr);
	return judge(slot, err, word);
}

/* The same where that is not possible. */
static __always_inline int read_at_once(int slot, int option, unsigned long addr)
{
	long word = 0;
	int err;

	if (!monitored(option))
		return 0;
	__sync_fetch_and_add(&seen[slot].calls, 1);
	seen[slot].turn = ++turns;
	if (!addr)
		return 0;
	err = bpf_probe_read_user(&word, sizeof(word), (void *)addr);
	return judge(slot, err, word);
}

SEC("lsm.s/task_prctl")
int BPF_PROG(sleepable_a, int option, unsigned long arg2)
{
	return read_and_wait(SLEEPABLE_A, option, arg2);
}

SEC("lsm/task_prctl")
int BPF_PROG(plain_a, int option, unsigned long arg2)
{
	return read_at_once(PLAIN_A, option, arg2);
}

SEC("lsm.s/task_prctl")
int BPF_PROG(sleepable_b, int option, unsigned long arg2, unsigned long arg3)
{
	return read_and_wait(SLEEPABLE_B, option, arg3);
}

SEC("lsm/task_prctl")
int BPF_PROG(plain_b, int option, unsigned long arg2, unsigned long arg3)
{
	return read_at_once(PLAIN_B, option, arg3);
}

/* Hooks that have a caller which must not sleep. */
SEC("?lsm.s/capget")
int BPF_PROG(unsleepable_capget)
{
	return 0;
}

SEC("?lsm.s/current_getsecid_subj")
int BPF_PROG(unsleepable_current_getsecid_subj)
{
	return 0;
}

SEC("?lsm.s/task_getsecid_obj")
int BPF_PROG(unsleepable_task_getsecid_obj)
{
	return 0;
}

SEC("?lsm.s/release_secctx")
int BPF_PROG(unsleepable_release_secctx)
{
	return 0;
}

SEC("?lsm.s/inode_free_security")
int BPF_PROG(unsleepable_inode_free_security)
{
	return 0;
}

/* One that never could. */
SEC("?lsm.s/file_permission")
int BPF_PROG(unsleepable_file_permission)
{
	return 0;
}
