// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define MAGIC 0x6c736d5f666f726bULL

struct value {
	__u64 magic;
	__u64 owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} inodes SEC(".maps");

/* Only files on this device matter, and tasks that open them. */
__u32 monitored_dev;

__u64 inherited;
__u64 opened;
__u64 freed;
__u64 wrong;

/* A child of a task with a value gets one, too. */
SEC("lsm/task_alloc")
int BPF_PROG(task_alloc, struct task_struct *task)
{
	struct value *value;

	value = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), NULL, 0);
	if (!value)
		return 0;
	if (bpf_task_storage_get(&tasks, task, NULL, 0))
		__sync_fetch_and_add(&wrong, 1);
	value = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	/* Refused to whoever comes while somebody else makes one. */
	if (!value)
		return 0;
	value->magic = MAGIC;
	value->owner = (__u64)task;
	__sync_fetch_and_add(&inherited, 1);
	return 0;
}

/* Runs wherever the last reference to a task goes, in a softirq as a rule. */
SEC("lsm/task_free")
void BPF_PROG(task_free, struct task_struct *task)
{
	__sync_fetch_and_add(&freed, 1);
}

static __always_inline void check_inode(struct inode *inode)
{
	struct value *value = bpf_inode_storage_get(&inodes, inode, NULL,
						    BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!value)
		return;
	if (value->magic && (value->magic != MAGIC || value->owner != inode->i_ino))
		__sync_fetch_and_add(&wrong, 1);
	value->owner = inode->i_ino;
	barrier();
	value->magic = MAGIC;
}

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct value *value;

	if (file->f_inode->i_sb->s_dev != monitored_dev)
		return 0;
	check_inode(file->f_inode);
	value = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value) {
		if (value->magic && (value->magic != MAGIC || value->owner != (__u64)task))
			__sync_fetch_and_add(&wrong, 1);
		value->owner = (__u64)task;
		value->magic = MAGIC;
	}
	__sync_fetch_and_add(&opened, 1);
	return 0;
}
