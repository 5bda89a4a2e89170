// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

unsigned long long sink;
const int zero;

struct locked {
	struct bpf_spin_lock lock;
	int value;
};

SEC("?lsm/file_open")
int BPF_PROG(read_btf_ptr, struct file *file)
{
	sink = file->f_flags;
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(write_btf_ptr, struct file *file)
{
	file->f_flags = 0;
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(write_btf_ptr_nested, struct file *file)
{
	file->f_inode->i_mode = 0;
	return 0;
}

SEC("?lsm/no_such_hook")
int BPF_PROG(unknown_hook)
{
	return 0;
}

SEC("?lsm/vm_enough_memory")
int BPF_PROG(refused_vm_enough_memory)
{
	return 0;
}

SEC("?lsm/getprocattr")
int BPF_PROG(refused_getprocattr)
{
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(zero_return)
{
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(positive_return)
{
	return 1;
}

SEC("?lsm/file_open")
int BPF_PROG(errno_return)
{
	return -4095;
}

SEC("?lsm/file_open")
int BPF_PROG(too_negative_return)
{
	return -4096;
}

SEC("?lsm/inode_xattr_skipcap")
int BPF_PROG(bool_return)
{
	return 1;
}

SEC("?lsm/inode_xattr_skipcap")
int BPF_PROG(bool_return_errno)
{
	return -EPERM;
}

/* What the programs before this one have returned follows the arguments. */
SEC("?lsm/file_mprotect")
int BPF_PROG(ret_argument, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot, int ret)
{
	return ret;
}

SEC("?lsm/file_mprotect")
int BPF_PROG(argument_out_of_range, struct vm_area_struct *vma,
	     unsigned long reqprot, unsigned long prot, int ret,
	     unsigned long one_more)
{
	sink = one_more;
	return 0;
}

SEC("?lsm/mmap_file")
int BPF_PROG(nullable_untested, struct file *file)
{
	sink = file->f_flags;
	return 0;
}

SEC("?lsm/mmap_file")
int BPF_PROG(nullable_tested, struct file *file)
{
	if (file)
		sink = file->f_flags;
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} locks SEC(".maps");

static __always_inline struct locked *find_lock(void)
{
	return bpf_map_lookup_elem(&locks, &zero);
}

SEC("?lsm/file_open")
int BPF_PROG(lock_unlock)
{
	struct locked *locked = find_lock();

	if (!locked)
		return 0;
	bpf_spin_lock(&locked->lock);
	locked->value++;
	bpf_spin_unlock(&locked->lock);
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(lock_only)
{
	struct locked *locked = find_lock();

	if (locked)
		bpf_spin_lock(&locked->lock);
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(lock_call)
{
	struct locked *locked = find_lock();

	if (!locked)
		return 0;
	bpf_spin_lock(&locked->lock);
	sink = bpf_get_current_pid_tgid();
	bpf_spin_unlock(&locked->lock);
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(lock_twice)
{
	struct locked *locked = find_lock();

	if (!locked)
		return 0;
	bpf_spin_lock(&locked->lock);
	bpf_spin_lock(&locked->lock);
	bpf_spin_unlock(&locked->lock);
	return 0;
}

/* It would hold the lock while the page is fetched. */
SEC("?lsm.s/file_open")
int BPF_PROG(lock_and_sleep)
{
	struct locked *locked = find_lock();
	char byte;

	if (!locked)
		return 0;
	bpf_spin_lock(&locked->lock);
	bpf_copy_from_user(&byte, sizeof(byte), NULL);
	bpf_spin_unlock(&locked->lock);
	return 0;
}
