// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "bpf_kfuncs.h"

char _license[] SEC("license") = "GPL";

int monitored_pid;

int xattr_size;
char xattr[16];
int xattr_too_big;
int xattr_other_namespace;
int xattr_missing;
int xattr_of_nothing;

int path_size;
char path[256];
int path_too_long;
int d_path_size;
char d_path[256];

int path_irqs_off;

__u64 exe_ino;
__u64 locked_exe_ino;
int verity_err;
int ima_algo;
__u8 ima_hash[32];

static __always_inline bool monitored(void)
{
	return bpf_get_current_pid_tgid() >> 32 == monitored_pid;
}

SEC("lsm.s/file_post_open")
int BPF_PROG(look_at_file, struct file *file, int mask)
{
	struct bpf_dynptr value, too_small;
	struct file *exe;

	if (!monitored())
		return 0;

	bpf_dynptr_from_mem(xattr, sizeof(xattr), 0, &value);
	xattr_size = bpf_get_file_xattr(file, "user.lsm_files", &value);
	xattr_other_namespace = bpf_get_file_xattr(file, "trusted.lsm_files", &value);
	xattr_missing = bpf_get_file_xattr(file, "user.missing", &value);
	bpf_dynptr_from_mem(path, 2, 0, &too_small);
	xattr_too_big = bpf_get_file_xattr(file, "user.lsm_files", &too_small);

	path_too_long = bpf_path_d_path(&file->f_path, path, 2);
	path_size = bpf_path_d_path(&file->f_path, path, sizeof(path));
	d_path_size = bpf_d_path(&file->f_path, d_path, sizeof(d_path));

	exe = bpf_get_task_exe_file(bpf_get_current_task_btf());
	if (exe) {
		exe_ino = exe->f_inode->i_ino;
		bpf_put_file(exe);
	}

	ima_algo = bpf_ima_file_hash(file, ima_hash, sizeof(ima_hash));
	return 0;
}

SEC("?lsm.s/file_post_open")
int BPF_PROG(look_at_digest, struct file *file, int mask)
{
	static char digest[64];
	struct bpf_dynptr value;

	if (!monitored())
		return 0;
	bpf_dynptr_from_mem(digest, sizeof(digest), 0, &value);
	verity_err = bpf_get_fsverity_digest(file, &value);
	return 0;
}

/* The caller holds the lock of the task, see task_lock(). */
SEC("?lsm/task_setrlimit")
int BPF_PROG(look_under_lock, struct task_struct *p)
{
	struct file *exe;

	if (!monitored())
		return 0;
	exe = bpf_get_task_exe_file(p);
	if (exe) {
		locked_exe_ino = exe->f_inode->i_ino;
		bpf_put_file(exe);
	}
	return 0;
}

/* The caller has switched interrupts off. */
SEC("?lsm/file_set_fowner")
int BPF_PROG(look_at_owned, struct file *file)
{
	if (monitored())
		path_irqs_off = bpf_path_d_path(&file->f_path, path, sizeof(path));
	return 0;
}

/* There is no inode yet. */
SEC("lsm.s/inode_create")
int BPF_PROG(look_at_nothing, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct bpf_dynptr value;

	if (!monitored())
		return 0;
	bpf_dynptr_from_mem(xattr, sizeof(xattr), 0, &value);
	xattr_of_nothing = bpf_get_dentry_xattr(dentry, "user.lsm_files", &value);
	return 0;
}

/* Kfuncs for LSM programs only. */
SEC("?fentry/security_file_open")
int BPF_PROG(not_lsm, struct file *file)
{
	struct file *exe = bpf_get_task_exe_file(bpf_get_current_task_btf());

	if (exe)
		bpf_put_file(exe);
	return 0;
}

/* Kfuncs and helpers that sleep, in programs that must not. */
SEC("?lsm/file_post_open")
int BPF_PROG(plain_xattr, struct file *file, int mask)
{
	struct bpf_dynptr value;

	bpf_dynptr_from_mem(xattr, sizeof(xattr), 0, &value);
	bpf_get_file_xattr(file, "user.lsm_files", &value);
	return 0;
}

SEC("?lsm/file_post_open")
int BPF_PROG(plain_ima, struct file *file, int mask)
{
	bpf_ima_file_hash(file, ima_hash, sizeof(ima_hash));
	return 0;
}

/* A hook that is called with locks held. */
SEC("?lsm/file_permission")
int BPF_PROG(d_path_anywhere, struct file *file, int mask)
{
	bpf_d_path(&file->f_path, d_path, sizeof(d_path));
	return 0;
}
