// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "lsm_race.h"

#define EACCES 13

char _license[] SEC("license") = "GPL";

__u64 calls[LSM_RACE_PROGS];
__u64 reads;

/* Loaded many times over. The cookie tells which one it is. */
SEC("lsm/file_ioctl")
int BPF_PROG(count, struct file *file, unsigned int cmd)
{
	__u64 i = bpf_get_attach_cookie(ctx);

	if (cmd == LSM_RACE_CALL && i < LSM_RACE_PROGS)
		__sync_fetch_and_add(&calls[i], 1);
	return 0;
}

SEC("lsm/file_ioctl")
int BPF_PROG(deny, struct file *file, unsigned int cmd, unsigned long arg)
{
	return cmd == LSM_RACE_CALL && arg == LSM_RACE_DENIED ? -EACCES : 0;
}

/* Two that sleep. The second one waits for user memory and does what that says. */
SEC("lsm.s/file_ioctl")
int BPF_PROG(count_reads, struct file *file, unsigned int cmd)
{
	if (cmd == LSM_RACE_READ)
		__sync_fetch_and_add(&reads, 1);
	return 0;
}

SEC("lsm.s/file_ioctl")
int BPF_PROG(deny_by_word, struct file *file, unsigned int cmd, unsigned long arg)
{
	long word = 0;

	if (cmd != LSM_RACE_READ)
		return 0;
	if (bpf_copy_from_user(&word, sizeof(word), (void *)arg))
		return 0;
	return word == LSM_RACE_DENIED ? -EACCES : 0;
}

/* Traces a function that has nothing to do with the hook. */
SEC("fentry/bpf_fentry_test1")
int BPF_PROG(trace)
{
	return 0;
}

/* Other hooks that are attached to and detached from. */
SEC("lsm/task_getpgid")
int BPF_PROG(other_task)
{
	return 0;
}

SEC("lsm/mmap_file")
int BPF_PROG(other_mmap)
{
	return 0;
}

SEC("lsm/inode_permission")
int BPF_PROG(other_inode)
{
	return 0;
}
