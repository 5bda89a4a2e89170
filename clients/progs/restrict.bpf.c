// SPDX-License-Identifier: GPL-2.0
/* Which filesystems a cgroup may open files on: a map from cgroups to sets of
 * filesystems, as service managers do it.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1

char _license[] SEC("license") = "GPL";

struct filesystems {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);	/* superblock's magic number */
	__type(value, __u32);
} unused SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, __u64);	/* id of the cgroup */
	__array(values, struct filesystems);
} denied SEC(".maps");

SEC("lsm/file_open")
int BPF_PROG(restrict_filesystems, struct file *file, int ret)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	__u32 magic;
	void *set;

	if (ret)
		return ret;
	set = bpf_map_lookup_elem(&denied, &cgroup);
	if (!set)
		return 0;
	magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	return bpf_map_lookup_elem(set, &magic) ? -EPERM : 0;
}
