/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - Storage that lives and dies with an inode
 */

#ifndef _SECURITY_BPF_STORAGE_H
#define _SECURITY_BPF_STORAGE_H

#include <linux/bpf.h>

struct bpf_local_storage;

/**
 * struct bpf_lsm_inode - The BPF LSM's part of an inode's security blob
 * @storage: values of the inode, one per map that has one for it
 */
struct bpf_lsm_inode {
	struct bpf_local_storage __rcu *storage;
};

extern const struct bpf_func_proto bpf_inode_storage_get_proto;
extern const struct bpf_func_proto bpf_inode_storage_delete_proto;

#endif /* _SECURITY_BPF_STORAGE_H */
