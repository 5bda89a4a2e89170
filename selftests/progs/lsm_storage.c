// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1

char _license[] SEC("license") = "GPL";

struct value {
	__u64 calls;
	__u64 denied;
};

#define STORAGE(NAME, TYPE)					\
struct {							\
	__uint(type, BPF_MAP_TYPE_##TYPE##_STORAGE);		\
	__uint(map_flags, BPF_F_NO_PREALLOC);			\
	__type(key, int);					\
	__type(value, struct value);				\
} NAME SEC(".maps")

STORAGE(inodes, INODE);
STORAGE(tasks, TASK);
STORAGE(cgroups, CGRP);
STORAGE(socks, SK);

int monitored_pid;
/* Only inodes of the filesystem on this device matter. */
__u32 monitored_dev;

/* Values of inodes, and storage of inodes that has been freed. */
__u64 created;
__u64 destroyed;
__u32 inodes_id;
/* Inodes that had a value from the very start, and that had one at the end. */
__u64 inherited;
__u64 kept;
/* Shall an inode without a value get one at the end? */
bool create_at_the_end;

/* A task waits for an inode to die that it is walking through. */
int walker_tid;
__u64 walked_ino;
bool walking;
__u64 gone_ino;
bool walker_saw_it_go;

static __always_inline bool monitored(void)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid;
}

static __always_inline bool on_monitored_dev(struct inode *inode)
{
	return inode->i_sb->s_dev == monitored_dev;
}

static __always_inline struct value *inode_value(struct inode *inode)
{
	struct value *value;

	value = bpf_inode_storage_get(&inodes, inode, NULL, 0);
	if (value)
		return value;
	value = bpf_inode_storage_get(&inodes, inode, NULL,
				      BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		__sync_fetch_and_add(&created, 1);
	return value;
}

SEC("lsm/file_open")
int BPF_PROG(file_open, struct file *file)
{
	struct value *value;

	if (!on_monitored_dev(file->f_inode))
		return 0;
	value = inode_value(file->f_inode);
	if (!value)
		return 0;
	__sync_fetch_and_add(&value->calls, 1);
	return value->denied ? -EPERM : 0;
}

SEC("lsm/task_getpgid")
int BPF_PROG(task_getpgid, struct task_struct *task)
{
	struct value *value;

	if (!monitored())
		return 0;
	value = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		value->calls++;
	value = bpf_cgrp_storage_get(&cgroups, task->cgroups->dfl_cgrp, NULL,
				     BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		value->calls++;
	return 0;
}

SEC("lsm/socket_bind")
int BPF_PROG(socket_bind, struct socket *sock, struct sockaddr *address, int addrlen)
{
	struct sock *sk = sock->sk;
	struct value *value;

	if (!monitored() || !sk)
		return 0;
	value = bpf_sk_storage_get(&socks, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		value->calls++;
	return 0;
}

SEC("lsm/inode_alloc_security")
int BPF_PROG(inode_alloc, struct inode *inode)
{
	if (on_monitored_dev(inode) && bpf_inode_storage_get(&inodes, inode, NULL, 0))
		__sync_fetch_and_add(&inherited, 1);
	return 0;
}

SEC("lsm/inode_free_security")
void BPF_PROG(inode_free, struct inode *inode)
{
	if (!on_monitored_dev(inode))
		return;
	if (bpf_inode_storage_get(&inodes, inode, NULL, 0))
		__sync_fetch_and_add(&kept, 1);
	else if (create_at_the_end)
		inode_value(inode);
	gone_ino = inode->i_ino;
}

static int wait_until_gone(__u64 i, void *ctx)
{
	return gone_ino == walked_ino;
}

static int wait_longer(__u64 i, void *ctx)
{
	return bpf_loop(1 << 23, wait_until_gone, NULL, 0) < 1 << 23;
}

static int wait_a_little(__u64 i, void *ctx)
{
	return 0;
}

/* Under RCU, a path walk may ask about an inode that nobody holds. */
SEC("lsm/inode_permission")
int BPF_PROG(inode_permission, struct inode *inode, int mask)
{
	if ((__u32)bpf_get_current_pid_tgid() != walker_tid || walking)
		return 0;
	if (!on_monitored_dev(inode) || inode->i_ino != walked_ino)
		return 0;

	walking = true;
	bpf_loop(4, wait_longer, NULL, 0);
	if (gone_ino != walked_ino)
		return 0;
	/* The program on inode_free_security has run, let its caller finish. */
	bpf_loop(1 << 18, wait_a_little, NULL, 0);
	walker_saw_it_go = true;
	inode_value(inode);
	return 0;
}

SEC("fentry/bpf_local_storage_destroy")
int BPF_PROG(storage_destroy, struct bpf_local_storage *storage)
{
	if (storage->smap->map.id == inodes_id)
		__sync_fetch_and_add(&destroyed, 1);
	return 0;
}
