// SPDX-License-Identifier: GPL-2.0
/* Deny opening some files, known by their inodes, and count the attempts. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);	/* number of the inode */
	__type(value, __u64);	/* attempts */
} files SEC(".maps");

SEC("lsm/file_open")
int BPF_PROG(opens, struct file *file)
{
	__u64 inode = file->f_inode->i_ino;
	__u64 *attempts = bpf_map_lookup_elem(&files, &inode);

	if (!attempts)
		return 0;
	__sync_fetch_and_add(attempts, 1);
	return -EPERM;
}
