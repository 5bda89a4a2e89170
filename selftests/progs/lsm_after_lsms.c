// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define S_IFMT	00170000
#define S_IFREG	0100000

char _license[] SEC("license") = "GPL";

int monitored_pid;
int calls;

static __always_inline int count(void)
{
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("?lsm/kernel_read_file")
int BPF_PROG(kernel_read_file, struct file *file, enum kernel_read_file_id id, bool contents)
{
	return count();
}

SEC("?lsm/task_fix_setuid")
int BPF_PROG(task_fix_setuid, struct cred *new, const struct cred *old, int flags)
{
	return count();
}

/* Of the file, not of the directories on the way to it. */
SEC("?lsm/inode_permission")
int BPF_PROG(inode_permission, struct inode *inode, int mask)
{
	return (inode->i_mode & S_IFMT) == S_IFREG ? count() : 0;
}
